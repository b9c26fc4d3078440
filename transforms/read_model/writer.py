"""Applies one partition's events to Postgres: rows and offset in one SQL transaction, rows in bulk by COPY.

The session runs with `synchronous_commit=off`: a crash of the server may lose the last moments, but rows and offset
together, and the events are still in Kafka. A commit then costs no disk flush.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import psycopg

from florin_io.postgres import Connection, Database
from transforms.read_model.projection import JOURNAL, Head, Record, Rows, escaped, project, timestamp, unescaped

_LOG = logging.getLogger(__name__)

# What the server says to rows that it cannot hold; anything else is not the rows' fault.
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)

_STAGING = """
CREATE TEMP TABLE transfer_staging (LIKE transfer) ON COMMIT DELETE ROWS;
ALTER TABLE transfer_staging ALTER state DROP NOT NULL, ALTER updated_at DROP NOT NULL;
CREATE TEMP TABLE account_staging (account text, partition integer, position numeric, reserved numeric, cover numeric,
    ndc numeric, last_seq bigint, last_hash bytea, updated_at timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE participant_staging (id text, partition integer, active boolean, at timestamptz)
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE funds_staging (LIKE funds_movement) ON COMMIT DELETE ROWS;
"""
_COPY_CHANGES = """COPY position_change (account, seq, partition, event_offset, transfer_id, kind, state, change,
    position, reserved, cover, ndc, code, description, at, log_offset, hash) FROM STDIN"""
_COPY_TRANSFERS = """COPY transfer_staging (transfer_id, payer, payee, currency, amount, state, code, description,
    expiration, created_at, updated_at, completed, fulfilment, partition) FROM STDIN"""
_MERGE_TRANSFERS = """
INSERT INTO transfer AS old SELECT * FROM transfer_staging
ON CONFLICT (transfer_id, partition) DO UPDATE SET
    payer = coalesce(excluded.payer, old.payer), payee = coalesce(excluded.payee, old.payee),
    currency = coalesce(excluded.currency, old.currency), amount = coalesce(excluded.amount, old.amount),
    state = excluded.state, code = excluded.code, description = excluded.description,
    expiration = coalesce(excluded.expiration, old.expiration),
    created_at = coalesce(excluded.created_at, old.created_at), updated_at = excluded.updated_at,
    completed = excluded.completed, fulfilment = excluded.fulfilment
WHERE old.state = 'RESERVED'"""
_MERGE_ACCOUNTS = """
INSERT INTO account (account, participant, currency, partition, position, reserved, cover, ndc, last_seq, last_hash,
    updated_at)
SELECT account, regexp_replace(account, '/[^/]*$', ''), regexp_replace(account, '^.*/', ''), partition,
    coalesce(position, 0), coalesce(reserved, 0), cover, ndc, last_seq, last_hash, updated_at
FROM account_staging ORDER BY account
ON CONFLICT (account) DO UPDATE SET
    position = excluded.position, reserved = excluded.reserved, cover = coalesce(excluded.cover, account.cover),
    ndc = coalesce(excluded.ndc, account.ndc), last_seq = excluded.last_seq, last_hash = excluded.last_hash,
    updated_at = excluded.updated_at"""
_MERGE_PARTICIPANTS = """
INSERT INTO participant (id, partition, active, created_at, updated_at)
SELECT id, partition, coalesce(active, true), at, at FROM participant_staging ORDER BY id
ON CONFLICT (id) DO UPDATE SET active = excluded.active, updated_at = excluded.updated_at"""
_MERGE_FUNDS = """
INSERT INTO funds_movement AS old SELECT * FROM funds_staging
ON CONFLICT (account, transfer_id) DO UPDATE SET
    state = excluded.state, amount = coalesce(excluded.amount, old.amount), updated_at = excluded.updated_at"""
_COPY_FUNDS = """COPY funds_staging (account, transfer_id, partition, direction, state, amount, created_at, updated_at)
    FROM STDIN"""
_COPY_ACCOUNTS = "COPY account_staging FROM STDIN"
_MERGE_JOURNAL = """
INSERT INTO shard_journal (account, partition, last_seq, last_hash) VALUES (%s, %s, %s, %s)
ON CONFLICT (account) DO UPDATE SET last_seq = excluded.last_seq, last_hash = excluded.last_hash"""
_MOVE_OFFSET = """
UPDATE applied_offset SET next_offset = %s, last_at = coalesce(%s, last_at), updated_at = now()
WHERE topic = %s AND partition = %s AND next_offset = %s"""


class OffsetMoved(RuntimeError):
    """Another writer applied events of this partition: this one is a zombie, and nothing of its batch was written."""


class ReadModelWriter:
    """The only writer of one partition's rows. Raises from every method mean: drop this object and make another."""

    def __init__(self, database: Database, topic: str, partition: int) -> None:
        """Connect and read where the partition stands. Raises PostgresUnreachable, or psycopg.Error without tables."""
        self.topic = topic
        self.partition = partition
        self.breaks = 0
        self.dead = 0
        self._connection = database.connect(
            application=f"florin read model {partition}", settings={"synchronous_commit": "off"}
        )
        try:
            self._connection.execute(_STAGING)
            self._next = self._stored_offset()
            self._heads = self._stored_heads()
        except BaseException:
            self._connection.close()
            raise

    def offset(self) -> int:
        """Offset of the next event to apply; everything before it is in the tables."""
        return self._next

    def apply(self, records: Sequence[Record], next_offset: int | None = None) -> None:
        """Write consecutive records, from `offset()` on, and move the offset behind them (or to `next_offset`).

        A record that the server refuses to store goes to dead_letter. Raises OffsetMoved for a zombie, and
        psycopg.OperationalError or InterfaceError if the connection is lost.
        """
        if not records:
            return
        after = records[-1][0] + 1 if next_offset is None else next_offset
        try:
            self._commit(project(records, self._heads, self.partition), after)
        except _REFUSED as error:
            if len(records) == 1:
                self._bury(records[0], after, error)
                return
            half = len(records) // 2
            self.apply(records[:half])
            self.apply(records[half:], after)

    def advance(self, next_offset: int) -> None:
        """Move the offset over places that hold no records (markers of transactions)."""
        if next_offset > self._next:
            self._commit(Rows(), next_offset)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _stored_offset(self) -> int:
        key = (self.topic, self.partition)
        self._connection.execute(
            "INSERT INTO applied_offset (topic, partition) VALUES (%s, %s) ON CONFLICT DO NOTHING", key
        )
        query = "SELECT next_offset FROM applied_offset WHERE topic = %s AND partition = %s"
        row = self._connection.execute(query, key).fetchone()
        assert row is not None
        return int(row[0])

    def _stored_heads(self) -> dict[str, Head]:
        query = """
            SELECT account, last_seq, encode(last_hash, 'hex') FROM account WHERE partition = %(partition)s
            UNION ALL
            SELECT account, last_seq, encode(last_hash, 'hex') FROM shard_journal WHERE partition = %(partition)s"""
        found = self._connection.execute(query, {"partition": self.partition})
        return {escaped(account): (seq, digest) for account, seq, digest in found}

    def _commit(self, rows: Rows, next_offset: int) -> None:
        connection = self._connection
        with connection.transaction():
            self._move(next_offset, rows.last_at)
            _copy(connection, _COPY_CHANGES, rows.position_changes)
            if rows.transfers:
                tail = f"\t{self.partition}"
                _copy(connection, _COPY_TRANSFERS, ["\t".join(row) + tail for row in rows.transfers.values()])
                connection.execute(_MERGE_TRANSFERS)
            if rows.accounts:
                _copy(connection, _COPY_ACCOUNTS, rows.accounts.values())
                connection.execute(_MERGE_ACCOUNTS)
            self._write_rare(rows)
        self._next = next_offset
        self._heads.update(rows.heads)
        self._report(rows)

    def _move(self, next_offset: int, last_at: int) -> None:
        """First of all, so that a second writer waits here, and then finds that it must not go on."""
        at = timestamp(last_at) if last_at else None
        key = (self.topic, self.partition)
        if self._connection.execute(_MOVE_OFFSET, (next_offset, at, *key, self._next)).rowcount != 1:
            raise OffsetMoved(
                f"{self.topic} partition {self.partition}: the tables no longer stand at offset {self._next}; another "
                "writer went on from there or they were built anew, so this one writes nothing"
            )

    def _write_rare(self, rows: Rows) -> None:
        connection = self._connection
        if rows.participants:
            _copy(connection, "COPY participant_staging FROM STDIN", rows.participants.values())
            connection.execute(_MERGE_PARTICIPANTS)
        for account, active in rows.activity.items():
            connection.execute("UPDATE account SET active = %s WHERE account = %s", (active, unescaped(account)))
        if rows.funds:
            _copy(
                connection,
                _COPY_FUNDS,
                rows.funds.values(),
            )
            connection.execute(_MERGE_FUNDS)
        _copy(connection, "COPY command_result FROM STDIN", rows.commands)
        _copy(connection, "COPY chain_break FROM STDIN", rows.breaks)
        for offset, reason, value in rows.dead:
            connection.execute(
                "INSERT INTO dead_letter (partition, event_offset, reason, value) VALUES (%s, %s, %s, %s)",
                (self.partition, offset, reason.replace("\0", "\ufffd"), value),
            )
        for account, (seq, digest) in rows.heads.items():
            if account.startswith(JOURNAL):
                connection.execute(_MERGE_JOURNAL, (account, self.partition, seq, bytes.fromhex(digest)))

    def _bury(self, record: Record, next_offset: int, error: psycopg.Error) -> None:
        offset, _, value = record
        reason = f"PostgreSQL cannot store it: {str(error).strip().partition(chr(10))[0]}"
        self._commit(Rows(dead=[(offset, reason, value)]), next_offset)

    def _report(self, rows: Rows) -> None:
        for line in rows.breaks:
            _, offset, account, *_, fault, _ = line.split("\t")
            _LOG.error("%s/%d offset %s: chain of %s breaks (%s)", self.topic, self.partition, offset, account, fault)
        for place, reason, _ in rows.dead:
            _LOG.error("%s/%d offset %d: %s", self.topic, self.partition, place, reason)
        self.breaks += len(rows.breaks)
        self.dead += len(rows.dead)


def _copy(connection: Connection, statement: str, lines: Iterable[str]) -> None:
    data = "\n".join(lines)
    if data:
        with connection.cursor().copy(statement) as copy:
            copy.write(f"{data}\n".encode())
