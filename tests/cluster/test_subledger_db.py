"""The subledger's database against a real PostgreSQL: staging, publication, zombies, look-ups, readers, reversal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from florin_io.pgcopy import Column, Encoded, Encoder
from florin_io.postgres import Connection, SchemaError
from tests.cluster.subledger_books import Posting, begin, event, fill, ledger, published, put_into_the_books
from tests.conftest import LocalPostgres
from transforms.subledger import fields
from transforms.subledger_db import books, lookups, requests, reversal, schema, staging
from transforms.subledger_db.model import Busy, Check, Fenced, LedgerError, PeriodClosed, StagingLost
from transforms.subledger_db.publish import Publication, Totals, publish
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase
from transforms.subledger_db.staging import ManifestKey

pytestmark = pytest.mark.cluster
ALL = ("je_header", "je_line", "lot", "position", "balance")
JANUARY, MARCH = date(2026, 1, 15), date(2026, 3, 10)


@pytest.fixture(scope="module")
def books_of_two(postgres: LocalPostgres) -> Iterator[LedgerDatabase]:
    with ledger(postgres.url, ("acme", "bolt")) as database:
        yield database


@pytest.fixture
def db(books_of_two: LedgerDatabase) -> Iterator[Connection]:
    """A loader's connection; afterwards no request is left running, so that tests do not meet."""
    with books_of_two.connect(application="test") as connection:
        yield connection
        connection.execute("UPDATE request SET state = 'CANCELLED' WHERE state IN ('RUNNING', 'QUEUED')")


@pytest.fixture
def fund(db: Connection, request: pytest.FixtureRequest) -> str:
    """An entity of the test's own in tenant acme."""
    name = request.node.name[:60].replace("[", "-").strip("]")
    books.add_entity(db, "acme", name, "EUR", periods=books.months(202601, 202604))
    return str(name)


def count(db: Connection, table: str, request_id: int) -> int:
    row = db.execute(f"SELECT count(*) FROM {table} WHERE request_id = %s".encode(), (request_id,)).fetchone()
    assert row is not None
    return int(row[0])


def publish_in(db: Connection, fund: str, key: str, postings: list[Posting]) -> requests.Request:
    request = begin(db, f"{fund} {key}", entity=fund)
    fill(db, request, postings)
    put_into_the_books(db, request, postings)
    return requests.load(db, request.request_id)


def run_reversal(db: Connection, number: int) -> None:
    request = requests.begin_attempt(db, number)
    assert request is not None
    reversal.reverse(db, request)


def trial_balance(db: Connection, fund: str) -> dict[tuple[int, str], Decimal]:
    found = db.execute(
        "SELECT period, account, accounted_balance FROM trial_balance JOIN entity USING (entity_id) WHERE name = %s",
        (fund,),
    )
    return {(period, account): balance for period, account, balance in found if balance}


