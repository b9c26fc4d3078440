"""What a tenant's readers see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from florin_io.postgres import Connection
from tests.cluster.subledger_books import Posting, published
from transforms.subledger_db import schema
from transforms.subledger_db.schema import LedgerDatabase

pytestmark = pytest.mark.database
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
