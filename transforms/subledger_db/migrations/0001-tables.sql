-- Tables of the subledger. Journal tables are partitioned by tenant (row-level security, pruning), then by period where
-- people ask by period, then by request: a request is loaded into leaves of its own, which one transaction attaches.

CREATE TABLE tenant (
    tenant_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    reader_role  name NOT NULL UNIQUE,
    rule_set_id  bigint,
    created_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tenant IS 'A client; its readers log in as members of reader_role and see its rows only';
COMMENT ON COLUMN tenant.rule_set_id IS 'The posting rules that new requests take';

CREATE TABLE rule_set (
    rule_set_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenant,
    name         text NOT NULL,
    version      text NOT NULL,
    sha256       bytea NOT NULL,
    basis        text NOT NULL,
    text         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, sha256)
);
COMMENT ON TABLE rule_set IS 'Posting rules as they were loaded, checked before; the version is the head of the content''s sha256';
ALTER TABLE tenant ADD FOREIGN KEY (rule_set_id) REFERENCES rule_set;

CREATE TABLE rule (
    rule_set_id  bigint NOT NULL REFERENCES rule_set,
    tenant_id    integer NOT NULL REFERENCES tenant,
    number       integer NOT NULL,
    name         text NOT NULL,
    event_class  text NOT NULL,
    condition    text,
    lines        jsonb NOT NULL,
    PRIMARY KEY (rule_set_id, number)
);
COMMENT ON TABLE rule IS 'The rules of a set one by one, for queries: what an event class posts, and on which condition';

CREATE TABLE entity (
    entity_id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      integer NOT NULL REFERENCES tenant,
    name           text COLLATE "C" NOT NULL,
    base_currency  text COLLATE "C" NOT NULL CHECK (base_currency ~ '^[A-Z]{3}$'),
    lot_method     text NOT NULL DEFAULT 'FIFO' CHECK (lot_method IN ('FIFO', 'AVERAGE')),
    reject_share   double precision NOT NULL DEFAULT 0.01 CHECK (reject_share BETWEEN 0 AND 1),
    next_seq       integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);
COMMENT ON TABLE entity IS 'A set of books: one request of it runs at a time';
COMMENT ON COLUMN entity.reject_share IS 'A request with a larger share of rejected rows fails';
COMMENT ON COLUMN entity.next_seq IS 'Number of the entity''s next attempt';

CREATE TABLE period (
    entity_id    integer NOT NULL REFERENCES entity,
    tenant_id    integer NOT NULL REFERENCES tenant,
    period       integer NOT NULL CHECK (period % 100 BETWEEN 1 AND 12 AND period BETWEEN 190001 AND 999912),
    state        text NOT NULL CHECK (state IN ('OPEN', 'CLOSED')),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (entity_id, period)
);
COMMENT ON TABLE period IS 'Calendar months as yyyymm; a closed one is never written';

CREATE TABLE account (
    tenant_id    integer NOT NULL REFERENCES tenant,
    account      text COLLATE "C" NOT NULL,
    name         text,
    first_request bigint,
    PRIMARY KEY (tenant_id, account)
);
COMMENT ON TABLE account IS 'Accounts that were ever posted to, and their names if somebody gave them';

CREATE TABLE schedule (
    schedule_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenant,
    entity_id    integer NOT NULL REFERENCES entity,
    name         text NOT NULL,
    cron         text,
    run_at       timestamptz,
    template     jsonb NOT NULL,
    active       boolean NOT NULL DEFAULT true,
    last_fired   timestamptz,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    CHECK ((cron IS NULL) <> (run_at IS NULL))
);
COMMENT ON TABLE schedule IS 'Requests to be made at times of a cron expression (UTC), or once';
COMMENT ON COLUMN schedule.template IS 'What is submitted; %Y, %m, %d, %H, %M in file names stand for the scheduled time';

