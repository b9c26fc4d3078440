"""Publication: one transaction that attaches an attempt's leaves to the books, or changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from florin_io.postgres import Connection
from transforms.subledger_db import queueing, staging
from transforms.subledger_db.model import Check, LedgerError, PeriodClosed, Request, StagingLost


@dataclass(frozen=True)
class Totals:
    """What a request did, for its row: rows in, posted, rejected, duplicate; lines; the range of its order_seq."""

    rows_read: int
    rows_posted: int
    rows_rejected: int
    rows_duplicate: int
    lines_posted: int
    zone: tuple[int, int] | None = None


@dataclass(frozen=True)
class InputFile:
    """An input file as it was read."""

    file: int
    name: str
    size: int | None
    sha256: bytes | None
    rows: int | None
    audit_copy: str | None = None


@dataclass(frozen=True)
class Publication:
    """All that goes into the books beside the leaves.

    `expected`: stage -> (files, rows) that the stages say they loaded.
    """

    totals: Totals
    checks: Sequence[Check]
    expected: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    files: Sequence[InputFile] = ()


def publish(connection: Connection, request: Request, attempt: int, what: Publication) -> None:
    """Attach the sealed leaves, mark the request PUBLISHED and queue its indexes, in one transaction. Repeatable.

    Raises Fenced for a zombie; StagingLost, PeriodClosed: try again as another attempt; LedgerError if a check is not
    ok or rows in are not posted + rejected + duplicate.
    """
    _must_reconcile(request, what)
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        if _is_published(connection, request, attempt):
            return
        staging.guard(connection, request.request_id, attempt)
        _must_be_there(connection, request, attempt, what.expected)
        filled = _filled(connection, request.request_id, attempt)
        _must_be_open(connection, request, {period for name in filled if (period := _period(name)) is not None})
        _must_be_sealed(connection, filled)
        staging.drop_old_rejects(connection, request.request_id)
        for name, parent in sorted(filled.items(), key=lambda item: (item[1], item[0])):
            branch = staging.branch(parent, request.entity.tenant_id, _period(name))
            staging.attach(connection, branch, name, request.request_id)
        for name in staging.leaves(connection, request.request_id):
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        write_checks(connection, request, attempt, what.checks)
        _write_files(connection, request, what.files)
        _write_accounts(connection, request)
        _mark(connection, request, what.totals)
        if request.kind == "REVERSE":
            _mark_reversed(connection, request)
        queueing.index_afterwards(connection, request.request_id)


def _is_published(connection: Connection, request: Request, attempt: int) -> bool:
    """Whether this attempt did it before, and nobody heard of it."""
    found = connection.execute(
        "SELECT state, attempt FROM request WHERE request_id = %s", (request.request_id,)
    ).fetchone()
    return found == ("PUBLISHED", attempt)


def _must_reconcile(request: Request, what: Publication) -> None:
    wrong = [check for check in what.checks if not check.ok]
    if wrong:
        first = wrong[0]
        raise LedgerError(
            f"request {request.request_id}: {len(wrong)} checks failed, first: {first.name} {first.subject or ''} "
            f"expected {first.expected}, found {first.found}"
        )
    did = what.totals
    if did.rows_read != did.rows_posted + did.rows_rejected + did.rows_duplicate:
        raise LedgerError(
            f"request {request.request_id}: {did.rows_read} rows in are not {did.rows_posted} posted + "
            f"{did.rows_rejected} rejected + {did.rows_duplicate} duplicate"
        )


def _must_be_there(
    connection: Connection, request: Request, attempt: int, expected: Mapping[str, tuple[int, int]]
) -> None:
    found = {
        stage: (int(files), int(rows))
        for stage, files, rows in connection.execute(
            "SELECT stage, count(*), sum(rows) FROM manifest WHERE request_id = %s AND attempt = %s GROUP BY stage",
            (request.request_id, attempt),
        )
    }
    for stage, wanted in expected.items():
        if wanted[0] and found.get(stage, (0, 0)) != wanted:
            raise StagingLost(
                f"request {request.request_id}: stage {stage} loaded {wanted[0]} files with {wanted[1]} rows, and the "
                f"database has {found.get(stage, (0, 0))}"
            )


def _filled(connection: Connection, request_id: int, attempt: int) -> dict[str, str]:
    """Leaves that hold rows; an empty one would only be one more partition to look into."""
    found = staging.leaves(connection, request_id, attempt)
    return {
        name: parent
        for name, parent in found.items()
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(name))).fetchone()
    }


def _period(name: str) -> int | None:
    _, _, period = name.rpartition("_p")
    return int(period) if period.isdigit() else None


def _must_be_open(connection: Connection, request: Request, periods: set[int]) -> None:
    """Periods stay open until this transaction ends: closing one waits for the lock."""
    found: dict[int, str] = dict(
        connection.execute(
            "SELECT period, state FROM period WHERE entity_id = %s AND period = ANY(%s) FOR SHARE",
            (request.entity.entity_id, list(periods)),
        ).fetchall()
    )
    closed = sorted(period for period in periods if found.get(period) != "OPEN")
    if closed:
        raise PeriodClosed(f"request {request.request_id} wrote to periods that are not open: {closed}")


def _must_be_sealed(connection: Connection, filled: Iterable[str]) -> None:
    for name in filled:
        (made,) = connection.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(quote_ident(%s))", (name,)
        ).fetchone() or (0,)
        wanted = staging.index_count(name)
        assert made == wanted, f"{name} was not sealed: {made} of {wanted} indexes"


def write_checks(connection: Connection, request: Request, attempt: int, checks: Iterable[Check]) -> None:
    """Store a reconciliation, of a request that is published or refused."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reconciliation (tenant_id, request_id, attempt, number, name, subject, expected, found, ok) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (request.entity.tenant_id, request.request_id, attempt, number, check.name, check.subject,
                 check.expected, check.found, check.ok)
                for number, check in enumerate(checks)
            ],
        )  # fmt: skip


