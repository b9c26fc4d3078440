"""Requests that are taken back as a whole, and periods that are run again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from florin_io.postgres import Connection
from tests.cluster.subledger_books import (
    MARCH,
    Posting,
    begin,
    event,
    fill,
    publish_in,
    put_into_the_books,
    run_reversal,
    trial_balance,
)
from transforms.subledger_db import books, lookups, requests, reversal
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.requests import Submission

pytestmark = pytest.mark.database


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
