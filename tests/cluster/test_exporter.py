"""The page that the exporter makes of the tables, asked for as a user who may do nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest
from psycopg.conninfo import make_conninfo

from florin_io.postgres import Database
from jobs import exporter
from tests.cluster.subledger_books import begin, ledger
from tests.conftest import LocalPostgres, running_postgres
from tests.scrape import Page, text_of
from tests.unit.read_model.maker import Maker
from transforms.read_model import schema
from transforms.read_model.writer import ReadModelWriter
from transforms.subledger_db import requests
from transforms.subledger_db.load_state import let_watch
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase

pytestmark = pytest.mark.database
READ_MODEL = "shown"
WATCHER, STRANGER = "watcher", "stranger"


@dataclass(frozen=True)
class Watched:
    """A server with both sets of tables, and a user who may watch them."""

    postgres: LocalPostgres
    ledger: LedgerDatabase

    def conninfo(self, user: str = WATCHER) -> str:
        """A user's address."""
        return make_conninfo(self.postgres.url, user=user)

    def page(self, read_model: str = READ_MODEL, subledger: str | None = None, user: str = WATCHER) -> Page:
        """A scrape of two schemas as a user."""
        registry = CollectorRegistry()
        schemas = (read_model, subledger or self.ledger.schema)
        registry.register(exporter.Tables(*(Database(self.conninfo(user), name) for name in schemas)))
        return Page(generate_latest(registry).decode(), "florin")


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """On a server of its own, for roles belong to the whole of it and it is stopped."""
    with running_postgres() as postgres:
        database = Database(postgres.url, READ_MODEL)
        with database.connect(application="test") as admin:
            for role in (WATCHER, STRANGER):
                admin.execute(f"CREATE ROLE {role} LOGIN".encode())
            admin.execute(f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {WATCHER}".encode())
            admin.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {WATCHER}".encode())
        schema.prepare(database)
        with ledger(postgres.url, ("acme", "bolt")) as made:
            yield Watched(postgres, made)


def test_a_schema_that_its_user_may_not_use_is_told_as_unreadable_and_no_schema_not_at_all(watched: Watched) -> None:
    page = watched.page(user=STRANGER)
    assert page.by("source", "florin_source_up") == {"read_model": 0, "subledger": 0}
    assert page.names() == {"florin_source_up"}
    assert watched.page("nowhere", "nowhere").by("source", "florin_source_up") == {}


def test_who_is_let_watch_counts_the_requests_of_all_tenants_and_reads_no_row(watched: Watched) -> None:
    with watched.ledger.connect(application="test") as loader:
        for _ in range(2):
            let_watch(loader, WATCHER)
        with pytest.raises(LedgerError, match="there is no role nobody"):
            let_watch(loader, "nobody")
        begin(loader, "runs")
        for tenant in ("acme", "bolt"):
            requests.submit(loader, Submission(tenant, "fund", key="waits"))
        loader.execute(
            "UPDATE request SET rows_posted = 7, rows_rejected = 2, rows_duplicate = 1, "
            "attempt_at = now() - interval '1 hour', heartbeat_at = now() - interval '90 s' WHERE state = 'RUNNING'"
        )
    page = watched.page()
    assert page.by("source", "florin_source_up") == {"read_model": 1, "subledger": 1}
    found = page.by("state", "florin_requests")
    assert {state: count for state, count in found.items() if count} == {"RUNNING": 1, "QUEUED": 2}
    assert page.by("result", "florin_request_rows") == {"posted": 7, "rejected": 2, "duplicate": 1}
    assert 3600 <= page.total("florin_request_oldest_seconds", state="RUNNING") < 3700
    assert 90 <= page.total("florin_request_silent_seconds") < 190
    with Database(watched.conninfo(), watched.ledger.schema).connect(application="test") as watcher:
        for query in ("SELECT request_id FROM request", "SELECT 1 FROM tenant", "UPDATE request SET state = 'FAILED'",
                      "SET ROLE subledger_loader"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                watcher.execute(query.encode())


def test_positions_and_faults_of_the_read_model(watched: Watched) -> None:
    maker = Maker()
    maker.change("dfsp1/USD", "participant", "0", commandId="c1", result="ok", active=True, participant="dfsp1")
    maker.change("dfsp1/USD", "fundsIn", "0", commandId="c2", result="ok", transferId="f1", amount="1000")
    maker.reserve("t1", "dfsp1", "dfsp2", "12.5")
    writer = ReadModelWriter(Database(watched.postgres.url, READ_MODEL), "transfer-events", 0)
    writer.apply(maker.records)
    writer.close()
    page = watched.page()
    assert page.by("currency", "florin_positions_sum") == {"USD": 12.5}
    assert page.by("currency", "florin_reserved_sum") == {"USD": 12.5}
    assert page.by("kind", "florin_read_model_faults") == {"chain_breaks": 0, "dead_letters": 0}


def test_the_command_answers_and_says_which_port_is_taken(watched: Watched) -> None:
    schemas = (f"--read-model-schema={READ_MODEL}", f"--subledger-schema={watched.ledger.schema}")
    running = subprocess.Popen(
        [sys.executable, "-m", "jobs.exporter", "--port=0", f"--postgres={watched.conninfo()}", *schemas],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+)/)metrics", line)
        assert found is not None, line
        assert Page(text_of(f"{found[1]}metrics"), "florin").by("source", "florin_source_up")["read_model"] == 1
        taken = CliRunner().invoke(exporter.main, [f"--port={found[2]}", f"--postgres={watched.conninfo()}"])
        assert taken.exit_code == 1
        assert "choose another --port" in taken.output
    finally:
        running.terminate()
        running.wait(10)


def test_a_server_that_is_away_is_told_and_found_again(watched: Watched) -> None:
    watched.postgres.stop()
    try:
        assert watched.page().by("source", "florin_source_up") == {"read_model": 0, "subledger": 0}
    finally:
        watched.postgres.start()
    assert watched.page().by("source", "florin_source_up")["read_model"] == 1
