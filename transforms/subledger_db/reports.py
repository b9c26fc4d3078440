"""Reports over the books, as Arrow batches; read with the rights of whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from florin_io.postgres import Connection
from transforms.subledger_db.model import LedgerError

_BATCH = 20_000
AMOUNT = pa.decimal128(38, 4)
_QUANTITY = pa.decimal128(38, 8)
# Counts of rows as well as amounts.
_NUMBER = pa.decimal128(38, 6)
_TEXT = pa.string()


@dataclass(frozen=True)
class Report:
    """A query and its columns."""

    name: str
    title: str
    query: str
    columns: Mapping[str, pa.DataType]

    @property
    def schema(self) -> pa.Schema:
        """Of the batches."""
        return pa.schema(list(self.columns.items()))


# Reads the months before the first apart, so that a balance can be carried forward.
TRIAL_BALANCE = Report(
    "trial-balance",
    "trial balance",
    """
    SELECT b.account, a.name, b.currency,
        coalesce(sum(debit - credit) FILTER (WHERE period < %(first)s), 0),
        coalesce(sum(debit) FILTER (WHERE period >= %(first)s), 0),
        coalesce(sum(credit) FILTER (WHERE period >= %(first)s), 0), sum(debit - credit),
        coalesce(sum(accounted_debit - accounted_credit) FILTER (WHERE period < %(first)s), 0),
        coalesce(sum(accounted_debit) FILTER (WHERE period >= %(first)s), 0),
        coalesce(sum(accounted_credit) FILTER (WHERE period >= %(first)s), 0), sum(accounted_debit - accounted_credit)
    FROM balance b LEFT JOIN account a USING (tenant_id, account)
    WHERE b.tenant_id = %(tenant)s AND b.entity_id = %(entity)s AND period <= %(last)s
    GROUP BY 1, 2, 3 ORDER BY 1, 3""",
    {
        "account": _TEXT, "name": _TEXT, "currency": _TEXT, "opening": AMOUNT, "debit": AMOUNT, "credit": AMOUNT,
        "closing": AMOUNT, "accounted_opening": AMOUNT, "accounted_debit": AMOUNT, "accounted_credit": AMOUNT,
        "accounted_closing": AMOUNT,
    },
)  # fmt: skip

STATEMENT = Report(
    "statement",
    "account statement",
    """
    WITH lines AS (
        SELECT l.request_id, l.period, l.accounting_date, l.je_no, l.line_no, l.instrument, l.side, l.quantity,
            l.currency, l.amount, l.accounted, l.lot
        FROM je_line l
        WHERE l.tenant_id = %(tenant)s AND l.entity_id = %(entity)s AND l.account = %(account)s
            AND l.period BETWEEN %(first)s AND %(last)s),
    opening AS (
        SELECT currency, sum(debit - credit) AS amount, sum(accounted_debit - accounted_credit) AS accounted
        FROM balance
        WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s AND account = %(account)s AND period < %(first)s
        GROUP BY currency)
    SELECT l.accounting_date, l.je_no, l.line_no, c.name, h.source_id, h.late, l.instrument, l.lot, l.currency,
        CASE l.side WHEN 1 THEN l.amount END, CASE l.side WHEN -1 THEN l.amount END,
        coalesce(o.amount, 0) + sum(l.side * l.amount) OVER running,
        l.side * l.accounted, coalesce(o.accounted, 0) + sum(l.side * l.accounted) OVER running
    FROM lines l
        JOIN je_header h ON h.tenant_id = %(tenant)s AND h.request_id = l.request_id AND h.period = l.period
            AND h.je_no = l.je_no
        JOIN event_class c USING (event_class) LEFT JOIN opening o ON o.currency = l.currency
    WINDOW running AS (PARTITION BY l.currency ORDER BY l.accounting_date, l.je_no, l.line_no)
    ORDER BY l.currency, l.accounting_date, l.je_no, l.line_no""",
    {
        "date": pa.date32(), "je_no": pa.int64(), "line": pa.int32(), "event": _TEXT, "source_id": _TEXT,
        "late": pa.bool_(), "instrument": _TEXT, "lot": pa.int64(), "currency": _TEXT, "debit": AMOUNT,
        "credit": AMOUNT, "balance": AMOUNT, "accounted": AMOUNT, "accounted_balance": AMOUNT,
    },
)  # fmt: skip

LOTS = Report(
    "lots",
    "open lots",
    """
    SELECT instrument, lot, opened, quantity, original, currency, cost, accounted
    FROM current_lot WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s
        AND (%(instrument)s::text IS NULL OR instrument = %(instrument)s)
    ORDER BY instrument, opened, lot""",
    {
        "instrument": _TEXT, "lot": pa.int64(), "opened": pa.date32(), "quantity": _QUANTITY, "original": _QUANTITY,
        "currency": _TEXT, "cost": AMOUNT, "accounted_cost": AMOUNT,
    },
)  # fmt: skip

GAINS = Report(
    "gains",
    "realised and unrealised gains, in the base currency",
    """
    SELECT instrument, c.quantity, c.currency, c.cost, c.accounted, r.realised, c.unrealised, r.realised + c.unrealised
    FROM current_position c JOIN (
        SELECT instrument, sum(realised) AS realised FROM position
        WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s GROUP BY instrument) r USING (instrument)
    WHERE c.tenant_id = %(tenant)s AND c.entity_id = %(entity)s
        AND (%(instrument)s::text IS NULL OR instrument = %(instrument)s)
    ORDER BY instrument""",
    {
        "instrument": _TEXT, "quantity": _QUANTITY, "currency": _TEXT, "cost": AMOUNT, "accounted_cost": AMOUNT,
        "realised": AMOUNT, "unrealised": AMOUNT, "total": AMOUNT,
    },
)  # fmt: skip

_CHECK = {
    "check": _TEXT, "subject": _TEXT, "expected": _NUMBER, "found": _NUMBER, "difference": _NUMBER, "ok": pa.bool_(),
}  # fmt: skip
_CHECKS = """
    SELECT number, name, subject, expected, found, difference, ok FROM reconciliation
    WHERE request_id = %(request)s AND attempt = (
        SELECT max(attempt) FROM reconciliation WHERE request_id = %(request)s)"""

RECONCILIATION = Report(
    "reconciliation",
    "reconciliation",
    f"SELECT name, subject, expected, found, difference, ok FROM ({_CHECKS}) c ORDER BY number",
    _CHECK,
)

RECONCILIATION_SUMMARY = Report(
    "reconciliation",
    "reconciliation",
    f"""
    WITH checks AS ({_CHECKS}),
    kinds AS (
        SELECT min(number) AS number, name, count(*) AS compared, count(*) FILTER (WHERE NOT ok) AS differ FROM checks
        GROUP BY name)
    SELECT name, subject, expected, found, difference, ok FROM (
        SELECT c.number, 1 AS place, name, c.subject, c.expected, c.found, c.difference, c.ok
        FROM checks c JOIN kinds k USING (name) WHERE k.compared = 1 OR NOT c.ok
        UNION ALL
        SELECT number, 0, name, compared || ' compared, ' || differ || ' differ', NULL, NULL, NULL, differ = 0
        FROM kinds WHERE compared > 1) shown
    ORDER BY (SELECT k.number FROM kinds k WHERE k.name = shown.name), place, number""",
    _CHECK,
)

REJECTS = Report(
    "rejects",
    "rows that were not posted",
    """
    SELECT file, line, "column", kind, reason, text FROM reject
    WHERE tenant_id = %(tenant)s AND request_id = %(request)s ORDER BY file, line""",
    {
        "file": pa.int32(), "line": pa.int64(), "column": _TEXT, "kind": _TEXT, "reason": _TEXT, "text": _TEXT,
    },
)  # fmt: skip


def find_entity(connection: Connection, tenant: str, name: str) -> dict[str, int]:
    """Numbers of a tenant and its entity that this user may see. Raises LedgerError."""
    row = connection.execute(
        "SELECT e.tenant_id, e.entity_id FROM entity e JOIN tenant t USING (tenant_id) "
        "WHERE t.name = %s AND e.name = %s",
        (tenant, name),
    ).fetchone()
    if row is None:
        raise LedgerError(f"there is no entity {tenant}/{name} that this user may see")
    return {"tenant": int(row[0]), "entity": int(row[1])}


def find_request(connection: Connection, number: int) -> dict[str, int]:
    """Number of a request that this user may see, and of its tenant. Raises LedgerError."""
    row = connection.execute("SELECT tenant_id FROM request WHERE request_id = %s", (number,)).fetchone()
    if row is None:
        raise LedgerError(f"there is no request {number} that this user may see")
    return {"tenant": int(row[0]), "request": number}


def read(
    connection: Connection, report: Report, given: Mapping[str, Any], limit: int | None = None
) -> Iterator[pa.RecordBatch]:
    """A report's rows, in batches of 20,000 at most, so that a long one fits into memory; all of one moment."""
    query = report.query if limit is None else f"{report.query} LIMIT {int(limit)}"
    with connection.transaction(), connection.cursor(name="report") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(query.encode(), given)
        while rows := cursor.fetchmany(_BATCH):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(values, type) for values, type in zip(columns, report.columns.values(), strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=report.schema)
