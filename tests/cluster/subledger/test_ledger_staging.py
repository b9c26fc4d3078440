"""Attempts at a request against a real PostgreSQL: one at a time, no zombies; staged, cancelled, given back."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from florin_io.pgcopy import Encoded
from florin_io.postgres import Connection
from tests.cluster.subledger_books import ALL, MARCH, Posting, begin, count, fill, put_into_the_books, rejects
from transforms.subledger_db import requests, staging
from transforms.subledger_db.model import Busy, Check, Fenced, LedgerError, StagingLost
from transforms.subledger_db.publish import Publication, Totals, publish
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase
from transforms.subledger_db.staging import ManifestKey

pytestmark = pytest.mark.database


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
    # A worker that has not heard of it yet tells how far it is.
    requests.report_progress(db, request.request_id, 1, "worker-1", rows_read=6)
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
