"""A subledger in a schema of its own, and requests whose rows tests make by hand instead of a load."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
from psycopg import sql

from florin_io.pgcopy import Column, Encoded, Encoder
from florin_io.postgres import Connection
from transforms.subledger import fields
from transforms.subledger_db import books, requests, reversal, schema, staging
from transforms.subledger_db.model import Check, Request
from transforms.subledger_db.publish import Publication, Totals, publish
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase

_NUMBERS = itertools.count(1)
RULES = "version: test\n"
ALL = ("je_header", "je_line", "lot", "position", "balance")
JANUARY, MARCH = date(2026, 1, 15), date(2026, 3, 10)


def event(source_id: str) -> uuid.UUID:
    """An event's id; the real ones are hashes too."""
    return uuid.uuid5(uuid.NAMESPACE_URL, source_id)


@contextmanager
def ledger(url: str, tenants: Sequence[str] = ("acme",), entity: str = "fund") -> Iterator[LedgerDatabase]:
    """Tables with tenants, each with one entity, periods 202601 to 202604 and rules; gone afterwards."""
    database = LedgerDatabase(url, f"ledger_test_{next(_NUMBERS)}")
    schema.prepare(database)
    roles = []
    try:
        for tenant in tenants:
            roles.append(books.add_tenant(database, tenant)[1])
            with database.connect(application="test") as connection:
                books.load_rules(connection, tenant, "test", RULES, "local", [])
                books.add_entity(connection, tenant, entity, "EUR", periods=books.months(202601, 202604))
        yield database
    finally:
        schema.remove(database)
        with database.as_user("test") as admin:
            for role in roles:
                books.drop_tenant_role(admin, role)


@dataclass(frozen=True)
class Posting:
    """One journal entry of two lines: a purchase of an instrument for an amount, or a reversal of one."""

    source_id: str
    instrument: str = "XS1"
    amount: Decimal = Decimal("100.00")
    on: date = date(2026, 1, 15)
    quantity: Decimal = Decimal(10)
    takes_back: str | None = None

    @property
    def period(self) -> int:
        """Of its date."""
        return self.on.year * 100 + self.on.month


def begin(connection: Connection, key: str, tenant: str = "acme", entity: str = "fund") -> Request:
    """A request that is queued and taken."""
    number, _ = requests.submit(connection, Submission(tenant, entity, key=key))
    request = requests.begin_attempt(connection, number)
    assert request is not None
    return request


def fill(connection: Connection, request: Request, postings: Sequence[Posting]) -> None:
    """Stage the rows of these entries, and seal the leaves."""
    periods = {posting.period for posting in postings}
    staging.create_staging(connection, request, request.attempt, periods)
    first = fields.first_je_no(request.request_id, 0)
    for number, posting in enumerate(postings, first):
        _insert(
            connection, request, "je_header", posting.period,
            {
                "je_no": number, "trade_date": posting.on, "accounting_date": posting.on, "version": 1, "file": 0,
                "line": number - first + 2, "je_id": uuid.uuid5(event(posting.source_id), request.basis),
                "event_id": event(posting.source_id), "kind": 2 if posting.takes_back else 1, "event_class": 1,
                "effect": 1, "late": False, "source_id": posting.source_id, "instrument": posting.instrument,
                "account_ref": "EQ", "reference": posting.takes_back,
                "reference_id": event(posting.takes_back) if posting.takes_back else None,
            },
        )  # fmt: skip
        for line, (account, side) in enumerate((("1200", 1), ("1000", -1)), 1):
            _insert(
                connection, request, "je_line", posting.period,
                {
                    "je_no": number, "lot": number if side == 1 else None, "accounting_date": posting.on,
                    "line_no": line, "side": -side if posting.takes_back else side, "account": account,
                    "currency": "EUR", "quantity": posting.quantity if side == 1 else None, "amount": posting.amount,
                    "fx_rate": 1, "accounted": posting.amount, "instrument": posting.instrument,
                },
            )  # fmt: skip
    _fill_snapshots(connection, request, postings, first)
    for name in staging.leaves(connection, request.request_id, request.attempt):
        staging.seal(connection, name)


