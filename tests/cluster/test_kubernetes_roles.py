"""The roles of k8s/examples/postgres do what the jobs need of them, and no more, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg.conninfo import make_conninfo

from florin_io.postgres import Connection, Database
from jobs.exporter import Tables
from tests.conftest import running_postgres
from transforms.read_model import schema as read_model
from transforms.subledger_db import books
from transforms.subledger_db import schema as subledger
from transforms.subledger_db.load_state import let_watch
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.schema import LOADER, LedgerDatabase

pytestmark = pytest.mark.database
ROLES = Path(__file__).resolve().parents[2] / "k8s" / "examples" / "postgres" / "roles.sql"
USERS = ("florin_admin", "florin_read_model", "florin_loader", "florin_reader", "florin_metrics")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database as CloudNativePG makes it: owned by florin_admin, who may make roles, and the file run in it.

    On a server of its own, for roles belong to the whole of it.
    """
    with running_postgres() as postgres, psycopg.connect(postgres.url, autocommit=True) as admin:
        assert LOADER not in {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
        admin.execute("CREATE ROLE florin_admin LOGIN CREATEROLE")
        admin.execute("CREATE DATABASE florin OWNER florin_admin")
        place = make_conninfo(postgres.url, dbname="florin")
        with psycopg.connect(place, autocommit=True) as inside:
            inside.execute(ROLES.read_bytes())
        yield place


def as_user(url: str, user: str) -> str:
    return make_conninfo(url, user=user)


def connected(url: str, user: str) -> Connection:
    return psycopg.connect(as_user(url, user), autocommit=True)


def test_the_administrator_prepares_the_subledger_and_the_loader_loads(url: str) -> None:
    administrator = LedgerDatabase(as_user(url, "florin_admin"))
    assert "queue" in subledger.prepare(administrator)
    assert subledger.prepare(administrator) == []
    _, reader = books.add_tenant(administrator, "acme", None)
    with connected(url, "florin_admin") as connection:
        connection.execute(f'GRANT "{reader}" TO florin_reader')
    with LedgerDatabase(as_user(url, "florin_loader")).ready(application="test") as connection:
        assert connection.execute("SELECT name FROM tenant").fetchall() == [("acme",)]
        assert connection.execute("SELECT current_user").fetchone() == (LOADER,)


def test_the_read_model_makes_its_tables_and_readers_read_them(url: str) -> None:
    assert read_model.prepare(Database(as_user(url, "florin_read_model"), read_model.DEFAULT_SCHEMA))
    with connected(url, "florin_reader") as connection:
        assert connection.execute(f"SELECT count(*) FROM {read_model.DEFAULT_SCHEMA}.source").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"DELETE FROM {read_model.DEFAULT_SCHEMA}.source")


def test_the_exporter_reads_the_read_model_and_counts_requests(url: str) -> None:
    administrator = LedgerDatabase(as_user(url, "florin_admin"))
    subledger.prepare(administrator)
    with administrator.connect(application="test") as loader:
        let_watch(loader, "florin_metrics")
    read_model.prepare(Database(as_user(url, "florin_read_model"), read_model.DEFAULT_SCHEMA))
    place = as_user(url, "florin_metrics")
    registry = CollectorRegistry()
    registry.register(Tables(Database(place, read_model.DEFAULT_SCHEMA), Database(place, subledger.DEFAULT_SCHEMA)))
    for source in ("read_model", "subledger"):
        assert registry.get_sample_value("florin_source_up", {"source": source}) == 1
    assert registry.get_sample_value("florin_requests", {"state": "QUEUED"}) == 0


@pytest.mark.parametrize("user", ["florin_read_model", "florin_reader", "florin_metrics"])
def test_others_may_not_load(url: str, user: str) -> None:
    with pytest.raises(LedgerError, match="no loader"):
        LedgerDatabase(as_user(url, user)).ready(application="test")


@pytest.mark.parametrize("user", USERS[1:])
def test_only_the_administrator_makes_roles(url: str, user: str) -> None:
    with connected(url, user) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE ROLE nobody")