CREATE TABLE request (
    request_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       integer NOT NULL REFERENCES tenant,
    entity_id       integer NOT NULL REFERENCES entity,
    entity_seq      integer,
    kind            text NOT NULL CHECK (kind IN ('LOAD', 'REVERSE', 'RERUN')),
    state           text NOT NULL DEFAULT 'QUEUED'
                    CHECK (state IN ('QUEUED', 'RUNNING', 'PUBLISHED', 'FAILED', 'CANCELLED', 'REVERSED')),
    attempt         integer NOT NULL DEFAULT 0,
    max_attempts    integer NOT NULL DEFAULT 5,
    idempotency_key text NOT NULL,
    content_sha     bytea NOT NULL,
    source          text,
    files           jsonb NOT NULL DEFAULT '[]',
    supplied        text,
    options         jsonb NOT NULL DEFAULT '{}',
    rule_set_id     bigint REFERENCES rule_set,
    target_id       bigint REFERENCES request,
    schedule_id     bigint REFERENCES schedule,
    job_id          bigint,
    flink_job_id    text,
    stage           text,
    rows_total      bigint,
    rows_read       bigint NOT NULL DEFAULT 0,
    rows_posted     bigint NOT NULL DEFAULT 0,
    rows_rejected   bigint NOT NULL DEFAULT 0,
    rows_duplicate  bigint NOT NULL DEFAULT 0,
    lines_posted    bigint NOT NULL DEFAULT 0,
    bytes_total     bigint,
    bytes_read      bigint NOT NULL DEFAULT 0,
    zone_min        numeric(20, 0),
    zone_max        numeric(20, 0),
    periods         integer[] NOT NULL DEFAULT '{}',
    error           text,
    submitted_by    text NOT NULL DEFAULT session_user,
    submitted_at    timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    attempt_at      timestamptz,
    heartbeat_at    timestamptz,
    finished_at     timestamptz,
    UNIQUE (tenant_id, idempotency_key),
    UNIQUE (entity_id, entity_seq),
    CHECK ((kind = 'REVERSE') = (target_id IS NOT NULL) OR kind = 'RERUN')
);
CREATE INDEX request_target ON request (target_id) WHERE target_id IS NOT NULL;
CREATE UNIQUE INDEX request_one_running ON request (entity_id) WHERE state = 'RUNNING';
COMMENT ON TABLE request IS 'QUEUED -> RUNNING -> PUBLISHED -> REVERSED; FAILED and CANCELLED can be retried';
COMMENT ON COLUMN request.entity_seq IS 'Place of its last attempt among those of the entity: the order of publication';
COMMENT ON COLUMN request.attempt IS 'Fencing token: an attempt that is not this one publishes nothing';
COMMENT ON COLUMN request.zone_min IS 'Lowest order_seq (from source_id) of the rows: requests that do not overlap hold no duplicates';
COMMENT ON COLUMN request.files IS 'Name, size, sha256, rows and compression of each input file';

CREATE TABLE progress (
    request_id   bigint NOT NULL REFERENCES request,
    tenant_id    integer NOT NULL REFERENCES tenant,
    attempt      integer NOT NULL,
    worker       text NOT NULL,
    rows_read    bigint NOT NULL DEFAULT 0,
    bytes_read   bigint NOT NULL DEFAULT 0,
    rows_posted  bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_duplicate bigint NOT NULL DEFAULT 0,
    stage        text,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (request_id, attempt, worker)
) WITH (fillfactor = 50);
COMMENT ON TABLE progress IS 'What each worker of a running attempt has done: for the eye, never for the books';

CREATE TABLE manifest (
    tenant_id    integer NOT NULL REFERENCES tenant,
    request_id   bigint NOT NULL REFERENCES request,
    attempt      integer NOT NULL,
    stage        text COLLATE "C" NOT NULL,
    task         integer NOT NULL,
    file_no      integer NOT NULL,
    relation     text NOT NULL,
    rows         bigint NOT NULL,
    bytes        bigint NOT NULL,
    sha256       bytea NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (request_id, attempt, stage, task, file_no)
);
COMMENT ON TABLE manifest IS 'One row per result file, written in the transaction that loads it; the file is not loaded again';

CREATE TABLE input_file (
    tenant_id    integer NOT NULL REFERENCES tenant,
    request_id   bigint NOT NULL REFERENCES request,
    file         integer NOT NULL,
    name         text NOT NULL,
    size         bigint,
    sha256       bytea,
    rows         bigint,
    audit_copy   text,
    PRIMARY KEY (request_id, file)
);
COMMENT ON TABLE input_file IS 'The input files of published requests as they were read, and where their audit copies are';

CREATE TABLE reconciliation (
    tenant_id    integer NOT NULL REFERENCES tenant,
    request_id   bigint NOT NULL REFERENCES request,
    attempt      integer NOT NULL,
    number       integer NOT NULL,
    name         text NOT NULL,
    subject      text,
    expected     numeric,
    found        numeric,
    difference   numeric GENERATED ALWAYS AS (found - expected) STORED,
    ok           boolean NOT NULL,
    PRIMARY KEY (request_id, attempt, number)
);
COMMENT ON TABLE reconciliation IS 'What was compared before publication; a request with a row that is not ok is not published';