def _fill_snapshots(connection: Connection, request: Request, postings: Sequence[Posting], first: int) -> None:
    for name in sorted({posting.instrument for posting in postings}):
        known = connection.execute(
            "SELECT quantity, cost FROM position WHERE tenant_id = %s AND entity_id = %s AND instrument = %s "
            "ORDER BY entity_seq DESC LIMIT 1",
            (request.entity.tenant_id, request.entity.entity_id, name),
        ).fetchone() or (Decimal(0), Decimal(0))  # fmt: skip
        own = [(number, one) for number, one in enumerate(postings, first) if one.instrument == name]
        quantity = known[0] + sum(one.quantity for _, one in own)
        cost = known[1] + sum(one.amount for _, one in own)
        position = {"instrument": name, "quantity": quantity, "cost": cost, "accounted": cost, "currency": "EUR",
                    "unrealised": 0, "realised": len(own)}  # fmt: skip
        _insert(connection, request, "position", None, position)
        for number, one in own:
            lot = {"lot": number, "sequence": number, "opened": one.on, "instrument": name, "currency": "EUR",
                   "quantity": one.quantity, "original": one.quantity, "cost": one.amount,
                   "accounted": one.amount}  # fmt: skip
            _insert(connection, request, "lot", None, lot)
    for period in sorted({posting.period for posting in postings}):
        debit = {account: Decimal(0) for account in ("1200", "1000")}
        credit = dict(debit)
        for one in postings:
            if one.period == period:
                (credit if one.takes_back else debit)["1200"] += one.amount
                (debit if one.takes_back else credit)["1000"] += one.amount
        for account in debit:
            balance = {"period": period, "account": account, "currency": "EUR", "debit": debit[account],
                       "credit": credit[account], "accounted_debit": debit[account],
                       "accounted_credit": credit[account]}  # fmt: skip
            _insert(connection, request, "balance", None, balance)


def _insert(connection: Connection, request: Request, parent: str, period: int | None, row: dict[str, object]) -> None:
    leaf = staging.leaf(parent, request.request_id, request.attempt, period)
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    places = sql.SQL(", ").join(sql.Placeholder() * len(row))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(leaf), names, places), list(row.values())
    )


def put_into_the_books(connection: Connection, request: Request, postings: Sequence[Posting]) -> None:
    """Publish what was filled."""
    done = len(postings)
    totals = Totals(done, done, 0, 0, 2 * done, (0, 10**19))
    publish(connection, request, request.attempt, Publication(totals, [Check("rows", None, done, done, True)]))


def published(connection: Connection, key: str, postings: Sequence[Posting], tenant: str = "acme") -> Request:
    """A request through to the end."""
    return _through(connection, begin(connection, key, tenant), postings)


def _through(connection: Connection, request: Request, postings: Sequence[Posting]) -> Request:
    fill(connection, request, postings)
    put_into_the_books(connection, request, postings)
    return requests.load(connection, request.request_id)


def count(db: Connection, table: str, request_id: int) -> int:
    """Rows of a request in a table."""
    row = db.execute(f"SELECT count(*) FROM {table} WHERE request_id = %s".encode(), (request_id,)).fetchone()
    assert row is not None
    return int(row[0])


def publish_in(db: Connection, fund: str, key: str, postings: list[Posting]) -> requests.Request:
    """A request of an entity through to the end."""
    return _through(db, begin(db, f"{fund} {key}", entity=fund), postings)


def run_reversal(db: Connection, number: int) -> None:
    """Carry out a reversal that was submitted."""
    request = requests.begin_attempt(db, number)
    assert request is not None
    reversal.reverse(db, request)


def trial_balance(db: Connection, fund: str) -> dict[tuple[int, str], Decimal]:
    """What is not zero, by period and account."""
    found = db.execute(
        "SELECT period, account, accounted_balance FROM trial_balance JOIN entity USING (entity_id) WHERE name = %s",
        (fund,),
    )
    return {(period, account): balance for period, account, balance in found if balance}


def rejects(rows: int, reason: str = "no such account") -> Encoded:
    """A result file of rejects."""
    columns = [Column("file", "int4"), Column("line", "int8"), Column("column", "text"), Column("reason", "text"),
               Column("kind", "text"), Column("text", "text")]  # fmt: skip
    batch = pa.record_batch(
        {
            "file": pa.array([0] * rows, pa.int32()), "line": pa.array(range(rows), pa.int64()),
            "column": ["account_ref"] * rows, "reason": [reason] * rows, "kind": ["REJECT"] * rows,
            "text": ["x"] * rows,
        }
    )  # fmt: skip
    return Encoder(columns).encode(batch)
