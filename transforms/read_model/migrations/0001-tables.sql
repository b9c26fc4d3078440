-- Current state and history of accounts and transfers, one writer per partition of transfer-events.
-- Text that is only looked up compares bytewise (COLLATE "C"): cheaper indexes, same answers.

CREATE TABLE source (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    topic       text NOT NULL,
    topic_id    text NOT NULL,
    partitions  integer NOT NULL
);
COMMENT ON TABLE source IS 'The one topic that these tables are made from';

CREATE TABLE applied_offset (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    last_at     timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE applied_offset IS 'Everything before next_offset is in the tables: written in the same transaction';
COMMENT ON COLUMN applied_offset.last_at IS 'Log time of the last event applied';

CREATE TABLE participant (
    id          text COLLATE "C" PRIMARY KEY,
    partition   integer NOT NULL,
    active      boolean,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE account (
    account     text COLLATE "C" PRIMARY KEY,
    participant text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    position    numeric NOT NULL DEFAULT 0,
    reserved    numeric NOT NULL DEFAULT 0,
    cover       numeric,
    ndc         numeric,
    ndc_used_percent numeric GENERATED ALWAYS AS (CASE WHEN ndc > 0 THEN round(position * 100 / ndc, 2) END) STORED,
    active      boolean,
    last_seq    bigint NOT NULL,
    last_hash   bytea NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX account_participant ON account (participant, currency);
COMMENT ON COLUMN account.position IS 'Positive: owes the scheme; includes reservations';
COMMENT ON COLUMN account.reserved IS 'Part of the position that is reserved and not yet final';

CREATE TABLE shard_journal (
    account     text COLLATE "C" PRIMARY KEY,
    partition   integer NOT NULL,
    last_seq    bigint NOT NULL,
    last_hash   bytea NOT NULL
);
COMMENT ON TABLE shard_journal IS 'Last event of each shard''s own chain: events of no account';

CREATE TABLE position_change (
    account      text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,
    partition    integer NOT NULL,
    event_offset bigint NOT NULL,
    transfer_id  text COLLATE "C",
    kind         text COLLATE "C" NOT NULL,
    state        text COLLATE "C",
    change       numeric,
    position     numeric,
    reserved     numeric,
    cover        numeric,
    ndc          numeric,
    code         text COLLATE "C",
    description  text,
    at           timestamptz NOT NULL,
    log_offset   bigint,
    hash         bytea NOT NULL
);
CREATE INDEX position_change_account ON position_change (account, seq);
CREATE INDEX position_change_transfer ON position_change (transfer_id) WHERE transfer_id IS NOT NULL;
COMMENT ON TABLE position_change IS 'Every event as it came: the chain is audited from here';

CREATE TABLE transfer (
    transfer_id text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    payer       text COLLATE "C",
    payee       text COLLATE "C",
    currency    text COLLATE "C",
    amount      numeric(22, 4),
    state       text COLLATE "C" NOT NULL,
    code        text COLLATE "C",
    description text,
    expiration  timestamptz,
    created_at  timestamptz,
    updated_at  timestamptz NOT NULL,
    completed   text,
    fulfilment  text,
    PRIMARY KEY (transfer_id, partition)
);
CREATE INDEX transfer_payer ON transfer (payer, created_at);
CREATE INDEX transfer_payee ON transfer (payee, created_at);
CREATE INDEX transfer_created ON transfer (created_at);
CREATE INDEX transfer_not_committed ON transfer (state, created_at) WHERE state <> 'COMMITTED';
COMMENT ON TABLE transfer IS 'Current state. Two payers may use the same id: the partition tells them apart';

CREATE VIEW transfer_state_change AS
    SELECT transfer_id, partition, event_offset, state, kind, code, description, at
    FROM position_change
    WHERE transfer_id IS NOT NULL AND kind IN ('reserve', 'invalid', 'commit', 'release');

CREATE TABLE funds_movement (
    account     text COLLATE "C" NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    direction   text NOT NULL,
    state       text NOT NULL,
    amount      numeric(22, 4),
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (account, transfer_id)
);

CREATE TABLE command_result (
    partition    integer NOT NULL,
    event_offset bigint NOT NULL,
    command_id   text COLLATE "C" NOT NULL,
    account      text COLLATE "C" NOT NULL,
    kind         text NOT NULL,
    result       text,
    at           timestamptz NOT NULL,
    PRIMARY KEY (partition, event_offset)
);
CREATE INDEX command_result_command ON command_result (command_id);

CREATE TABLE chain_break (
    partition     integer NOT NULL,
    event_offset  bigint NOT NULL,
    account       text NOT NULL,
    last_seq      bigint NOT NULL,
    last_hash     text NOT NULL,
    found_seq     bigint NOT NULL,
    found_previous text NOT NULL,
    fault         text NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (partition, event_offset)
);
COMMENT ON TABLE chain_break IS 'Events that do not continue their account''s chain; must be empty';

CREATE TABLE dead_letter (
    partition    integer NOT NULL,
    event_offset bigint NOT NULL,
    reason       text NOT NULL,
    value        bytea NOT NULL,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, event_offset)
);
COMMENT ON TABLE dead_letter IS 'Records of the topic that are no events; must be empty';
