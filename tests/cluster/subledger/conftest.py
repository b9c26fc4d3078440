"""The books of two tenants, for all tests of the database here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from florin_io.postgres import Connection
from tests.cluster.subledger_books import ledger
from tests.conftest import LocalPostgres
from transforms.subledger_db import books
from transforms.subledger_db.schema import LedgerDatabase


@pytest.fixture(scope="session")
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