CREATE TABLE reject (
    request_id   bigint NOT NULL,
    tenant_id    integer NOT NULL,
    entity_id    integer NOT NULL,
    file         integer NOT NULL,
    line         bigint NOT NULL,
    "column"     text,
    reason       text NOT NULL,
    kind         text NOT NULL,
    text         text
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE reject IS 'Rows that were not posted: kind REJECT with column and reason, kind DUPLICATE of a row posted before';

CREATE TABLE event_class (
    event_class  smallint PRIMARY KEY,
    name         text NOT NULL UNIQUE
);
INSERT INTO event_class VALUES (1, 'BUY'), (2, 'SELL'), (3, 'INCOME'), (4, 'FEE'), (5, 'FX'), (6, 'SETTLE'),
    (7, 'REVALUE'), (8, 'CANCEL'), (9, 'CORRECT');

CREATE TABLE je_header (
    request_id      bigint NOT NULL,
    je_no           bigint NOT NULL,
    tenant_id       integer NOT NULL,
    entity_id       integer NOT NULL,
    period          integer NOT NULL,
    trade_date      date NOT NULL,
    accounting_date date NOT NULL,
    version         integer NOT NULL,
    file            integer NOT NULL,
    line            bigint NOT NULL,
    je_id           uuid NOT NULL,
    event_id        uuid NOT NULL,
    reference_id    uuid,
    kind            smallint NOT NULL,
    event_class     smallint NOT NULL,
    effect          smallint NOT NULL,
    late            boolean NOT NULL,
    source          text COLLATE "C" NOT NULL,
    source_id       text COLLATE "C" NOT NULL,
    basis           text COLLATE "C" NOT NULL,
    instrument      text COLLATE "C",
    account_ref     text COLLATE "C" NOT NULL,
    gain            numeric(18, 4),
    reference       text COLLATE "C"
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE je_header IS 'A journal entry; (event_id, kind) is unique in a request, and across requests by the look-up of duplicates';
COMMENT ON COLUMN je_header.kind IS '1 ENTRY, 2 REVERSAL';
COMMENT ON COLUMN je_header.event_class IS 'See table event_class; view event has the names';
COMMENT ON COLUMN je_header.effect IS 'The class whose booking this is or takes back: that of the original for CANCEL and CORRECT';
COMMENT ON COLUMN je_header.gain IS 'Accounted: realised of a SELL, change of the unrealised of a REVALUE, opposite where taken back';
COMMENT ON COLUMN je_header.reference_id IS 'Event whose entry this reversal takes back';

CREATE TABLE je_line (
    request_id      bigint NOT NULL,
    je_no           bigint NOT NULL,
    lot             bigint,
    tenant_id       integer NOT NULL,
    entity_id       integer NOT NULL,
    period          integer NOT NULL,
    accounting_date date NOT NULL,
    line_no         integer NOT NULL,
    side            smallint NOT NULL,
    account         text COLLATE "C" NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    quantity        numeric(18, 8),
    amount          numeric(18, 4) NOT NULL,
    fx_rate         numeric(18, 8),
    accounted       numeric(18, 4) NOT NULL,
    instrument      text COLLATE "C"
) PARTITION BY LIST (tenant_id);
COMMENT ON COLUMN je_line.side IS '1 debit, -1 credit';
COMMENT ON COLUMN je_line.amount IS 'Entered amount in currency';
COMMENT ON COLUMN je_line.accounted IS 'In the entity''s base currency';
COMMENT ON COLUMN je_line.lot IS 'Number of the journal entry that bought the lot';

CREATE TABLE lot (
    request_id        bigint NOT NULL,
    lot               bigint NOT NULL,
    sequence          bigint NOT NULL,
    tenant_id         integer NOT NULL,
    entity_id         integer NOT NULL,
    entity_seq        integer NOT NULL,
    opened            date NOT NULL,
    instrument        text COLLATE "C" NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    quantity          numeric(18, 8) NOT NULL,
    original          numeric(18, 8) NOT NULL,
    cost              numeric(18, 4) NOT NULL,
    accounted         numeric(18, 4) NOT NULL
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE lot IS 'Lots as a request left them: those it opened or changed; a lot''s newest row counts, view current_lot';
COMMENT ON COLUMN lot.original IS 'Quantity bought';
COMMENT ON COLUMN lot.accounted IS 'What is left of the cost, in base currency';
COMMENT ON COLUMN lot.sequence IS 'Place within the date: the source''s sequence, 64 bits without sign';

CREATE TABLE position (
    request_id     bigint NOT NULL,
    tenant_id      integer NOT NULL,
    entity_id      integer NOT NULL,
    entity_seq     integer NOT NULL,
    instrument     text COLLATE "C" NOT NULL,
    quantity       numeric(18, 8) NOT NULL,
    cost           numeric(18, 4) NOT NULL,
    accounted      numeric(18, 4) NOT NULL,
    currency       text COLLATE "C",
    unrealised     numeric(18, 4) NOT NULL,
    realised       numeric(18, 4) NOT NULL
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE position IS 'Positions after a request, a row for every instrument it touched, also if nothing is left';
COMMENT ON COLUMN position.unrealised IS 'Life to date, accounted';
COMMENT ON COLUMN position.realised IS 'Of this request, accounted';

CREATE TABLE balance (
    request_id       bigint NOT NULL,
    tenant_id        integer NOT NULL,
    entity_id        integer NOT NULL,
    period           integer NOT NULL,
    account          text COLLATE "C" NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    debit            numeric(38, 4) NOT NULL,
    credit           numeric(38, 4) NOT NULL,
    accounted_debit  numeric(38, 4) NOT NULL,
    accounted_credit numeric(38, 4) NOT NULL
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE balance IS 'Turnover of each request by period, account and currency; their sum is the trial balance';
