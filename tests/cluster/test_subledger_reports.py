"""Reports, status and submission against a real PostgreSQL, through the commands as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from florin_io.postgres import Connection
from jobs.subledger.cli import subledger
from tests.cluster.subledger_books import Posting, begin, fill, ledger, put_into_the_books
from tests.conftest import LocalPostgres
from transforms.subledger_db import books, requests, reversal, staging
from transforms.subledger_db.schema import LedgerDatabase
from transforms.subledger_db.status import requests_now

pytestmark = pytest.mark.database
Run = Callable[..., Result]
POSTINGS = [
    Posting("a", "XS1", Decimal("1000.50")), Posting("b", "XS2", Decimal(7), date(2026, 2, 2), Decimal("0.25")),
    Posting("c", "XS1", Decimal(3), date(2026, 3, 3)),
]  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres: LocalPostgres) -> Iterator[LedgerDatabase]:
    """Entity fund with three entries of three months, and an empty one."""
    with ledger(postgres.url, ("acme", "bolt")) as made:
        with made.connect(application="test") as connection:
            books.add_entity(connection, "acme", "other", "EUR", periods=books.months(202601, 202604))
            request = begin(connection, "first")
            fill(connection, request, POSTINGS)
            put_into_the_books(connection, request, POSTINGS)
        yield made


@pytest.fixture
def db(database: LedgerDatabase) -> Iterator[Connection]:
    with database.connect(application="test") as connection:
        yield connection


@pytest.fixture
def run(database: LedgerDatabase) -> Run:
    """A command, with the exit code that it must have."""

    def invoke(*arguments: str, expect: int = 0) -> Result:
        done = CliRunner().invoke(
            subledger, [f"--postgres={database.conninfo}", f"--schema={database.schema}", *arguments]
        )
        assert done.exit_code == expect, (arguments, done.output, done.exception)
        return done

    return invoke


def rows_of(run: Run, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """A report by way of a Parquet file."""
    run("report", *arguments, "--format", "parquet", "--out", str(folder / "out.parquet"))
    return list(pyarrow.parquet.read_table(folder / "out.parquet").to_pylist())


def test_the_trial_balance_carries_balances_forward(run: Run, tmp_path: Path) -> None:
    whole = {row["account"]: row for row in rows_of(run, tmp_path, "trial-balance", "acme", "fund")}
    assert [whole["1200"][name] for name in ("opening", "debit", "closing")] == [
        0,
        Decimal("1010.5"),
        Decimal("1010.5"),
    ]
    part = rows_of(run, tmp_path, "trial-balance", "acme", "fund", "--from", "202602", "--to", "202602")
    found = {row["account"]: row for row in part}
    assert (found["1000"]["opening"], found["1000"]["credit"], found["1000"]["closing"]) == (
        Decimal("-1000.5"), 7, Decimal("-1007.5"),
    )  # fmt: skip
    assert sum(row["accounted_closing"] for row in part) == 0
    shown = run("report", "trial-balance", "acme", "fund").output
    assert "total" in shown
    assert "1,010.50" in shown


def test_a_statement_has_a_running_balance(run: Run, tmp_path: Path) -> None:
    rows = rows_of(run, tmp_path, "statement", "acme", "fund", "1000", "--from", "202602")
    assert [(row["date"], row["source_id"], row["event"], row["credit"], row["balance"]) for row in rows] == [
        (date(2026, 2, 2), "b", "BUY", 7, Decimal("-1007.5")), (date(2026, 3, 3), "c", "BUY", 3, Decimal("-1010.5")),
    ]  # fmt: skip


def test_lots_and_gains_by_instrument(run: Run, tmp_path: Path) -> None:
    lots = rows_of(run, tmp_path, "lots", "acme", "fund", "--instrument", "XS1")
    assert [(row["opened"], row["quantity"], row["cost"]) for row in lots] == [
        (date(2026, 1, 15), 10, Decimal("1000.5")), (date(2026, 3, 3), 10, 3),
    ]  # fmt: skip
    gains = {row["instrument"]: row for row in rows_of(run, tmp_path, "gains", "acme", "fund")}
    assert (gains["XS1"]["quantity"], gains["XS1"]["realised"], gains["XS2"]["total"]) == (20, 2, 1)


def test_csv_goes_to_standard_output_and_files(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "lots.csv"
    run("report", "lots", "acme", "fund", "--format", "csv", "--out", str(out))
    table = pyarrow.csv.read_csv(out)
    assert table.num_rows == 3
    run("report", "lots", "acme", "fund", "--format", "csv", "--limit", "2", "--out", str(out))
    assert pyarrow.csv.read_csv(out).num_rows == 2


def test_a_table_says_that_there_is_more(run: Run) -> None:
    assert "and more" in run("report", "lots", "acme", "fund", "--limit", "2").output
    assert "and more" not in run("report", "lots", "acme", "fund", "--limit", "3").output


def test_reconciliation_and_rejects_of_a_request(run: Run, db: Connection) -> None:
    (one,) = requests_now(db, tenant="acme", entity="fund")
    assert "rows" in run("report", "reconciliation", str(one.request)).output
    run("report", "rejects", str(one.request))
    assert "that this user may see" in run("report", "rejects", "99", expect=1).output
    assert "there is no entity acme/none" in run("report", "lots", "acme", "none", expect=1).output


def test_a_report_takes_the_rights_of_a_reader_only(database: LedgerDatabase, db: Connection) -> None:
    (role,) = db.execute("SELECT reader_role FROM tenant WHERE name = 'bolt'").fetchone() or ("",)
    with database.as_user("test") as admin:
        admin.execute(f'CREATE ROLE report_reader LOGIN IN ROLE "{role}"'.encode())
        try:
            address = f"{database.conninfo}".replace("postgresql://postgres:@", "postgresql://report_reader@")
            options = [f"--postgres={address}", f"--schema={database.schema}"]
            own = CliRunner().invoke(subledger, [*options, "report", "trial-balance", "bolt", "fund"])
            assert own.exit_code == 0, own.output
            other = CliRunner().invoke(subledger, [*options, "report", "trial-balance", "acme", "fund"])
            assert "there is no entity acme/fund that this user may see" in other.output
            forbidden = CliRunner().invoke(subledger, [*options, "status"])
            assert forbidden.exit_code in (1, 3)
            assert "loader" in forbidden.output
        finally:
            admin.execute("DROP ROLE report_reader")


def test_status_counts_what_the_workers_of_the_attempt_did(run: Run, db: Connection) -> None:
    request = begin(db, "progress", entity="other")
    db.execute("UPDATE request SET rows_total = 1000, attempt_at = now() - interval '10 s' WHERE request_id = %s",
               (request.request_id,))  # fmt: skip
    requests.report_progress(db, request.request_id, 1, "w1", stage="reading", rows_read=300, rows_posted=100)
    requests.report_progress(db, request.request_id, 1, "w2", stage="posting", rows_read=200, rows_posted=90,
                             rows_rejected=10)  # fmt: skip
    requests.report_progress(db, request.request_id, 1, "w1", rows_read=300, rows_posted=200)
    (now,) = requests_now(db, [request.request_id])
    assert (now.rows_read, now.rows_posted, now.rows_rejected, now.done) == (500, 290, 10, 300)
    assert now.share == pytest.approx(0.4)
    assert now.rate == pytest.approx(30, rel=0.1)
    assert now.remaining_s == pytest.approx(15, rel=0.1)
    told = json.loads(run("status", str(request.request_id), "--json").output)
    assert (told["state"], told["rows_read"]) == ("RUNNING", 500)
    requests.cancel(db, request.request_id)
    staging.discard(db, request.request_id)
    assert "CANCELLED" in run("status", str(request.request_id), "--watch").output
    assert "there is no request 999" in run("status", "999", expect=1).output


def manifest(folder: Path, **changes: Any) -> Path:
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "balances.csv").write_text("account,currency,amount,accounted\n")
    content = {
        "format": 1, "tenant": "acme", "entity": "other", "source": "ledger", "base_currency": "EUR",
        "lot_method": "FIFO", "periods": [{"period": 202601, "open": True}],
        "files": [{"name": "a.csv", "size": 4, "sha256": "ab" * 32, "rows": 1, "compression": "none"}],
        "balances": {"name": "balances.csv", "sha256": "cd" * 32},
    }  # fmt: skip
    path = folder / "manifest.json"
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_a_manifest_says_what_to_load(run: Run, db: Connection, tmp_path: Path) -> None:
    told = json.loads(run("submit", "--manifest", str(manifest(tmp_path)), "--json").output)
    assert (told["new"], told["state"], told["files"]) == (True, "QUEUED", 1)
    request = requests.load(db, told["request"])
    assert request.files == [
        {"name": str(tmp_path / "a.csv"), "size": 4, "sha256": "ab" * 32, "rows": 1, "compression": "none"}
    ]
    assert request.supplied == str(tmp_path / "balances.csv")
    assert (request.source, request.entity.name) == ("ledger", "other")
    again = run("submit", "--manifest", str(manifest(tmp_path)))
    assert f"request {told['request']} is the same" in again.output
    run("cancel", str(told["request"]))
    assert "tries it again" in run("submit", "--manifest", str(manifest(tmp_path))).output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_currency": "USD"}, "base_currency 'USD'; acme/other has 'EUR'"),
        ({"lot_method": "AVERAGE"}, "lot_method 'AVERAGE'"),
        ({"periods": [{"period": 202601, "open": False}]}, "period 202601 not open"),
        ({"periods": [{"period": 202712, "open": True}]}, "period 202712 open; of acme/other it is not open"),
        ({"format": 2}, "format 2; this program knows 1"),
        ({"files": [{"size": 3}]}, "is no manifest"),
        ({"files": []}, "lists no files"),
        ({"files": [{"name": "a.csv", "rows": "many"}]}, "rows of a.csv is 'many', and should be a whole number"),
        ({"entity": "nobody"}, "has no entity 'nobody'"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(run: Run, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert says in run("submit", "--manifest", str(manifest(tmp_path, **changes)), expect=1).output


def test_files_by_pattern_are_found_in_order_without_their_indexes(run: Run, db: Connection, tmp_path: Path) -> None:
    for name in ("b.csv.zst", "a.csv.zst", "a.csv.zst.idx", "c.txt"):
        (tmp_path / name).write_text(name)
    told = json.loads(run("submit", "--tenant", "acme", "--entity", "other", str(tmp_path / "*.csv*"), "--json").output)
    files = requests.load(db, told["request"]).files
    assert [Path(file["name"]).name for file in files] == ["a.csv.zst", "b.csv.zst"]
    assert all(len(file["sha256"]) == 64 for file in files)
    (tmp_path / "a.csv.zst").write_text("changed")
    other = json.loads(
        run("submit", "--tenant", "acme", "--entity", "other", str(tmp_path / "*.csv*"), "--json").output
    )
    assert other["request"] != told["request"]
    assert "no file is called so" in run("submit", "--tenant", "acme", "--entity", "other", str(tmp_path / "*.xml"),
                                         expect=2).output  # fmt: skip
    assert "which tenant" in run("submit", str(tmp_path / "c.txt"), expect=1).output
    for number in (told["request"], other["request"]):
        requests.cancel(db, number)


def test_commands_that_set_up_books_can_be_repeated(run: Run) -> None:
    for _ in range(2):
        assert "standard" not in run("tenant", "add", "acme").output
        run("entity", "add", "acme", "third", "--currency", "usd", "--periods", "202601..202603")
    run("entity", "add", "acme", "third", "--currency", "EUR", expect=1)
    run("period", "close", "acme", "third", "202601..202602")
    assert "opened 202602" in run("period", "reopen", "acme", "third", "202602").output
    assert "closed: 202601" in run("period", "open", "acme", "third", "202601", expect=1).output
    run("period", "open", "acme", "third", "202613", expect=2)
    states = [json.loads(line) for line in run("period", "list", "acme", "third", "--json").output.splitlines()]
    assert [one["state"] for one in states] == ["closed", "open", "open"]
    assert "no published request wrote" in run("period", "rerun", "acme", "third", "202602", "--yes", expect=1).output


def test_rules_are_checked_before_they_are_kept(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "rules.yaml"
    bad.write_text("name: x\nrules: 3\n")
    assert "mistake" in run("rules", "check", str(bad), expect=1).output
    run("rules", "load", "acme", str(bad), expect=1)
    assert json.loads(run("rules", "check", "standard", "--json").output)["ok"]
    run("rules", "load", "acme", "standard")
    used = [json.loads(line) for line in run("rules", "list", "acme", "--json").output.splitlines()]
    assert [one["name"] for one in used if one["used"]] == ["standard"]
    assert next(one for one in used if one["used"])["rules"] > 5


def test_reverse_names_what_it_queues(run: Run, db: Connection) -> None:
    (one,) = requests_now(db, tenant="acme", entity="fund", state="PUBLISHED")
    assert f"reverses request {one.request}, queued" in run("reverse", str(one.request)).output
    assert reversal.submit_reversal(db, one.request)[0] == requests_now(db, tenant="acme", entity="fund")[-1].request
