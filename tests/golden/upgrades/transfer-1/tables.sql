SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA florin_kept;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE florin_kept._yoyo_log (
    id character varying(36) NOT NULL,
    migration_hash character varying(64),
    migration_id character varying(255),
    operation character varying(10),
    username character varying(255),
    hostname character varying(255),
    comment character varying(255),
    created_at_utc timestamp without time zone
);
CREATE TABLE florin_kept._yoyo_migration (
    migration_hash character varying(64) NOT NULL,
    migration_id character varying(255),
    applied_at_utc timestamp without time zone
);
CREATE TABLE florin_kept._yoyo_version (
    version integer NOT NULL,
    installed_at_utc timestamp without time zone
);
CREATE TABLE florin_kept.account (
    account text NOT NULL COLLATE pg_catalog."C",
    participant text NOT NULL COLLATE pg_catalog."C",
    currency text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    "position" numeric DEFAULT 0 NOT NULL,
    reserved numeric DEFAULT 0 NOT NULL,
    cover numeric,
    ndc numeric,
    ndc_used_percent numeric GENERATED ALWAYS AS (
CASE
    WHEN (ndc > (0)::numeric) THEN round((("position" * (100)::numeric) / ndc), 2)
    ELSE NULL::numeric
END) STORED,
    active boolean,
    last_seq bigint NOT NULL,
    last_hash bytea NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN florin_kept.account."position" IS 'Positive: owes the scheme; includes reservations';
COMMENT ON COLUMN florin_kept.account.reserved IS 'Part of the position that is reserved and not yet final';
CREATE TABLE florin_kept.applied_offset (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint DEFAULT 0 NOT NULL,
    last_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE florin_kept.applied_offset IS 'Everything before next_offset is in the tables: written in the same transaction';
COMMENT ON COLUMN florin_kept.applied_offset.last_at IS 'Log time of the last event applied';
CREATE TABLE florin_kept.chain_break (
    partition integer NOT NULL,
    event_offset bigint NOT NULL,
    account text NOT NULL,
    last_seq bigint NOT NULL,
    last_hash text NOT NULL,
    found_seq bigint NOT NULL,
    found_previous text NOT NULL,
    fault text NOT NULL,
    at timestamp with time zone NOT NULL
);
COMMENT ON TABLE florin_kept.chain_break IS 'Events that do not continue their account''s chain; must be empty';
CREATE TABLE florin_kept.command_result (
    partition integer NOT NULL,
    event_offset bigint NOT NULL,
    command_id text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    result text,
    at timestamp with time zone NOT NULL
);
CREATE TABLE florin_kept.dead_letter (
    partition integer NOT NULL,
    event_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE florin_kept.dead_letter IS 'Records of the topic that are no events; must be empty';
CREATE TABLE florin_kept.funds_movement (
    account text NOT NULL COLLATE pg_catalog."C",
    transfer_id text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    direction text NOT NULL,
    state text NOT NULL,
    amount numeric(22,4),
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE florin_kept.participant (
    id text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    active boolean,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE florin_kept.position_change (
    account text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    partition integer NOT NULL,
    event_offset bigint NOT NULL,
    transfer_id text COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    state text COLLATE pg_catalog."C",
    change numeric,
    "position" numeric,
    reserved numeric,
    cover numeric,
    ndc numeric,
    code text COLLATE pg_catalog."C",
    description text,
    at timestamp with time zone NOT NULL,
    log_offset bigint,
    hash bytea NOT NULL
);
COMMENT ON TABLE florin_kept.position_change IS 'Every event as it came: the chain is audited from here';
CREATE TABLE florin_kept.shard_journal (
    account text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    last_seq bigint NOT NULL,
    last_hash bytea NOT NULL
);
COMMENT ON TABLE florin_kept.shard_journal IS 'Last event of each shard''s own chain: events of no account';
CREATE TABLE florin_kept.source (
    only_row boolean DEFAULT true NOT NULL,
    topic text NOT NULL,
    topic_id text NOT NULL,
    partitions integer NOT NULL,
    CONSTRAINT source_only_row_check CHECK (only_row)
);
COMMENT ON TABLE florin_kept.source IS 'The one topic that these tables are made from';
CREATE TABLE florin_kept.transfer (
    transfer_id text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    payer text COLLATE pg_catalog."C",
    payee text COLLATE pg_catalog."C",
    currency text COLLATE pg_catalog."C",
    amount numeric(22,4),
    state text NOT NULL COLLATE pg_catalog."C",
    code text COLLATE pg_catalog."C",
    description text,
    expiration timestamp with time zone,
    created_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    completed text,
    fulfilment text
);
COMMENT ON TABLE florin_kept.transfer IS 'Current state. Two payers may use the same id: the partition tells them apart';
CREATE VIEW florin_kept.transfer_state_change AS
 SELECT transfer_id,
    partition,
    event_offset,
    state,
    kind,
    code,
    description,
    at
   FROM florin_kept.position_change
  WHERE ((transfer_id IS NOT NULL) AND (kind = ANY (ARRAY['reserve'::text, 'invalid'::text, 'commit'::text, 'release'::text])));
CREATE TABLE florin_kept.yoyo_lock (
    locked integer DEFAULT 1 NOT NULL,
    ctime timestamp without time zone,
    pid integer NOT NULL
);
INSERT INTO florin_kept._yoyo_migration VALUES ('7da0e4cc67b1e5037ac98853ab6956132724406df6adae100afed953b17fccd7', '0001-tables', '2026-11-22 16:23:50.454482');
INSERT INTO florin_kept._yoyo_version VALUES (2, '2026-11-22 16:23:50.359107');
INSERT INTO florin_kept.account VALUES ('dfsp1/XOF', 'dfsp1', 'XOF', 0, 0, 0, 50000, 40000, DEFAULT, true, 1, '\x2cd73bdd6e5a709a4453993fda197c49078f892e049bc1055f13eb3539e9b56d', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp4/USD', 'dfsp4', 'USD', 0, 0, 0, 25.5, 20, DEFAULT, true, 1, '\xd3ac2862373d46432ff8f45c7c9a32e2f95c1578cca4574b03031673e4cc3b14', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp1/USD', 'dfsp1', 'USD', 0, -12.25, 15, 50012.34, 40000, DEFAULT, true, 32, '\x74c283259973b7d61977453d18092d137a8f13fe504e4e1c7e780ceafa7eef94', '2026-01-01 01:39:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp5/XOF', 'dfsp5', 'XOF', 1, 0, 0, 49750, 40000, DEFAULT, true, 2, '\xdd673293165fac86fb90ac3a114e1d058c43c3e24063e31a0a1825b465fff9ba', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp8/XOF', 'dfsp8', 'XOF', 1, 0, 0, 50000, 40000, DEFAULT, false, 2, '\x5a76e8a2567abfaf064c72ec3c4251643eca303933dd5d4415ff238c91ad5088', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp5/USD', 'dfsp5', 'USD', 1, -4.17, 15, 50000, 40000, DEFAULT, true, 32, '\xc019268add36771583642345f075354e1f986d3549ad69cc2f471e510753b797', '2026-01-01 01:39:00+00');
INSERT INTO florin_kept.account VALUES ('dfsp8/USD', 'dfsp8', 'USD', 1, 60.42, 15, 50000, 40000, DEFAULT, true, 27, '\x953e6ade9a29becf846c3650d0a46d024b9cc185fcfbf9298ee41f3e87349c1d', '2026-01-01 01:39:00+00');
INSERT INTO florin_kept.applied_offset VALUES ('transfer-events', 0, 38, '2026-01-01 01:39:00+00', '2026-11-22 16:23:50.549119+00');
INSERT INTO florin_kept.applied_offset VALUES ('transfer-events', 1, 66, '2026-01-01 01:39:00+00', '2026-11-22 16:23:50.693075+00');
INSERT INTO florin_kept.command_result VALUES (0, 0, 'add dfsp1', 'shard/0', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 1, 'add dfsp1', 'dfsp1/USD', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 2, 'add dfsp1', 'dfsp1/XOF', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 3, 'add dfsp4', 'shard/0', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 4, 'add dfsp4', 'dfsp4/USD', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 5, 'configure', 'shard/0', 'configure', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (0, 6, '', 'dfsp1/USD', 'fundsIn', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 0, 'add dfsp5', 'shard/1', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 1, 'add dfsp5', 'dfsp5/USD', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 2, 'add dfsp5', 'dfsp5/XOF', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 3, 'add dfsp8', 'shard/1', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 4, 'add dfsp8', 'dfsp8/USD', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 5, 'add dfsp8', 'dfsp8/XOF', 'participant', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 6, '', 'dfsp5/XOF', 'fundsOutReserve', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.command_result VALUES (1, 7, '', 'dfsp8/XOF', 'active', 'ok', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.funds_movement VALUES ('dfsp1/USD', 'in-1', 0, 'IN', 'COMMITTED', 12.3400, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.funds_movement VALUES ('dfsp5/XOF', 'out-1', 1, 'OUT', 'RESERVED', 250.0000, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.participant VALUES ('dfsp1', 0, true, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.participant VALUES ('dfsp4', 0, true, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.participant VALUES ('dfsp5', 1, true, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.participant VALUES ('dfsp8', 1, true, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO florin_kept.position_change VALUES ('shard/0', 1, 0, 0, NULL, 'participant', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00+00', 0, '\x6d2aaa6b1518f09f5bd09f0699d459de593789dd98fc3245cd933e9bc6992cda');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 1, 0, 1, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 0, '\xd1ab04a0d3f1127c6612b9602e4293c976fb5c011890b957fb89f20385727644');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/XOF', 1, 0, 2, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 0, '\x2cd73bdd6e5a709a4453993fda197c49078f892e049bc1055f13eb3539e9b56d');
INSERT INTO florin_kept.position_change VALUES ('shard/0', 2, 0, 3, NULL, 'participant', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00+00', 3, '\x0f2ddff4bae6e3e13dcea39c70df3ccfea042dc125c96c173b957474a0e0d90a');
INSERT INTO florin_kept.position_change VALUES ('dfsp4/USD', 1, 0, 4, NULL, 'participant', NULL, 0, 0, 0, 25.5, 20, NULL, NULL, '2026-01-01 00:00:00+00', 3, '\xd3ac2862373d46432ff8f45c7c9a32e2f95c1578cca4574b03031673e4cc3b14');
INSERT INTO florin_kept.position_change VALUES ('shard/0', 3, 0, 5, NULL, 'configure', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00+00', 4, '\x490969fa478c1a53860445d87d17278cd9289493d4cd23e83ba759122a71dbe4');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 2, 0, 6, 'in-1', 'fundsIn', NULL, 0, 0, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 5, '\xbc53fc9cedc01a60f20ce00153278f5afe64dc3bcfb9720a94a158094e6bf2ac');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 3, 0, 7, 't-0', 'reserve', 'RESERVED', 1, 1, 1, 50012.34, 40000, NULL, NULL, '2026-01-01 00:01:00+00', 8, '\x045b57bf1e5be241a906bc5918e09ce1807d2ae83b5e71ed89a38c1520584e98');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 4, 0, 8, 't-0', 'commit', 'COMMITTED', 0, 1, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:01:00.5+00', 9, '\xe11abfb1f1850613152d793c6b2941d8869fd1ba76b0c73f46676f1fbd84d881');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 5, 0, 9, 't-0', 'credit', 'COMMITTED', -1, 0, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:01:00.5+00', 10, '\xc23fa70e5f326246ca971227d63b31a64e0a367b030b79c38ede5ef74de9ce91');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 6, 0, 10, 't-3', 'reserve', 'RESERVED', 4.03, 4.03, 4.03, 50012.34, 40000, NULL, NULL, '2026-01-01 00:10:00+00', 11, '\x50565a74020b1023f0fa31cf3564790c1c4453cc9702edb2308736ba256cf8a2');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 7, 0, 11, 't-3', 'commit', 'COMMITTED', 0, 4.03, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:10:00.5+00', 12, '\x6c42e7343c7986bfc0b3db8e3c2b6d75d21473812558d265b64a2160654849bb');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 8, 0, 12, 't-5', 'credit', 'COMMITTED', -6.05, -2.02, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:16:00.5+00', 13, '\xf9d87e8279c14744dcf3683c756e223347475e0d6a9aa869acb7f76a3946c050');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 9, 0, 13, 't-6', 'reserve', 'RESERVED', 7.06, 5.04, 7.06, 50012.34, 40000, NULL, NULL, '2026-01-01 00:19:00+00', 14, '\x7a6f6eb5f0f6b23cfe5c33f6bea3dcb838b3b0871b61f6fb596e682c3e07f322');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 10, 0, 14, 't-7', 'credit', 'COMMITTED', -8.07, -3.03, 7.06, 50012.34, 40000, NULL, NULL, '2026-01-01 00:22:00.5+00', 15, '\xa691748b4a5974526561a4bb55b56d3b3bfbf777a2ee636f69f59f33686a1782');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 11, 0, 15, 't-6', 'release', 'ABORTED', -7.06, -10.09, 0, 50012.34, 40000, '3303', 'transfer expired', '2026-01-01 00:28:00+00', 16, '\x7ced63389ca838fa94f19c442a5d393fa96201b3b05813743c53221f6097f3c8');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 12, 0, 16, 't-9', 'reserve', 'RESERVED', 10.09, 0, 10.09, 50012.34, 40000, NULL, NULL, '2026-01-01 00:28:00+00', 16, '\x058575c0a1a1f2da973fdc712c0895769ac2c4812571d8c9c5a1d962ce31be7e');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 13, 0, 17, 't-9', 'release', 'ABORTED', -10.09, -10.09, 0, 50012.34, 40000, '5105', 'no', '2026-01-01 00:28:00.5+00', 17, '\x23988adf8d76d39233aca72e16f6f95af90acd439bc616bf76682f26af3e8b4d');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 14, 0, 18, 't-12', 'reserve', 'RESERVED', 13.12, 3.03, 13.12, 50012.34, 40000, NULL, NULL, '2026-01-01 00:37:00+00', 18, '\x318594f994a1f5623352d6a34e73b68a363eea5b536b83878859d9397d2e8488');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 15, 0, 19, 't-12', 'commit', 'COMMITTED', 0, 3.03, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:37:00.5+00', 19, '\xf868c09bd38fd2cd535ea925e112e26746d069c9bc8fed9c55e42b36f55f5a8d');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 16, 0, 20, 't-15', 'reserve', 'RESERVED', 16.15, 19.18, 16.15, 50012.34, 40000, NULL, NULL, '2026-01-01 00:46:00+00', 20, '\xe68fda722626fab2b3d7a892ebf0107c43aad71d2097de345c5d4cb38cba3f44');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 17, 0, 21, 't-15', 'commit', 'COMMITTED', 0, 19.18, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:46:00.5+00', 21, '\xdecd2b40fe1f5c5d40159002fbb2f1e1d2c108fe5a308167b0e78e3f3e72e73e');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 18, 0, 22, 't-16', 'credit', 'COMMITTED', -17.16, 2.02, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:49:00.5+00', 22, '\x2d02ad1336a79d022a70e5e15cadb5aff92092e31f200ce2e8a2ac2c200a7102');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 19, 0, 23, 't-18', 'reserve', 'RESERVED', 19.18, 21.2, 19.18, 50012.34, 40000, NULL, NULL, '2026-01-01 00:55:00+00', 23, '\x4678d09d3736d8cca286071fa5cc3f97f9ad32ddee47fbad2025c531d0c40b0d');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 20, 0, 24, 't-18', 'commit', 'COMMITTED', 0, 21.2, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:55:00.5+00', 24, '\x1ce3e057b36a2c70c43ca2887e973244530d9a6058265ecc8518c323fa52f496');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 21, 0, 25, 't-18', 'credit', 'COMMITTED', -19.18, 2.02, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 00:55:00.5+00', 25, '\xc824b9af65da0c5c46474539da32f9bffbe8c124312ca2de80f106cc61e6a240');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 22, 0, 26, 't-21', 'reserve', 'RESERVED', 22.21, 24.23, 22.21, 50012.34, 40000, NULL, NULL, '2026-01-01 01:04:00+00', 26, '\xbabbc7d5a2da5954a72a39ee0e72780c8f70a85debfc31a3d6e5d6b713b90067');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 23, 0, 27, 't-21', 'commit', 'COMMITTED', 0, 24.23, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 01:04:00.5+00', 27, '\x1d4c36cec5a70213fad898fb3f8d38797c6f0fc6e110c1c0a7554d0bd89c67ac');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 24, 0, 28, 't-23', 'credit', 'COMMITTED', -24.23, 0, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 01:10:00.5+00', 28, '\xe974f7631363be913058412306be7de6188ab80a5f5ad3059b98411a01a7b2e3');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 25, 0, 29, 't-24', 'reserve', 'RESERVED', 25.24, 25.24, 25.24, 50012.34, 40000, NULL, NULL, '2026-01-01 01:13:00+00', 29, '\x471d07517cfa93c4de42c5b82531a4eeea9f7bb9ba51da03dba6594c3c6d715d');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 26, 0, 30, 't-24', 'release', 'ABORTED', -25.24, 0, 0, 50012.34, 40000, '5105', 'no', '2026-01-01 01:13:00.5+00', 30, '\xe5b12e8a4f08d8f642a264e59b29deb6344239d1e8c3b26a2dd85f74c94ec3f2');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 27, 0, 31, 't-25', 'credit', 'COMMITTED', -26.25, -26.25, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 01:16:00.5+00', 31, '\x4a7f47cc5a709ca9af43e9df62bcca17f406c3fbbe1c2caab001a75454ef6b51');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 28, 0, 32, 't-27', 'reserve', 'RESERVED', 28.27, 2.02, 28.27, 50012.34, 40000, NULL, NULL, '2026-01-01 01:22:00+00', 32, '\x75e28bd6521a70fc6b3ecddcf9e00043205999584f9d16f082f2292afae1e7cc');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 29, 0, 33, 't-27', 'release', 'ABORTED', -28.27, -26.25, 0, 50012.34, 40000, '3303', 'transfer expired', '2026-01-01 01:39:00+00', 33, '\x65085ff25e54a7235c6c837e25b3b37253f44d73b575d5242e935fdc7f96ce61');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 30, 0, 34, 'c-9', 'credit', 'COMMITTED', -1, -27.25, 0, 50012.34, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 33, '\xd7ef03163678b3032d45bf6ee9e5f72766b7276b4d4ec3c9ea8e9b5a83f829e3');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 31, 0, 35, 't-30', 'reserve', 'RESERVED', 7.5, -19.75, 7.5, 50012.34, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 34, '\x1d80ffec1bd40cdcd15fdef807b9f1319676e01b005f49fe6aadd9ef95f92974');
INSERT INTO florin_kept.position_change VALUES ('dfsp1/USD', 32, 0, 36, 't-33', 'reserve', 'RESERVED', 7.5, -12.25, 15, 50012.34, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 35, '\x74c283259973b7d61977453d18092d137a8f13fe504e4e1c7e780ceafa7eef94');
INSERT INTO florin_kept.position_change VALUES ('shard/0', 4, 0, 37, 't-37', 'invalid', 'ABORTED', NULL, NULL, NULL, NULL, NULL, '4200', 'payer''s net debit cap would be exceeded', '2026-01-01 01:39:00+00', 36, '\x4dfb557abc6b5ae7b61a4210ab79ae04c1c32c5bcc4be56515682ec1d9328f5c');
INSERT INTO florin_kept.position_change VALUES ('shard/1', 1, 1, 0, NULL, 'participant', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00+00', 1, '\x0568e625306ee512716ffb41931edc9bae4455854f8fe597f3378061a34d3f31');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 1, 1, 1, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 1, '\x8c1726e68935025f571197f3782fd5cd46501ca52919ddc795855967133f7cd2');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/XOF', 1, 1, 2, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 1, '\x6d8c5d2786e1f7d64b22c2b2e4e2bb6624aee2b6f40dd055a1c3d0da8430dcd3');
INSERT INTO florin_kept.position_change VALUES ('shard/1', 2, 1, 3, NULL, 'participant', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00+00', 2, '\x9de211dc97580d27ade9bc8b436c90a954669be60456544dc31bae0b66744748');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 1, 1, 4, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 2, '\xa28a1a2ff8765a94eb530b79de405357fb39aa6ff397dba074c9107f534378a6');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/XOF', 1, 1, 5, NULL, 'participant', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 2, '\xc6223cf9ee8cf1cba34d2948304e7328cc2755570017d13f4f1b7ed51f1f3316');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/XOF', 2, 1, 6, 'out-1', 'fundsOutReserve', NULL, 0, 0, 0, 49750, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 6, '\xdd673293165fac86fb90ac3a114e1d058c43c3e24063e31a0a1825b465fff9ba');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/XOF', 2, 1, 7, NULL, 'active', NULL, 0, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:00:00+00', 7, '\x5a76e8a2567abfaf064c72ec3c4251643eca303933dd5d4415ff238c91ad5088');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 2, 1, 8, 't-1', 'reserve', 'RESERVED', 2.01, 2.01, 2.01, 50000, 40000, NULL, NULL, '2026-01-01 00:04:00+00', 8, '\x1a5b07d3665d9c73035cfccdb5be1812c492555a95b5e05cae50e2f5de3fff54');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 3, 1, 9, 't-1', 'commit', 'COMMITTED', 0, 2.01, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:04:00.5+00', 9, '\x8ab1e6324221a6a68bc2d928939d9f4ebaed62bf405144745886e84c6a472896');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 4, 1, 10, 't-1', 'credit', 'COMMITTED', -2.01, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:04:00.5+00', 10, '\x292b0be164e6e541beca72f45e48776c46e439d57bb46423a2932ef637678f35');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 2, 1, 11, 't-2', 'reserve', 'RESERVED', 3.02, 3.02, 3.02, 50000, 40000, NULL, NULL, '2026-01-01 00:07:00+00', 11, '\xa6b6efd49aab1415cded01c8baf1a1cb69b456d92ea22f45e31347d23b54cd01');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 3, 1, 12, 't-2', 'commit', 'COMMITTED', 0, 3.02, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:07:00.5+00', 12, '\xcdd6915e65e8ce552079596fda5eab73d0b3232f3de74ed7c41cdbba6a9ecad8');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 4, 1, 13, 't-2', 'credit', 'COMMITTED', -3.02, 0, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:07:00.5+00', 13, '\xca7ab3a153903450da51d4b6515e8fe786a5a0e9365cb89285558a17cd1acc3b');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 5, 1, 14, 't-3', 'credit', 'COMMITTED', -4.03, -4.03, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:10:00.5+00', 14, '\xb3a53bd9b687ef26949d03a06f06b26cfae55ca4cec83c1a4b9b15b50469c619');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 6, 1, 15, 't-4', 'reserve', 'RESERVED', 5.04, 1.01, 5.04, 50000, 40000, NULL, NULL, '2026-01-01 00:13:00+00', 15, '\x9f433a199d445671f6dc2b75d43e5158dffb762233291313fbb42cc8f026672d');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 7, 1, 16, 't-4', 'release', 'ABORTED', -5.04, -4.03, 0, 50000, 40000, '5105', 'no', '2026-01-01 00:13:00.5+00', 16, '\x39a8bd90ef4ee1fa8af926f23bd1b13bc87869245958c68a45bd5373f45f1c21');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 5, 1, 17, 't-5', 'reserve', 'RESERVED', 6.05, 6.05, 6.05, 50000, 40000, NULL, NULL, '2026-01-01 00:16:00+00', 17, '\x9fe3a6975f5787868be20d50bf2722c7a7ca3a5037ad45752905c32daa46e7de');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 6, 1, 18, 't-5', 'commit', 'COMMITTED', 0, 6.05, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:16:00.5+00', 18, '\x5f4e6f6f91f4a38b262bb2c410e862c3e9f1c06ea12f2159d408b3afea426ba5');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 8, 1, 19, 't-7', 'reserve', 'RESERVED', 8.07, 4.04, 8.07, 50000, 40000, NULL, NULL, '2026-01-01 00:22:00+00', 19, '\x68249d986494afae6535f4accfa4022e9ee2b8ecc3263edd9d5b259ff88cab41');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 9, 1, 20, 't-7', 'commit', 'COMMITTED', 0, 4.04, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:22:00.5+00', 20, '\x3920e31b5d76c64b053d6004f0c1bf2736e024334998d540fdc4d652e0e8fb21');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 7, 1, 21, 't-8', 'reserve', 'RESERVED', 9.08, 15.13, 9.08, 50000, 40000, NULL, NULL, '2026-01-01 00:25:00+00', 21, '\x710f72e5c921010ff0de36eff388974b60429cd3eb5fa084102f929ae8269d1a');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 8, 1, 22, 't-8', 'commit', 'COMMITTED', 0, 15.13, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:25:00.5+00', 22, '\x05fe11e7335a0e7e3c77a95370cff380e45794e66eb0b4969da51f5ab735ce81');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 10, 1, 23, 't-8', 'credit', 'COMMITTED', -9.08, -5.04, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:25:00.5+00', 23, '\x1cea90aa16f0bda4fc0b965ac1c7bbc4cbc9e6900b1427158cb0691d26b5a038');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 11, 1, 24, 't-10', 'reserve', 'RESERVED', 11.1, 6.06, 11.1, 50000, 40000, NULL, NULL, '2026-01-01 00:31:00+00', 24, '\x2758176083de11e44cac461d2ef0744d0a73bb4ec555427b4eaebd59b3edf395');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 12, 1, 25, 't-10', 'commit', 'COMMITTED', 0, 6.06, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:31:00.5+00', 25, '\x6052c3e16150dacc2094586de863fd38715b6f61c9e9cccfe66fd8e7a5d812f7');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 13, 1, 26, 't-10', 'credit', 'COMMITTED', -11.1, -5.04, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:31:00.5+00', 26, '\xe10854ace2df6796be9abf711a748de8cfbc0114bcc22d62df24ba33c8208332');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 9, 1, 27, 't-11', 'reserve', 'RESERVED', 12.11, 27.24, 12.11, 50000, 40000, NULL, NULL, '2026-01-01 00:34:00+00', 27, '\xbee6d547255a76290b0041b294940bd05097e0f3640b4bb1b08495b07fcf9f41');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 10, 1, 28, 't-11', 'commit', 'COMMITTED', 0, 27.24, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:34:00.5+00', 28, '\xde2b73ce9b48ab9936b227490aa0bc621537f11a7b30a476fb23c9808d3cf229');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 11, 1, 29, 't-11', 'credit', 'COMMITTED', -12.11, 15.13, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:34:00.5+00', 29, '\x2d3e190c3c8556cf96958c1d43b8c954f28f6de6daafffce7daa3b3dc7f9be65');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 14, 1, 30, 't-12', 'credit', 'COMMITTED', -13.12, -18.16, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:37:00.5+00', 30, '\xb045981dd7dc672b4b3c7db982adbbd49df3db559c4d9350b6aa7efded4ff227');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 15, 1, 31, 't-13', 'reserve', 'RESERVED', 14.13, -4.03, 14.13, 50000, 40000, NULL, NULL, '2026-01-01 00:40:00+00', 31, '\x63e64f24fbfe44dd02dff756d9c5cc091c350be805194b6749a0bef86ee76b4a');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 12, 1, 32, 't-14', 'reserve', 'RESERVED', 15.14, 30.27, 15.14, 50000, 40000, NULL, NULL, '2026-01-01 00:43:00+00', 32, '\xbd71da18fa0bb9b691ae6220ceea1bc6390c99c831502115145423f810318f52');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 13, 1, 33, 't-14', 'release', 'ABORTED', -15.14, 15.13, 0, 50000, 40000, '5105', 'no', '2026-01-01 00:43:00.5+00', 33, '\x60fbc857aa31ee92c6763e30fabeb57d45faa71ad24923e4edf098858acf5ee0');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 16, 1, 34, 't-13', 'release', 'ABORTED', -14.13, -18.16, 0, 50000, 40000, '3303', 'transfer expired', '2026-01-01 00:46:00.5+00', 34, '\x8a802a462a69f83cd17828f88b3b2c3700c6a615085af5ea0b036322241783d7');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 14, 1, 35, 't-15', 'credit', 'COMMITTED', -16.15, -1.02, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:46:00.5+00', 34, '\xcc72cc6bb9443fc16281692ef4f4945b70ff62c75a5ac20ee76350258a0d2d60');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 17, 1, 36, 't-16', 'reserve', 'RESERVED', 17.16, -1, 17.16, 50000, 40000, NULL, NULL, '2026-01-01 00:49:00+00', 35, '\x25dff27997fc43d966f2ca0e4c08ca1cece3f15284a497fad20109e311a1c99b');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 18, 1, 37, 't-16', 'commit', 'COMMITTED', 0, -1, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:49:00.5+00', 36, '\x677537b92ca2dd5021cf38532d05d1f94752a5a8ef2afc16446245777bd06e4a');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 15, 1, 38, 't-17', 'reserve', 'RESERVED', 18.17, 17.15, 18.17, 50000, 40000, NULL, NULL, '2026-01-01 00:52:00+00', 37, '\xd4a5387059e57e02afca97566d11c517bc5416b09f724a264758fbbea1d7d3b2');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 16, 1, 39, 't-17', 'commit', 'COMMITTED', 0, 17.15, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:52:00.5+00', 38, '\x44a1a749b5aed94d9ffc1e647c764cfcffb19be6d4e15601305369497ed0d5de');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 19, 1, 40, 't-17', 'credit', 'COMMITTED', -18.17, -19.17, 0, 50000, 40000, NULL, NULL, '2026-01-01 00:52:00.5+00', 39, '\x1fc52413a986d075f79c081c64dc24cf8d4c194856fb7e9156b0e6626b177ab9');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 20, 1, 41, 't-19', 'reserve', 'RESERVED', 20.19, 1.02, 20.19, 50000, 40000, NULL, NULL, '2026-01-01 00:58:00+00', 40, '\x44392af1eb2ffde85709dad4e9e0ec974f6807954cea4400e329045a74e05e01');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 21, 1, 42, 't-19', 'release', 'ABORTED', -20.19, -19.17, 0, 50000, 40000, '5105', 'no', '2026-01-01 00:58:00.5+00', 41, '\xcb7436c9a88414090b6e9c77be8a0404d73214c8a77b491d2efb11728198d19e');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 17, 1, 43, 't-20', 'reserve', 'RESERVED', 21.2, 38.35, 21.2, 50000, 40000, NULL, NULL, '2026-01-01 01:01:00+00', 42, '\xf3a3b889c84aac04f73460bcba396f13c101e0aff30becd55cbe9648e5c40be0');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 22, 1, 44, 't-21', 'credit', 'COMMITTED', -22.21, -41.38, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:04:00.5+00', 43, '\x41e3cc8d861d94a0171e927a11503e4986b3ece687d239eb3e933765a11c5d22');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 18, 1, 45, 't-20', 'release', 'ABORTED', -21.2, 17.15, 0, 50000, 40000, '3303', 'transfer expired', '2026-01-01 01:07:00+00', 44, '\x065a4bc01efc8e60e7f889528e11d4aa704cd2c324a26c237f8ba1814afded2e');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 23, 1, 46, 't-22', 'reserve', 'RESERVED', 23.22, -18.16, 23.22, 50000, 40000, NULL, NULL, '2026-01-01 01:07:00+00', 44, '\x784ac73e513d0bc42dcc882d364a8b704dc40c76456521931bc10df8dd4831e3');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 24, 1, 47, 't-22', 'commit', 'COMMITTED', 0, -18.16, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:07:00.5+00', 45, '\x42f5c96a4056356f6ec98e13e74b83deffb8340e5494d87dbc0af51911892db3');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 19, 1, 48, 't-22', 'credit', 'COMMITTED', -23.22, -6.07, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:07:00.5+00', 46, '\x7be3eb843bbc03ed7d1326d8e358a25e72abc83cefb0fa8d585b48615cf09f27');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 20, 1, 49, 't-23', 'reserve', 'RESERVED', 24.23, 18.16, 24.23, 50000, 40000, NULL, NULL, '2026-01-01 01:10:00+00', 47, '\x975dae6615131515fe51b6f8597772c3f48f1069dceef0b18764d7e4ec79c59d');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 21, 1, 50, 't-23', 'commit', 'COMMITTED', 0, 18.16, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:10:00.5+00', 48, '\xa48a5f642aa0466f0457be6493123f49bb458117847d9910cd30ffa506091068');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 25, 1, 51, 't-25', 'reserve', 'RESERVED', 26.25, 8.09, 26.25, 50000, 40000, NULL, NULL, '2026-01-01 01:16:00+00', 49, '\xbf41f312048609aa6c9724674166cdf2f406b2fc904c8fa7016c311d38695736');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 26, 1, 52, 't-25', 'commit', 'COMMITTED', 0, 8.09, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:16:00.5+00', 50, '\x191deb5c63d7d992b8cb58024989f3fecf53c846e8da05d1dd76c16eebea27dd');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 22, 1, 53, 't-26', 'reserve', 'RESERVED', 27.26, 45.42, 27.26, 50000, 40000, NULL, NULL, '2026-01-01 01:19:00+00', 51, '\xaac5cf1983f554a4ae66e651252e85c6c713ec58c9977db7f8b67b1d66b6851b');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 23, 1, 54, 't-26', 'commit', 'COMMITTED', 0, 45.42, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:19:00.5+00', 52, '\xe62165ce1813c5397f07238d44f3dd5593d2ee16a8b6ad2a6339661c5b623a74');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 27, 1, 55, 't-26', 'credit', 'COMMITTED', -27.26, -19.17, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:19:00.5+00', 53, '\xadbcd678bfe7c627abb8657c4a399548fbd0e6be6d7b8b924f1b588b20fe7cbf');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 28, 1, 56, 't-28', 'reserve', 'RESERVED', 29.28, 10.11, 29.28, 50000, 40000, NULL, NULL, '2026-01-01 01:25:00+00', 54, '\x777c788e43b404e5f7c77388e695a972b339a1a9d0574cb1bc7ad0249ee4df29');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 29, 1, 57, 't-28', 'commit', 'COMMITTED', 0, 10.11, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:25:00.5+00', 55, '\x487a7489eb57e1a8005c8351b0197e1ec1511dc3670b5789e0912a7cd4a5b5e4');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 30, 1, 58, 't-28', 'credit', 'COMMITTED', -29.28, -19.17, 0, 50000, 40000, NULL, NULL, '2026-01-01 01:25:00.5+00', 56, '\xea9fd18b591405e159d1dfe298224d98c61eccf6dfb3bd580c4ae9cd18c64064');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 24, 1, 59, 't-29', 'reserve', 'RESERVED', 30.29, 75.71, 30.29, 50000, 40000, NULL, NULL, '2026-01-01 01:28:00+00', 57, '\x4ffda7809dbd003d36afbe418ef7eb568fd1a1ae4a65194826904929fb663baf');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 25, 1, 60, 't-29', 'release', 'ABORTED', -30.29, 45.42, 0, 50000, 40000, '5105', 'no', '2026-01-01 01:28:00.5+00', 58, '\xa0f3965fc821bf959ffc25b43bce9d7bf81bfd880c13e73e757ae5413a93a85d');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 31, 1, 61, 't-31', 'reserve', 'RESERVED', 7.5, -11.67, 7.5, 50000, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 59, '\x38c880b31c46d562a0d1ba717eefa3247924361f61cb25d479dbe5c941b693cc');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 26, 1, 62, 't-32', 'reserve', 'RESERVED', 7.5, 52.92, 7.5, 50000, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 60, '\x8ecfc14e82ce41b14c0aeafe1323675478d148257bad5f4f1b5e4d6d03488949');
INSERT INTO florin_kept.position_change VALUES ('dfsp5/USD', 32, 1, 63, 't-34', 'reserve', 'RESERVED', 7.5, -4.17, 15, 50000, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 61, '\xc019268add36771583642345f075354e1f986d3549ad69cc2f471e510753b797');
INSERT INTO florin_kept.position_change VALUES ('dfsp8/USD', 27, 1, 64, 't-35', 'reserve', 'RESERVED', 7.5, 60.42, 15, 50000, 40000, NULL, NULL, '2026-01-01 01:39:00+00', 62, '\x953e6ade9a29becf846c3650d0a46d024b9cc185fcfbf9298ee41f3e87349c1d');
INSERT INTO florin_kept.position_change VALUES ('shard/1', 3, 1, 65, 't-36', 'invalid', 'INVALID', NULL, NULL, NULL, NULL, NULL, '3100', 'payer''s account is not active', '2026-01-01 01:39:00+00', 63, '\xe0ff04534e4377775a05e2945812fc5340ca1cb7970e13defdc1b2adb9d2d49b');
INSERT INTO florin_kept.shard_journal VALUES ('shard/0', 0, 4, '\x4dfb557abc6b5ae7b61a4210ab79ae04c1c32c5bcc4be56515682ec1d9328f5c');
INSERT INTO florin_kept.shard_journal VALUES ('shard/1', 1, 3, '\xe0ff04534e4377775a05e2945812fc5340ca1cb7970e13defdc1b2adb9d2d49b');
INSERT INTO florin_kept.transfer VALUES ('t-0', 0, 'dfsp1', 'dfsp1', 'USD', 1.0000, 'COMMITTED', NULL, NULL, '2026-01-01 00:06:00+00', '2026-01-01 00:01:00+00', '2026-01-01 00:01:00.5+00', '2026-01-01T00:01:00.500Z', '0aWsmgFfrC73s0FnNjVRKhUR9B_jfREbJn8DnuxdT1g');
INSERT INTO florin_kept.transfer VALUES ('t-3', 0, 'dfsp1', 'dfsp5', 'USD', 4.0300, 'COMMITTED', NULL, NULL, '2026-01-01 00:15:00+00', '2026-01-01 00:10:00+00', '2026-01-01 00:10:00.5+00', '2026-01-01T00:10:00.500Z', 'L1BSyf0VsZoYxYTQE2NWgZhhPww06EQJ73k4cJoVnsI');
INSERT INTO florin_kept.transfer VALUES ('t-6', 0, 'dfsp1', 'dfsp8', 'USD', 7.0600, 'ABORTED', '3303', 'transfer expired', '2026-01-01 00:24:00+00', '2026-01-01 00:19:00+00', '2026-01-01 00:28:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-9', 0, 'dfsp1', 'dfsp1', 'USD', 10.0900, 'ABORTED', '5105', 'no', '2026-01-01 00:33:00+00', '2026-01-01 00:28:00+00', '2026-01-01 00:28:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-12', 0, 'dfsp1', 'dfsp5', 'USD', 13.1200, 'COMMITTED', NULL, NULL, '2026-01-01 00:42:00+00', '2026-01-01 00:37:00+00', '2026-01-01 00:37:00.5+00', '2026-01-01T00:37:00.500Z', 'WOCPabqDhuLbh1saLZJzSkycT2LkSWL9KeWaVG-ts2Y');
INSERT INTO florin_kept.transfer VALUES ('t-15', 0, 'dfsp1', 'dfsp8', 'USD', 16.1500, 'COMMITTED', NULL, NULL, '2026-01-01 00:51:00+00', '2026-01-01 00:46:00+00', '2026-01-01 00:46:00.5+00', '2026-01-01T00:46:00.500Z', 'W9TKSXUwtLNJDjUPNZC7qf4hYSizWlePRZ_Jq4dFrog');
INSERT INTO florin_kept.transfer VALUES ('t-18', 0, 'dfsp1', 'dfsp1', 'USD', 19.1800, 'COMMITTED', NULL, NULL, '2026-01-01 01:00:00+00', '2026-01-01 00:55:00+00', '2026-01-01 00:55:00.5+00', '2026-01-01T00:55:00.500Z', 'Ni63-JVOdOOnuCOzc1l5vZpHXOzLz5Rxt3NiZsSIG9Q');
INSERT INTO florin_kept.transfer VALUES ('t-21', 0, 'dfsp1', 'dfsp5', 'USD', 22.2100, 'COMMITTED', NULL, NULL, '2026-01-01 01:09:00+00', '2026-01-01 01:04:00+00', '2026-01-01 01:04:00.5+00', '2026-01-01T01:04:00.500Z', '1x8jimt047FzAvVx6ChVepJ5HcOEcLs5nMLGddFzAhc');
INSERT INTO florin_kept.transfer VALUES ('t-24', 0, 'dfsp1', 'dfsp8', 'USD', 25.2400, 'ABORTED', '5105', 'no', '2026-01-01 01:18:00+00', '2026-01-01 01:13:00+00', '2026-01-01 01:13:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-27', 0, 'dfsp1', 'dfsp1', 'USD', 28.2700, 'ABORTED', '3303', 'transfer expired', '2026-01-01 01:27:00+00', '2026-01-01 01:22:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-30', 0, 'dfsp1', 'dfsp5', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-33', 0, 'dfsp1', 'dfsp5', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-37', 0, 'dfsp4', 'dfsp1', 'USD', 21.0000, 'ABORTED', '4200', 'payer''s net debit cap would be exceeded', '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-1', 1, 'dfsp5', 'dfsp5', 'USD', 2.0100, 'COMMITTED', NULL, NULL, '2026-01-01 00:09:00+00', '2026-01-01 00:04:00+00', '2026-01-01 00:04:00.5+00', '2026-01-01T00:04:00.500Z', 'arnx6499M4j0-dWG9m6Z_VQIDfLERvDlhmiwnAihbdA');
INSERT INTO florin_kept.transfer VALUES ('t-2', 1, 'dfsp8', 'dfsp8', 'USD', 3.0200, 'COMMITTED', NULL, NULL, '2026-01-01 00:12:00+00', '2026-01-01 00:07:00+00', '2026-01-01 00:07:00.5+00', '2026-01-01T00:07:00.500Z', 'AV9-a8Wur0g3JAieklLME7UJUaa2lBJSJ2XP9NeAMG4');
INSERT INTO florin_kept.transfer VALUES ('t-4', 1, 'dfsp5', 'dfsp8', 'USD', 5.0400, 'ABORTED', '5105', 'no', '2026-01-01 00:18:00+00', '2026-01-01 00:13:00+00', '2026-01-01 00:13:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-5', 1, 'dfsp8', 'dfsp1', 'USD', 6.0500, 'COMMITTED', NULL, NULL, '2026-01-01 00:21:00+00', '2026-01-01 00:16:00+00', '2026-01-01 00:16:00.5+00', '2026-01-01T00:16:00.500Z', 'iNv2EpcsWUosL23eST7xxM0nrbqMNubr0AuJ_xQ6umE');
INSERT INTO florin_kept.transfer VALUES ('t-7', 1, 'dfsp5', 'dfsp1', 'USD', 8.0700, 'COMMITTED', NULL, NULL, '2026-01-01 00:27:00+00', '2026-01-01 00:22:00+00', '2026-01-01 00:22:00.5+00', '2026-01-01T00:22:00.500Z', '-4SMmbmkPseGaiPqAAwZOaFo9f8XMUoLiMe-cR1-99A');
INSERT INTO florin_kept.transfer VALUES ('t-8', 1, 'dfsp8', 'dfsp5', 'USD', 9.0800, 'COMMITTED', NULL, NULL, '2026-01-01 00:30:00+00', '2026-01-01 00:25:00+00', '2026-01-01 00:25:00.5+00', '2026-01-01T00:25:00.500Z', 'Wj34nae_I9cexj8RHZFxw_BQRzgKF4EvICSOY8_e1Ps');
INSERT INTO florin_kept.transfer VALUES ('t-10', 1, 'dfsp5', 'dfsp5', 'USD', 11.1000, 'COMMITTED', NULL, NULL, '2026-01-01 00:36:00+00', '2026-01-01 00:31:00+00', '2026-01-01 00:31:00.5+00', '2026-01-01T00:31:00.500Z', 'SuQ_2DWEhKZbA8_zs_Dr5UeN6kg5jSRij0FClRjkvOA');
INSERT INTO florin_kept.transfer VALUES ('t-11', 1, 'dfsp8', 'dfsp8', 'USD', 12.1100, 'COMMITTED', NULL, NULL, '2026-01-01 00:39:00+00', '2026-01-01 00:34:00+00', '2026-01-01 00:34:00.5+00', '2026-01-01T00:34:00.500Z', 'E4dtBiekjxmOXV7roETqrs51RaES2HLvH8evdo5Np38');
INSERT INTO florin_kept.transfer VALUES ('t-13', 1, 'dfsp5', 'dfsp8', 'USD', 14.1300, 'ABORTED', '3303', 'transfer expired', '2026-01-01 00:45:00+00', '2026-01-01 00:40:00+00', '2026-01-01 00:46:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-14', 1, 'dfsp8', 'dfsp1', 'USD', 15.1400, 'ABORTED', '5105', 'no', '2026-01-01 00:48:00+00', '2026-01-01 00:43:00+00', '2026-01-01 00:43:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-16', 1, 'dfsp5', 'dfsp1', 'USD', 17.1600, 'COMMITTED', NULL, NULL, '2026-01-01 00:54:00+00', '2026-01-01 00:49:00+00', '2026-01-01 00:49:00.5+00', '2026-01-01T00:49:00.500Z', 'jWjGVWd8XHLYEYlJ6Jl1cZFZLzJSQS4W3GT6fkT_oJU');
INSERT INTO florin_kept.transfer VALUES ('t-17', 1, 'dfsp8', 'dfsp5', 'USD', 18.1700, 'COMMITTED', NULL, NULL, '2026-01-01 00:57:00+00', '2026-01-01 00:52:00+00', '2026-01-01 00:52:00.5+00', '2026-01-01T00:52:00.500Z', 'bEfB3mbn5evXsf4HRuoaNgvPBDkpgp-xjL16B8Jddjk');
INSERT INTO florin_kept.transfer VALUES ('t-19', 1, 'dfsp5', 'dfsp5', 'USD', 20.1900, 'ABORTED', '5105', 'no', '2026-01-01 01:03:00+00', '2026-01-01 00:58:00+00', '2026-01-01 00:58:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-20', 1, 'dfsp8', 'dfsp8', 'USD', 21.2000, 'ABORTED', '3303', 'transfer expired', '2026-01-01 01:06:00+00', '2026-01-01 01:01:00+00', '2026-01-01 01:07:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-22', 1, 'dfsp5', 'dfsp8', 'USD', 23.2200, 'COMMITTED', NULL, NULL, '2026-01-01 01:12:00+00', '2026-01-01 01:07:00+00', '2026-01-01 01:07:00.5+00', '2026-01-01T01:07:00.500Z', 'Qysue_RYPndsOvg-GVKrp-89PmlWCltQIIg5kK6qI8k');
INSERT INTO florin_kept.transfer VALUES ('t-23', 1, 'dfsp8', 'dfsp1', 'USD', 24.2300, 'COMMITTED', NULL, NULL, '2026-01-01 01:15:00+00', '2026-01-01 01:10:00+00', '2026-01-01 01:10:00.5+00', '2026-01-01T01:10:00.500Z', '9o8xiec5TYs50bi9sDUinKrGfsPh1x--TEypoLLf8vs');
INSERT INTO florin_kept.transfer VALUES ('t-25', 1, 'dfsp5', 'dfsp1', 'USD', 26.2500, 'COMMITTED', NULL, NULL, '2026-01-01 01:21:00+00', '2026-01-01 01:16:00+00', '2026-01-01 01:16:00.5+00', '2026-01-01T01:16:00.500Z', 'ZA2jCag2OgLl2x-9OmBn8DHD4lo2X2L8JgAmqGihc7M');
INSERT INTO florin_kept.transfer VALUES ('t-26', 1, 'dfsp8', 'dfsp5', 'USD', 27.2600, 'COMMITTED', NULL, NULL, '2026-01-01 01:24:00+00', '2026-01-01 01:19:00+00', '2026-01-01 01:19:00.5+00', '2026-01-01T01:19:00.500Z', 'rPa7KExqmz0GQG-ZjFPdCAWCKFfCbUR6hF2O5K0HHq0');
INSERT INTO florin_kept.transfer VALUES ('t-28', 1, 'dfsp5', 'dfsp5', 'USD', 29.2800, 'COMMITTED', NULL, NULL, '2026-01-01 01:30:00+00', '2026-01-01 01:25:00+00', '2026-01-01 01:25:00.5+00', '2026-01-01T01:25:00.500Z', 'nBoR7-EEgKIPBho-QTnwSvEnEjqpYkcupzs47J6GrnQ');
INSERT INTO florin_kept.transfer VALUES ('t-29', 1, 'dfsp8', 'dfsp8', 'USD', 30.2900, 'ABORTED', '5105', 'no', '2026-01-01 01:33:00+00', '2026-01-01 01:28:00+00', '2026-01-01 01:28:00.5+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-31', 1, 'dfsp5', 'dfsp8', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-32', 1, 'dfsp8', 'dfsp1', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-34', 1, 'dfsp5', 'dfsp8', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-35', 1, 'dfsp8', 'dfsp1', 'USD', 7.5000, 'RESERVED', NULL, NULL, '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
INSERT INTO florin_kept.transfer VALUES ('t-36', 1, 'dfsp8', 'dfsp1', 'XOF', 1.0000, 'INVALID', '3100', 'payer''s account is not active', '2026-01-01 01:44:00+00', '2026-01-01 01:39:00+00', '2026-01-01 01:39:00+00', NULL, NULL);
ALTER TABLE ONLY florin_kept._yoyo_log
    ADD CONSTRAINT _yoyo_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY florin_kept._yoyo_migration
    ADD CONSTRAINT _yoyo_migration_pkey PRIMARY KEY (migration_hash);
ALTER TABLE ONLY florin_kept._yoyo_version
    ADD CONSTRAINT _yoyo_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY florin_kept.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account);
