"""Real files through the real load, reversed and loaded again: the books are what they were, with the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from florin_io.objects import ObjectStore
from florin_io.postgres import Connection
from jobs.load.__main__ import cli as load_cli
from jobs.subledger import attempt, endings
from jobs.subledger.cli import subledger
from jobs.subledger.load import LoadOptions
from jobs.subledger.submitting import submission
from tests.conftest import LocalPostgres
from transforms.subledger_db import books, requests, reversal, schema
from transforms.subledger_db.schema import LedgerDatabase

pytestmark = pytest.mark.database
ROWS = 3000


@pytest.fixture(scope="module")
def database(postgres: LocalPostgres) -> Iterator[LedgerDatabase]:
    made = LedgerDatabase(postgres.url, "ledger_rerun")
    try:
        arguments = [f"--postgres={postgres.url}", f"--schema={made.schema}"]
        periods = ["--periods", "202601..202604"]
        for command in (
            ["tenant", "add", "acme"],
            ["entity", "add", "acme", "fifo", "--currency", "EUR", *periods],
            ["entity", "add", "acme", "average", "--currency", "EUR", "--lots", "AVERAGE", *periods],
        ):  # fmt: skip
            done = CliRunner().invoke(subledger, [*arguments, *command])
            assert done.exit_code == 0, done.output
        yield made
    finally:
        schema.remove(made)
        with made.as_user("test") as admin:
            books.drop_tenant_role(admin, f"{made.schema}_reader_acme")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two requests for each entity, with late rows, cancellations across requests, and supplied balances."""
    out = tmp_path_factory.mktemp("ledger")
    made = CliRunner().invoke(
        load_cli,
        ["subledger", "--out", str(out), "--entries", str(ROWS), "--requests", "2", "--files", "2", "--cancels", "0.03",
         "--instruments", "40", "--entity", "acme/fifo/EUR/FIFO", "--entity", "acme/average/EUR/AVERAGE"],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    return {name: sorted((out / "acme" / name).glob("*/manifest.json")) for name in ("fifo", "average")}


def options_of(database: LedgerDatabase) -> LoadOptions:
    """On this machine, without a cluster."""
    return LoadOptions(postgres=database.conninfo, schema=database.schema, runner="DirectRunner", parallelism=1)


def run(database: LedgerDatabase, number: int) -> None:
    """One attempt in this process: a runner of a cluster would do the same."""
    code = attempt.run(database, number, options_of(database), 0)
    with database.connect(application="test") as connection:
        request = requests.load(connection, number)
    assert (code, request.state) == (endings.PUBLISHED, "PUBLISHED"), request.error


def load_all(database: LedgerDatabase, db: Connection, paths: list[Path]) -> list[int]:
    numbers = []
    for path in paths:
        what = submission(db, ObjectStore(), {"manifest": str(path)})
        number, _ = requests.submit(db, what)
        run(database, number)
        numbers.append(number)
    return numbers


def books_of(db: Connection, entity: str) -> dict[str, object]:
    """Balances, positions, lots and the ids of entries that count."""
    queries = {
        "balances": "SELECT period, account, currency, debit - credit, accounted_balance FROM trial_balance "
        "JOIN entity USING (entity_id) WHERE name = %s AND (debit <> credit OR accounted_balance <> 0)",
        "positions": "SELECT instrument, quantity, cost, accounted, unrealised FROM current_position "
        "JOIN entity USING (entity_id) WHERE name = %s AND (quantity, cost, unrealised) <> (0, 0, 0)",
        # A lot's number is that of its entry, and so of the request that loaded it.
        "lots": "SELECT instrument, opened, quantity, original, cost, accounted FROM current_lot "
        "JOIN entity USING (entity_id) WHERE name = %s",
        "ids": "SELECT h.je_id, h.event_id, h.kind, h.accounting_date, h.gain FROM je_header h "
        "JOIN request r USING (request_id) JOIN entity e ON e.entity_id = r.entity_id "
        "WHERE e.name = %s AND r.state = 'PUBLISHED' AND r.kind <> 'REVERSE'",
    }
    return {name: sorted(db.execute(query.encode(), (entity,)), key=str) for name, query in queries.items()}


@pytest.mark.parametrize("entity", ["fifo", "average"])
def test_a_rerun_leaves_the_books_as_they_were(
    database: LedgerDatabase, manifests: dict[str, list[Path]], entity: str
) -> None:
    with database.connect(application="test") as db:
        first, second = load_all(database, db, manifests[entity])
        told = json.loads(manifests[entity][1].read_text())["totals"]
        row = db.execute(
            "SELECT rows_posted, rows_rejected, rows_duplicate, lines_posted FROM request WHERE request_id = %s",
            (second,),
        ).fetchone()
        assert row == (told["posted"], told["rejected"], told["duplicates"], told["lines"])
        before = books_of(db, entity)
        assert len(before["ids"]) > 1.9 * ROWS  # type: ignore[arg-type]
        of = requests.entity(db, "acme", entity)
        back, again = reversal.submit_rerun(db, of, 202601)
        assert [requests.load(db, number).target_id for number in back] == [second, first]
        for number in back:
            run(database, number)
        empty = books_of(db, entity)
        assert (empty["balances"], empty["lots"], empty["ids"], empty["positions"]) == ([], [], [], [])
        for number in again:
            run(database, number)
        after = books_of(db, entity)
        for what, rows in before.items():
            assert after[what] == rows, what


def test_rows_of_another_entity_are_rejected_and_the_request_with_them(
    database: LedgerDatabase, manifests: dict[str, list[Path]]
) -> None:
    with database.connect(application="test") as db:
        books.add_entity(db, "acme", "third", "EUR", periods=books.months(202601, 202604))
        numbers = []
        for path in manifests["fifo"]:
            files = json.loads(path.read_text())["files"]
            named = [str(path.parent / one["name"]) for one in files]
            what = submission(db, ObjectStore(), {"files": named, "tenant": "acme", "entity": "third"})
            number, _ = requests.submit(db, what)
            numbers.append((number, attempt.run(database, number, options_of(database), 0)))
        # Every row is of another entity, so all are rejected: more than the entity's share.
        assert [code for _, code in numbers] == [endings.REFUSED] * 2
        rejected = db.execute(
            'SELECT "column", count(*) FROM reject WHERE request_id = %s GROUP BY 1', (numbers[0][0],)
        )
        assert dict(rejected.fetchall())["entity"] > 0.9 * ROWS
        left = db.execute("SELECT count(*) FROM balance JOIN entity USING (entity_id) WHERE name = 'third'").fetchone()
        assert left == (0,)
