"""Tables that a released read model left are taken over: brought to this version, and filled on as it would have."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from florin_io.postgres import Database, drop
from tests.conftest import LocalPostgres
from tests.golden.upgrades import tables
from tests.golden.upgrades.kept import FOLDER, Kept
from transforms.read_model import schema

pytestmark = pytest.mark.database
KEPT = Kept(FOLDER / "transfer-1")


@pytest.fixture
def left(postgres: LocalPostgres) -> Iterator[Database]:
    """The tables of the release."""
    database = Database(postgres.url, tables.SCHEMA)
    command = [tables.program("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", str(KEPT.folder / "tables.sql")]
    subprocess.run([*command, postgres.url], check=True, stdout=subprocess.DEVNULL)
    yield database
    drop(database)


def test_tables_of_a_release_go_on_as_they_would_have(left: Database) -> None:
    told = json.loads((KEPT.folder / "rows.json").read_text(encoding="utf-8"))
    applied = {path.stem for path in schema.MIGRATIONS.glob("*.sql")} - {"0001-tables"}
    assert set(schema.prepare(left)) == applied
    first = {int(partition): offset for partition, offset in told["first"].items()}
    tables.apply(left, tables.numbered(first, KEPT.outputs))
    found = tables.rows(left)
    for table, rows in told["rows"].items():
        assert found[table] == rows, (
            f"table {table}: after an upgrade its rows are others than those that the release would have made; whoever "
            "reads it sees them change. tests/golden/upgrades/README.md says what to do"
        )