ALTER TABLE ONLY florin_kept.applied_offset
    ADD CONSTRAINT applied_offset_pkey PRIMARY KEY (topic, partition);
ALTER TABLE ONLY florin_kept.chain_break
    ADD CONSTRAINT chain_break_pkey PRIMARY KEY (partition, event_offset);
ALTER TABLE ONLY florin_kept.command_result
    ADD CONSTRAINT command_result_pkey PRIMARY KEY (partition, event_offset);
ALTER TABLE ONLY florin_kept.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (partition, event_offset);
ALTER TABLE ONLY florin_kept.funds_movement
    ADD CONSTRAINT funds_movement_pkey PRIMARY KEY (account, transfer_id);
ALTER TABLE ONLY florin_kept.participant
    ADD CONSTRAINT participant_pkey PRIMARY KEY (id);
ALTER TABLE ONLY florin_kept.shard_journal
    ADD CONSTRAINT shard_journal_pkey PRIMARY KEY (account);
ALTER TABLE ONLY florin_kept.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY florin_kept.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (transfer_id, partition);
ALTER TABLE ONLY florin_kept.yoyo_lock
    ADD CONSTRAINT yoyo_lock_pkey PRIMARY KEY (locked);
CREATE INDEX account_participant ON florin_kept.account USING btree (participant, currency);
CREATE INDEX command_result_command ON florin_kept.command_result USING btree (command_id);
CREATE INDEX position_change_account ON florin_kept.position_change USING btree (account, seq);
CREATE INDEX position_change_transfer ON florin_kept.position_change USING btree (transfer_id) WHERE (transfer_id IS NOT NULL);
CREATE INDEX transfer_created ON florin_kept.transfer USING btree (created_at);
CREATE INDEX transfer_not_committed ON florin_kept.transfer USING btree (state, created_at) WHERE (state <> 'COMMITTED'::text);
CREATE INDEX transfer_payee ON florin_kept.transfer USING btree (payee, created_at);
CREATE INDEX transfer_payer ON florin_kept.transfer USING btree (payer, created_at);
