"""Publication against a real PostgreSQL: periods, what is published stays as it is, indexes; entities."""

from __future__ import annotations

import threading

import psycopg
import pytest

from florin_io.postgres import Connection, SchemaError
from tests.cluster.subledger_books import ALL, MARCH, Posting, begin, count, fill, publish_in, put_into_the_books
from tests.conftest import LocalPostgres
from transforms.subledger_db import books, requests, staging
from transforms.subledger_db.model import LedgerError, PeriodClosed
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase

pytestmark = pytest.mark.database


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
    assert unvacuumed(db, done.request_id) == 7, "publication would wait for autovacuum to let go of a leaf"
    assert staging.index_later(db, done.request_id) == 10
    assert unvacuumed(db, done.request_id) == 0
    assert staging.index_later(db, done.request_id) == 0


def unvacuumed(db: Connection, request_id: int) -> int:
    """How many leaves of a request autovacuum leaves alone."""
    row = db.execute(
        "SELECT count(*) FROM pg_class WHERE relname ~ %s AND 'autovacuum_enabled=false' = ANY(reloptions)",
        (f"_r{request_id}_",),
    ).fetchone()
    return int(row[0]) if row else 0


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
