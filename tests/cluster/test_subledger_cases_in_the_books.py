"""The worked accounting cases of several requests through files, the load and PostgreSQL: what an earlier request
published is found again, lots and cancelled entries too."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from florin_io.postgres import Connection
from jobs.subledger import attempt, endings
from jobs.subledger.load import LoadOptions
from tests.conftest import LocalPostgres
from tests.golden.test_subledger_cases import ENTITY, cases, check, files_of, periods_of
from tests.unit.subledger.texts import Told, balance_text, event_text, head_text, held_text, line_text
from transforms.subledger.fields import COLUMNS
from transforms.subledger.rulesets import text_of
from transforms.subledger_db import books, requests, schema
from transforms.subledger_db.model import Entity
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase

pytestmark = pytest.mark.database
# Those whose later requests need what is in the books; the core alone is held to all of them.
FILES = ("cancels", "corrections", "lots")
CASES = [case for case in cases() if len(case.values[0]["requests"]) > 1 and str(case.id).startswith(FILES)]


@pytest.fixture(scope="module")
def database(postgres: LocalPostgres) -> Iterator[LedgerDatabase]:
    made = LedgerDatabase(postgres.url, "ledger_cases")
    try:
        schema.prepare(made)
        yield made
    finally:
        with made.connect(application="test") as connection:
            roles = [role for (role,) in connection.execute("SELECT reader_role FROM tenant")]
        schema.remove(made)
        with made.as_user("test") as admin:
            for role in roles:
                books.drop_tenant_role(admin, role)


@pytest.mark.parametrize("case", CASES)
def test_the_books_say_what_the_case_says(
    database: LedgerDatabase, tmp_path: Path, request: pytest.FixtureRequest, case: dict[str, Any]
) -> None:
    tenant = f"case{[one.id for one in CASES].index(request.node.callspec.id) + 1}"
    books.add_tenant(database, tenant)
    with database.connect(application="test") as db:
        books.load_rules(db, tenant, "case", case.get("rules", text_of("standard")), "ACTUAL", [])
        books.add_entity(db, tenant, ENTITY, case.get("base", "USD"), lot_method=case.get("lots", "FIFO"),
                         reject_share=1)  # fmt: skip
        of = requests.entity(db, tenant, ENTITY)
        set_periods(db, of, periods_of(case["requests"][0] if "periods" in case["requests"][0] else case))
        for turn, one in enumerate(case["requests"]):
            if "periods" in one:
                set_periods(db, of, periods_of(one))
            names = write(tmp_path / str(turn), files_of(one))
            files = [{"name": str(name)} for name in names]
            number, _ = requests.submit(db, Submission(tenant, ENTITY, files=files, key=f"request {turn}"))
            options = LoadOptions(database.conninfo, database.schema, runner="DirectRunner", parallelism=1)
            code = attempt.run(database, number, options, 0)
            assert code == endings.PUBLISHED, requests.load(db, number).error
            check(one["expect"], told(db, of, number))


def set_periods(db: Connection, of: Entity, periods: dict[int, bool]) -> None:
    books.open_periods(db, of, [period for period in periods if period not in dict(books.period_states(db, of))])
    for period, is_open in books.period_states(db, of):
        if is_open and not periods[period]:
            books.close_period(db, of, period)


def write(folder: Path, files: list[list[dict[str, str]]]) -> list[Path]:
    folder.mkdir()
    names = [folder / f"{number}.csv" for number in range(len(files))]
    for name, rows in zip(names, files, strict=True):
        with name.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return names


def told(db: Connection, of: Entity, number: int) -> Told:
    """What a request put into the tables."""
    given = {"tenant": of.tenant_id, "entity": of.entity_id, "request": number}
    names = {
        je_no: event_text(source_id, version)
        for je_no, source_id, version in db.execute(
            "SELECT je_no, source_id, version FROM je_header WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s",
            given,
        )
    }
    found = Told()
    lines: dict[int, list[str]] = {}
    for je_no, side, account, amount, currency, accounted, quantity, lot in db.execute(
        "SELECT je_no, side, account, amount, currency, accounted, coalesce(quantity, 0), lot FROM je_line "
        "WHERE tenant_id = %(tenant)s AND request_id = %(request)s",
        given,
    ):
        bought = None if lot is None else names[lot]
        text = line_text("D" if side > 0 else "C", account, amount, currency, accounted, quantity, bought)
        lines.setdefault(je_no, []).append(text)
    for je_no, kind, day, late in db.execute(
        "SELECT je_no, kind, accounting_date, late FROM event WHERE tenant_id = %(tenant)s "
        "AND request_id = %(request)s ORDER BY je_no",
        given,
    ):
        found.entries.setdefault(names[je_no], []).append([head_text(kind, day, late), *sorted(lines.get(je_no, []))])
    found.rejects = sorted(
        f"{file + 1}:{line} {column} {kind}"
        for file, line, column, kind in db.execute(
            'SELECT file, line, "column", kind FROM reject WHERE tenant_id = %(tenant)s AND request_id = %(request)s',
            given,
        )
    )
    for instrument, *numbers in db.execute(
        "SELECT instrument, quantity, cost, accounted, unrealised, realised FROM position "
        "WHERE tenant_id = %(tenant)s AND request_id = %(request)s",
        given,
    ):
        found.held[instrument] = held_text(*numbers)
    found.balances = sorted(
        balance_text(period, account, currency, sums)
        for period, account, currency, *sums in db.execute(
            "SELECT period, account, currency, debit, credit, accounted_debit, accounted_credit FROM balance "
            "WHERE tenant_id = %(tenant)s AND request_id = %(request)s",
            given,
        )
    )
    return found