def test_nothing_is_seen_before_publication_and_everything_after(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    postings = [Posting("a"), Posting("b", on=MARCH)]
    fill(db, request, postings)
    assert [count(db, table, request.request_id) for table in ALL] == [0] * 5
    put_into_the_books(db, request, postings)
    assert [count(db, table, request.request_id) for table in ALL] == [2, 4, 2, 1, 4]
    put_into_the_books(db, request, postings)  # by a bundle that runs again
    assert count(db, "je_header", request.request_id) == 2
    assert staging.leaves(db, request.request_id) == {}
    row = db.execute("SELECT state, periods, rows_posted FROM request WHERE request_id = %s",
                     (request.request_id,)).fetchone()  # fmt: skip
    assert row == ("PUBLISHED", [202601, 202603], 2)
    assert {name for (name,) in db.execute("SELECT account FROM account")} >= {"1000", "1200"}


def test_the_same_key_and_content_are_the_same_request_and_other_content_is_refused(db: Connection, fund: str) -> None:
    files = [{"name": "gs://in/a.csv", "size": 10, "sha256": "ab", "rows": 3}]
    one, is_new = requests.submit(db, Submission("acme", fund, files=files, key="monday"))
    assert is_new
    assert requests.submit(db, Submission("acme", fund, files=files, key="monday")) == (one, False)
    with pytest.raises(LedgerError, match=f"used for request {one}, which asks for something else"):
        requests.submit(db, Submission("acme", fund, files=[], key="monday"))
    without, _ = requests.submit(db, Submission("acme", fund, files=files))
    assert requests.submit(db, Submission("acme", fund, files=files)) == (without, False)
    assert requests.load(db, one).files == files


def test_one_request_of_an_entity_runs_at_a_time(db: Connection, fund: str) -> None:
    begin(db, "first", entity=fund)
    number, _ = requests.submit(db, Submission("acme", fund, key="second"))
    with pytest.raises(Busy, match="of the same entity runs"):
        requests.begin_attempt(db, number)


def test_a_request_whose_runner_lives_is_not_taken_over(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    with pytest.raises(Busy, match="showed itself 0 s ago"):
        requests.begin_attempt(db, request.request_id, stale_after_s=30)
    db.execute("UPDATE request SET heartbeat_at = now() - interval '31 s' WHERE request_id = %s", (request.request_id,))
    taken = requests.begin_attempt(db, request.request_id, stale_after_s=30)
    assert taken is not None
    assert taken.attempt == 2


def test_a_zombie_can_neither_stage_nor_load_nor_publish(db: Connection, fund: str) -> None:
    zombie = begin(db, fund, entity=fund)
    fill(db, zombie, [Posting("a")])
    table = staging.leaf("reject", zombie.request_id, 1)
    current = requests.begin_attempt(db, zombie.request_id)
    assert current is not None
    assert (current.attempt, current.request_id) == (2, zombie.request_id)
    with pytest.raises(Fenced):
        put_into_the_books(db, zombie, [Posting("a")])
    with pytest.raises(Fenced):
        staging.create_staging(db, zombie, 1, [202601])
    assert staging.discard(db, zombie.request_id) == 6
    with pytest.raises(Fenced, match="is gone"):
        staging.copy_file(db, table, rejects(3), ManifestKey(zombie.request_id, 1, "rejects", 0, 0))
    with pytest.raises(Fenced):
        requests.set_flink_job(db, zombie.request_id, 1, "abc")
    assert not requests.heartbeat(db, zombie.request_id, 1)
    fill(db, current, [Posting("a")])
    put_into_the_books(db, current, [Posting("a")])
    assert count(db, "je_header", current.request_id) == 1


def rejects(rows: int, reason: str = "no such account") -> Encoded:
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


def test_a_file_is_loaded_once_and_a_different_one_under_its_name_is_refused(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    staging.create_staging(db, request, 1, [])
    table, key = staging.leaf("reject", request.request_id, 1), ManifestKey(request.request_id, 1, "rejects", 0, 0)
    assert staging.copy_file(db, table, rejects(5), key)
    assert not staging.copy_file(db, table, rejects(5), key)
    assert count(db, table, request.request_id) == 5
    with pytest.raises(ValueError, match="not deterministic"):
        staging.copy_file(db, table, rejects(5, "other"), key)
    wrong = Encoded(rejects(2).columns, rejects(2).data, 3, "ab")
    with pytest.raises(ValueError, match="2 rows were taken where the file was said to hold 3"):
        staging.copy_file(db, table, wrong, ManifestKey(request.request_id, 1, "rejects", 0, 1))
    assert count(db, table, request.request_id) == 5
    row = db.execute("SELECT rows, relation FROM manifest WHERE request_id = %s", (request.request_id,)).fetchall()
    assert row == [(5, table)]


def test_files_that_the_server_lost_are_noticed(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    what = Publication(Totals(1, 1, 0, 0, 2), [], {"lines": (3, 250_000)})
    with pytest.raises(StagingLost, match="lines loaded 3 files with 250000 rows"):
        publish(db, request, 1, what)
    assert count(db, "je_header", request.request_id) == 0


def test_a_request_that_does_not_reconcile_is_not_published(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    wrong = Check("closing balance", "1000 EUR", Decimal("5.00"), Decimal("4.99"), False)
    with pytest.raises(LedgerError, match="expected 5.00, found 4.99"):
        publish(db, request, 1, Publication(Totals(1, 1, 0, 0, 2), [wrong]))
    with pytest.raises(LedgerError, match="3 rows in are not 1 posted"):
        publish(db, request, 1, Publication(Totals(3, 1, 1, 0, 2), []))
    staging.copy_file(db, staging.leaf("reject", request.request_id, 1), rejects(2),
                      ManifestKey(request.request_id, 1, "rejects", 0, 0))  # fmt: skip
    requests.refuse(db, request, 1, "does not reconcile", checks=[wrong])
    after = requests.load(db, request.request_id)
    assert (after.state, after.error) == ("FAILED", "does not reconcile")
    assert [count(db, table, request.request_id) for table in ALL] == [0] * 5
    assert count(db, "reject", request.request_id) == 2
    found = db.execute("SELECT name, difference, ok FROM reconciliation WHERE request_id = %s", (request.request_id,))
    assert found.fetchall() == [("closing balance", Decimal("-0.01"), False)]
    assert staging.leaves(db, request.request_id) == {}


def test_a_failed_request_can_be_tried_again_and_its_old_rejects_go(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    staging.copy_file(db, staging.leaf("reject", request.request_id, 1), rejects(2),
                      ManifestKey(request.request_id, 1, "rejects", 0, 0))  # fmt: skip
    requests.refuse(db, request, 1, "too many rejects")
    requests.retry(db, request.request_id)
    again = requests.begin_attempt(db, request.request_id)
    assert again is not None
    fill(db, again, [Posting("a")])
    put_into_the_books(db, again, [Posting("a")])
    assert count(db, "reject", request.request_id) == 0
    assert count(db, "je_header", request.request_id) == 1


def test_an_attempt_that_fails_is_given_back_until_the_last(db: Connection, fund: str) -> None:
    number, _ = requests.submit(db, Submission("acme", fund, key=fund, max_attempts=2))
    first = requests.begin_attempt(db, number)
    assert first is not None
    assert requests.give_back(db, first, "Flink went away")
    assert (requests.load(db, number).state, requests.load(db, number).error) == ("QUEUED", "Flink went away")
    second = requests.begin_attempt(db, number)
    assert second is not None
    assert not requests.give_back(db, first, "a zombie says so")
    assert not requests.give_back(db, second, "again")
    assert requests.load(db, number).state == "FAILED"
    assert requests.begin_attempt(db, number) is None


def test_a_cancelled_request_leaves_nothing_and_publishes_nothing(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    requests.report_progress(db, request.request_id, 1, "worker-1", rows_read=5)
    assert requests.cancel(db, request.request_id).state == "RUNNING"
    with pytest.raises(Fenced):
        put_into_the_books(db, request, [Posting("a")])
    staging.discard(db, request.request_id)
    left = db.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname ~ %s",
        (f"_r{request.request_id}_",),
    ).fetchone()
    assert left == (0,)
    assert count(db, "manifest", request.request_id) + count(db, "progress", request.request_id) == 0
    with pytest.raises(LedgerError, match="is CANCELLED: only one that waits or runs"):
        requests.cancel(db, request.request_id)


def test_a_request_that_waits_is_cancelled_with_its_place_in_the_queue(db: Connection, fund: str) -> None:
    number, _ = requests.submit(db, Submission("acme", fund, key=fund))
    requests.cancel(db, number)
    found = db.execute("SELECT status FROM procrastinate_jobs WHERE id = (SELECT job_id FROM request "
                       "WHERE request_id = %s)", (number,)).fetchone()  # fmt: skip
    assert found == ("cancelled",)


def test_discarding_ends_a_copy_that_still_holds_a_leaf(
    books_of_two: LedgerDatabase, db: Connection, fund: str
) -> None:
    request = begin(db, fund, entity=fund)
    staging.create_staging(db, request, 1, [])
    with books_of_two.connect(application="zombie") as zombie:
        zombie.autocommit = False
        zombie.execute(f"LOCK TABLE {staging.leaf('lot', request.request_id, 1)} IN ROW EXCLUSIVE MODE".encode())
        assert staging.discard(db, request.request_id) == 4
        with pytest.raises(psycopg.OperationalError):
            zombie.execute("SELECT 1")


def test_a_period_closed_while_a_request_ran_is_not_written(db: Connection, fund: str) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    books.close_period(db, request.entity, 202601)
    with pytest.raises(PeriodClosed, match="202601"):
        put_into_the_books(db, request, [Posting("a")])
    assert books.reopen_periods(db, request.entity, 202601) == [202601]
    put_into_the_books(db, request, [Posting("a")])


def test_closing_a_period_waits_for_a_publication_under_way(
    books_of_two: LedgerDatabase, db: Connection, fund: str
) -> None:
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    closed = threading.Event()

    def close() -> None:
        with books_of_two.connect(application="closer") as other:
            books.close_period(other, request.entity, 202601)
            closed.set()

    with db.transaction():
        put_into_the_books(db, request, [Posting("a")])
        closer = threading.Thread(target=close)
        closer.start()
        assert not closed.wait(0.3)
    closer.join(10)
    assert closed.is_set()
    assert count(db, "je_header", request.request_id) == 1


def test_reopening_a_period_opens_the_later_ones_too(db: Connection, fund: str) -> None:
    of = requests.entity(db, "acme", fund)
    for period in (202601, 202602, 202603):
        books.close_period(db, of, period)
    assert books.reopen_periods(db, of, 202602) == [202602, 202603]
    states = dict(books.period_states(db, of))
    assert states == {202601: False, 202602: True, 202603: True, 202604: True}
    with pytest.raises(LedgerError, match="closed: 202601"):
        books.open_periods(db, of, [202601])


def test_published_rows_cannot_be_changed(db: Connection, fund: str) -> None:
    done = publish_in(db, fund, "one", [Posting("a")])
    for table in ALL:
        for change in (f"UPDATE {table} SET request_id = request_id", f"DELETE FROM {table}"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="are never changed"):
                db.execute(f"{change} WHERE request_id = {done.request_id}".encode())


def test_an_attached_leaf_is_not_read_again(db: Connection, fund: str) -> None:
    """The CHECK of a leaf proves its bounds: attaching takes no scan, however many rows there are."""
    request = begin(db, fund, entity=fund)
    fill(db, request, [Posting("a")])
    with db.transaction():
        db.execute("SET LOCAL client_min_messages = debug1")
        told: list[str] = []
        db.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        put_into_the_books(db, request, [Posting("a")])
    implied = [message for message in told if "is implied by existing constraints" in message]
    assert len(implied) >= 5, told


def test_indexes_for_people_are_made_afterwards(db: Connection, fund: str) -> None:
    done = publish_in(db, fund, "one", [Posting("a"), Posting("b", on=MARCH)])
    assert staging.index_later(db, done.request_id) == 10
    assert staging.index_later(db, done.request_id) == 0


def test_openings_are_the_newest_snapshot_of_each_instrument(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a", "XS1"), Posting("b", "XS2")])
    publish_in(db, fund, "two", [Posting("c", "XS1", Decimal("7.25"))])
    third = begin(db, f"{fund} three", entity=fund)
    lots, positions = lookups.opening(db, third, ["XS1", "XS2", "XS9", None])
    assert lots.schema.equals(fields.LOT)
    assert positions.schema.equals(fields.POSITION)
    rows = {row["instrument"]: row for row in positions.to_pylist()}
    assert (rows["XS1"]["quantity"], rows["XS1"]["cost"]) == (20 * 10**8, 1_072_500)
    assert rows["XS2"]["quantity"] == 10 * 10**8
    assert [row["instrument"] for row in lots.to_pylist()] == ["XS1", "XS1", "XS2"]
    assert [table.num_rows for table in lookups.opening(db, third, [])] == [0, 0]


def test_a_published_event_is_found_with_its_lines_its_lots_and_what_took_it_back(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a", "XS1", Decimal("12.34")), Posting("b", "XS2")])
    publish_in(db, fund, "two", [Posting("stop-a", "XS1", Decimal("12.34"), MARCH, takes_back="a")])
    third = begin(db, f"{fund} three", entity=fund)
    headers, lines, lots = lookups.entries(db, third, [event("a").bytes, event("unknown").bytes])
    assert headers.schema.equals(fields.HEADER)
    assert lines.schema.equals(fields.LINE)
    found = {row["source_id"]: row for row in headers.to_pylist()}
    assert set(found) == {"a", "stop-a"}
    assert found["stop-a"]["reference_id"] == event("a").bytes
    assert [(row["account"], row["side"], row["amount"]) for row in lines.to_pylist()] == [
        ("1200", 1, 123_400), ("1000", -1, 123_400),
    ]  # fmt: skip
    assert lots["lot"].to_pylist() == [found["a"]["je_no"]]
    nothing = lookups.entries(db, third, [])
    assert [table.num_rows for table in nothing] == [0, 0, 0]


def test_published_ids_come_in_order_and_by_range(db: Connection, fund: str) -> None:
    names = [f"e{number}" for number in range(200)]
    done = publish_in(db, fund, "one", [Posting(name, on=MARCH if name < "e5" else JANUARY) for name in names])
    other = begin(db, f"{fund} two", entity=fund)
    among = lookups.overlapping(db, other, (5, 10))
    assert among == [done.request_id]
    ids = lookups.published_ids(db, other, among)
    expected = sorted(event(name).bytes for name in names)
    assert [int(hi).to_bytes(8, "big") + int(lo).to_bytes(8, "big") for hi, lo in ids] == expected
    half = lookups.published_ids(db, other, among, expected[50], expected[150])
    assert half.shape == (100, 2)
    assert np.array_equal(half, ids[50:150])
    assert lookups.published_ids(db, other, []).shape == (0, 2)
    assert lookups.overlapping(db, other, (10**19 + 1, 10**19 + 9)) == []


def test_opening_balances_are_sums_over_all_periods(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a"), Posting("b", amount=Decimal("0.01"), on=MARCH)])
    request = begin(db, f"{fund} two", entity=fund)
    table = lookups.opening_balances(db, request)
    assert table.schema.equals(fields.SUPPLIED)
    assert [(row["account"], row["amount"]) for row in table.to_pylist()] == [
        ("1000", Decimal("-100.0100")), ("1200", Decimal("100.0100")),
    ]  # fmt: skip


def test_a_reversed_request_leaves_zero_and_the_positions_before_it(db: Connection, fund: str) -> None:
    first = publish_in(db, fund, "one", [Posting("a", "XS1")])
    second = publish_in(db, fund, "two", [Posting("b", "XS1", Decimal(50), MARCH), Posting("c", "XS2")])
    before = trial_balance(db, fund)
    (number,) = reversal.submit_reversal(db, second.request_id)
    run_reversal(db, number)
    assert requests.load(db, second.request_id).state == "REVERSED"
    assert trial_balance(db, fund) == {(202601, "1000"): Decimal(-100), (202601, "1200"): Decimal(100)}
    assert before != trial_balance(db, fund)
    third = begin(db, f"{fund} three", entity=fund)
    lots, positions = lookups.opening(db, third, ["XS1", "XS2"])
    rows = {row["instrument"]: (row["quantity"], row["cost"]) for row in positions.to_pylist()}
    assert rows == {"XS1": (10 * 10**8, 1_000_000), "XS2": (0, 0)}
    assert lots["instrument"].to_pylist() == ["XS1"]
    # Its events count no more: they may come again.
    assert lookups.overlapping(db, third, (0, 10)) == [first.request_id]
    assert lookups.entries(db, third, [event("b").bytes])[0].num_rows == 0
    sums = db.execute("SELECT sum(side * accounted) FROM je_line WHERE request_id = %s", (number,)).fetchone()
    assert sums == (0,)
    with pytest.raises(LedgerError, match="is REVERSED"):
        reversal.submit_reversal(db, second.request_id)


def test_a_request_that_others_go_on_from_is_reversed_with_them_only(db: Connection, fund: str) -> None:
    first = publish_in(db, fund, "one", [Posting("a", "XS1"), Posting("x", "XS7")])
    second = publish_in(db, fund, "two", [Posting("b", "XS1"), Posting("c", "XS2")])
    third = publish_in(db, fund, "three", [Posting("d", "XS2")])
    publish_in(db, fund, "four", [Posting("e", "XS5")])
    with pytest.raises(LedgerError, match=f"{third.request_id}, {second.request_id}"):
        reversal.submit_reversal(db, first.request_id)
    numbers = reversal.submit_reversal(db, first.request_id, force_later=True)
    for number in numbers:
        run_reversal(db, number)
    states = [requests.load(db, one.request_id).state for one in (first, second, third)]
    assert states == ["REVERSED"] * 3
    assert trial_balance(db, fund) == {(202601, "1000"): Decimal(-100), (202601, "1200"): Decimal(100)}


def test_a_reversal_of_a_closed_period_is_posted_to_the_next_open_one(db: Connection, fund: str) -> None:
    postings = [Posting("a"), Posting("b", amount=Decimal(5), on=date(2026, 2, 3))]
    done = publish_in(db, fund, "one", postings)
    books.close_period(db, done.entity, 202601)
    books.close_period(db, done.entity, 202602)
    (number,) = reversal.submit_reversal(db, done.request_id)
    run_reversal(db, number)
    found = db.execute("SELECT DISTINCT period, accounting_date, late FROM je_header WHERE request_id = %s", (number,))
    assert found.fetchall() == [(202603, date(2026, 3, 1), True)]
    assert trial_balance(db, fund)[202603, "1200"] == -105


def test_a_rerun_reverses_the_period_and_all_after_it_and_queues_the_same_files(db: Connection, fund: str) -> None:
    files = [{"name": "a.csv", "sha256": "aa"}]
    kept = publish_in(db, fund, "january", [Posting("a", "XS1")])
    number, _ = requests.submit(db, Submission("acme", fund, files=files, key=f"{fund} march"))
    request = requests.begin_attempt(db, number)
    assert request is not None
    postings = [Posting("b", "XS2", on=MARCH)]
    fill(db, request, postings)
    put_into_the_books(db, request, postings)
    later = publish_in(db, fund, "april", [Posting("c", "XS2", on=date(2026, 4, 2))])
    books.close_period(db, later.entity, 202604)
    with pytest.raises(LedgerError, match="closed: 202604"):
        reversal.submit_rerun(db, later.entity, 202603)
    books.reopen_periods(db, later.entity, 202603)
    back, again = reversal.submit_rerun(db, later.entity, 202603)
    assert [requests.load(db, one).target_id for one in back] == [later.request_id, number]
    assert [requests.load(db, one).target_id for one in again] == [number, later.request_id]
    assert requests.load(db, again[0]).files == files
    assert requests.load(db, kept.request_id).state == "PUBLISHED"
    jobs = db.execute("SELECT job_id FROM request WHERE request_id = ANY(%s) ORDER BY job_id", (back + again,))
    assert [job for (job,) in jobs] == [
        row[0] for one in back + again
        for row in db.execute("SELECT job_id FROM request WHERE request_id = %s", (one,))
    ]  # fmt: skip


READER_TABLES = (*schema.READABLE, *schema.VIEWS)


@pytest.fixture
def reader(books_of_two: LedgerDatabase, db: Connection, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A user who is a member of bolt's reader role."""
    published(db, request.node.name, [Posting("a")], "acme")
    published(db, request.node.name, [Posting("b")], "bolt")
    (role,) = db.execute("SELECT reader_role FROM tenant WHERE name = 'bolt'").fetchone() or ("",)
    with books_of_two.as_user("test") as connection:
        connection.execute(f'SET ROLE "{role}"'.encode())
        yield connection


def test_a_reader_sees_its_own_tenant_s_rows_only(reader: Connection, db: Connection) -> None:
    (own,) = db.execute("SELECT tenant_id FROM tenant WHERE name = 'bolt'").fetchone() or (0,)
    for table in READER_TABLES:
        seen = {tenant for (tenant,) in reader.execute(f"SELECT tenant_id FROM {table}".encode())}
        assert seen <= {own}, table
    for table in ("request", "je_header", "je_line", "trial_balance", "current_lot", "event", "period", "tenant"):
        assert reader.execute(f"SELECT 1 FROM {table} LIMIT 1".encode()).fetchone(), table


def test_a_reader_cannot_go_round_by_a_partition_nor_write(reader: Connection, db: Connection) -> None:
    partitions = db.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relispartition "
        "AND relkind IN ('r', 'p')"
    ).fetchall()
    assert len(partitions) > 10
    for (name,) in partitions:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"SELECT 1 FROM {name}".encode())
    for table in schema.READABLE:
        for change in (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(change.encode())


def test_a_reader_s_query_looks_into_its_tenant_s_partitions_only(reader: Connection, db: Connection) -> None:
    (other,) = db.execute("SELECT tenant_id FROM tenant WHERE name = 'acme'").fetchone() or (0,)
    plan: Any = reader.execute("EXPLAIN SELECT sum(accounted) FROM je_line WHERE account = '1200'").fetchall()
    assert f"je_line_t{other}" not in str(plan)


def test_commands_without_tables_say_how_to_make_them(postgres: LocalPostgres, books_of_two: LedgerDatabase) -> None:
    missing = LedgerDatabase(postgres.url, "no_such_ledger")
    with pytest.raises(SchemaError, match="jobs.subledger prepare"):
        missing.ready(application="test")


def test_entities_and_tenants_are_made_once_and_differences_are_named(db: Connection, fund: str) -> None:
    again = books.add_entity(db, "acme", fund, "EUR")
    assert again == requests.entity(db, "acme", fund).entity_id
    with pytest.raises(LedgerError, match="other settings"):
        books.add_entity(db, "acme", fund, "USD")
    with pytest.raises(LedgerError, match="there is no tenant 'nobody'"):
        books.add_entity(db, "nobody", fund, "USD")
    with pytest.raises(LedgerError, match="has no entity"):
        requests.entity(db, "acme", "nobody")
    with pytest.raises(LedgerError, match="has no rules 'feed'"):
        requests.submit(db, Submission("acme", fund, rules_version="feed"))


def test_months_count_over_the_turn_of_a_year() -> None:
    assert books.months(202511, 202602) == [202511, 202512, 202601, 202602]
    for first, last in ((202600, 202601), (202602, 202601), (202601, 202613)):
        with pytest.raises(LedgerError):
            books.months(first, last)