def _write_files(connection: Connection, request: Request, files: Iterable[InputFile]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO input_file (tenant_id, request_id, file, name, size, sha256, rows, audit_copy) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (request.entity.tenant_id, request.request_id, one.file, one.name, one.size, one.sha256, one.rows,
                 one.audit_copy)
                for one in files
            ],
        )  # fmt: skip


def _write_accounts(connection: Connection, request: Request) -> None:
    connection.execute(
        """
        INSERT INTO account (tenant_id, account, first_request)
        SELECT DISTINCT tenant_id, account, request_id FROM balance WHERE tenant_id = %s AND request_id = %s
        ORDER BY account ON CONFLICT DO NOTHING""",
        (request.entity.tenant_id, request.request_id),
    )


def _mark(connection: Connection, request: Request, totals: Totals) -> None:
    low, high = totals.zone or (None, None)
    connection.execute(
        """
        UPDATE request SET state = 'PUBLISHED', finished_at = clock_timestamp(), error = NULL, stage = NULL,
            rows_read = %(read)s, rows_posted = %(posted)s, rows_rejected = %(rejected)s,
            rows_duplicate = %(duplicate)s, lines_posted = %(lines)s, zone_min = %(low)s, zone_max = %(high)s,
            bytes_read = coalesce(bytes_total, bytes_read),
            periods = coalesce((SELECT array_agg(DISTINCT period ORDER BY period) FROM balance
                                WHERE tenant_id = %(tenant)s AND request_id = %(id)s), '{}')
        WHERE request_id = %(id)s""",
        {
            "id": request.request_id, "tenant": request.entity.tenant_id, "read": totals.rows_read,
            "posted": totals.rows_posted, "rejected": totals.rows_rejected, "duplicate": totals.rows_duplicate,
            "lines": totals.lines_posted, "low": low, "high": high,
        },
    )  # fmt: skip


def _mark_reversed(connection: Connection, request: Request) -> None:
    done = connection.execute(
        "UPDATE request SET state = 'REVERSED' WHERE request_id = %s AND state = 'PUBLISHED'", (request.target_id,)
    )
    if done.rowcount != 1:
        raise LedgerError(f"request {request.target_id} is no longer published: it cannot be reversed")
