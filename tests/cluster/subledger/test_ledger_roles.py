"""Users who are no superusers: one sets up, one loads, one reads; each needs no more than the guide says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.conftest import eventually, running_postgres
from transforms.subledger_simulate import HEADER

pytestmark = pytest.mark.database
ROOT = Path(__file__).parents[3]
DATABASE = "books"
SET_UP = """
CREATE ROLE setup LOGIN CREATEROLE;
CREATE ROLE etl LOGIN;
CREATE ROLE analyst LOGIN;
CREATE DATABASE books;
REVOKE ALL ON DATABASE books FROM PUBLIC;
GRANT CREATE ON DATABASE books TO setup WITH GRANT OPTION;
GRANT CONNECT ON DATABASE books TO setup, etl, analyst"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL with the three users, and commands as each of them."""

    superuser: str
    scratch: Path

    def conninfo(self, user: str) -> str:
        """Of the database, as a user."""
        return make_conninfo(self.superuser, user=user, dbname=DATABASE)

    def run(self, user: str, *arguments: str, expect: int = 0) -> str:
        """A command as a user; what it printed."""
        command = [sys.executable, "-m", "jobs.subledger", f"--postgres={self.conninfo(user)}", *arguments]
        env = {**os.environ, "FLORIN_HOME": str(self.scratch)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def work(self) -> str:
        """All that is queued, by a worker of the loading user."""
        return self.run("etl", "run", "--until-idle", "--runner=DirectRunner", "--parallelism=1", *self.load_options)

    @property
    def load_options(self) -> tuple[str, ...]:
        """Where a load keeps what lies between its steps."""
        return ("--connections=2", f"--scratch={self.scratch}")

    def ask(self, query: str, user: str = "etl", role: str = "subledger_loader") -> object:
        """One value."""
        with psycopg.connect(self.conninfo(user), options=f"-c role={role} -c search_path=subledger") as connection:
            row = connection.execute(query.encode()).fetchone()
        return row and row[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, for roles belong to the whole of it."""
    with running_postgres() as made:
        with psycopg.connect(made.url, autocommit=True) as admin:
            for statement in SET_UP.split(";"):
                admin.execute(statement.encode())
        server = Server(made.url, tmp_path_factory.mktemp("scratch"))
        set_up(server)
        yield server


def set_up(server: Server) -> None:
    """Schema and tenant, by who may; the loader and the reader are told what they lack until they have it."""
    told = server.run("etl", "prepare", expect=3)
    assert "GRANT subledger_loader TO" in told
    server.run("setup", "prepare")
    server.run("setup", "tenant", "add", "acme")
    told = server.run("etl", "status", expect=1)
    assert "GRANT subledger_loader TO" in told
    with psycopg.connect(server.conninfo("setup"), autocommit=True) as connection:
        connection.execute("GRANT subledger_loader TO etl")
        connection.execute("GRANT subledger_reader_acme TO analyst")


def ledger(path: Path, rows: list[str]) -> str:
    """A file of rows; its name."""
    path.write_bytes(HEADER + "".join(f"{row}\n" for row in rows).encode())
    return str(path)


JANUARY = [f"{number},1,BUY,fund,2026-01-05,,EQ001,EQ{number % 7},10,2,EUR,,,,," for number in range(1, 300)]
FEBRUARY = [
    "400,1,SELL,fund,2026-02-05,,EQ001,EQ1,5,3,EUR,,,,,", "401,1,CANCEL,fund,2026-02-06,,EQ001,EQ2,,,,,,,,2",
    "402,1,INCOME,fund,2026-02-06,,EQ001,EQ3,,,EUR,7,,,,",
]  # fmt: skip


@pytest.mark.long
def test_load_report_reverse_and_cancel_without_a_superuser(server: Server, tmp_path: Path) -> None:
    server.run("etl", "entity", "add", "acme", "fund", "--currency=EUR", "--periods=202601..202604")
    whose = ("--tenant=acme", "--entity=fund")
    server.run("etl", "submit", *whose, ledger(tmp_path / "january.csv", JANUARY))
    server.run("etl", "submit", *whose, ledger(tmp_path / "february.csv", FEBRUARY))
    server.work()
    assert server.ask("SELECT array_agg(state ORDER BY request_id) FROM request") == ["PUBLISHED", "PUBLISHED"]
    assert server.ask("SELECT count(*) FROM je_header") == len(JANUARY) + len(FEBRUARY)
    assert server.ask("SELECT count(*) FROM pg_indexes WHERE indexname ~ '_q[0-9]$'") == 10

    # By hand, a reversal, a schedule, a cancelled one.
    more = ledger(tmp_path / "march.csv", ["500,1,INCOME,fund,2026-03-06,,EQ001,EQ3,,,EUR,7,,,,"])
    server.run("etl", "submit", *whose, more)
    server.run("etl", "--request=3", "--runner=DirectRunner", "--parallelism=1", *server.load_options)
    assert server.ask("SELECT count(*) FROM pg_indexes WHERE indexname ~ '_r3_.*_q[0-9]$'") == 5
    server.run("etl", "reverse", "2")
    again = ledger(tmp_path / "again.csv", ["600,1,INCOME,fund,2026-03-07,,EQ001,EQ3,,,EUR,7,,,,"])
    server.run("etl", "schedule", "add", "once", *whose, again, "--in-s=1")
    server.work()
    assert server.ask("SELECT array_agg(state ORDER BY request_id) FROM request") == [
        "PUBLISHED", "REVERSED", "PUBLISHED", "PUBLISHED", "PUBLISHED",
    ]  # fmt: skip
    server.run("etl", "submit", *whose, ledger(tmp_path / "waits.csv", JANUARY[:1]), "--key=waits")
    assert "cancelled" in server.run("etl", "cancel", "6")
    server.run("etl", "period", "close", "acme", "fund", "202601")

    told = server.run("analyst", "report", "trial-balance", "acme", "fund", "--format=csv")
    assert '"1200"' in told
    for what in (("status",), ("cancel", "1"), ("submit", *whose, more)):
        assert "reader role" in server.run("analyst", *what, expect=1)
    assert server.ask("SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname ~ 'etl|setup|analyst|subledger'") == 0


def test_a_zombie_s_copy_is_ended_by_a_loader_that_is_no_superuser(server: Server, tmp_path: Path) -> None:
    """`cancel` drops leaves that another session of the same user still holds."""
    whose = ("--tenant=acme", "--entity=zombie")
    server.run("etl", "entity", "add", "acme", "zombie", "--currency=EUR", "--periods=202601..202604")
    told = server.run("etl", "submit", *whose, ledger(tmp_path / "january.csv", JANUARY), "--key=zombie")
    number = int(told.split()[1].rstrip(":"))
    with psycopg.connect(
        server.conninfo("etl"), options="-c role=subledger_loader -c search_path=subledger", autocommit=True
    ) as zombie:
        zombie.execute("UPDATE request SET state = 'RUNNING', attempt = 1 WHERE request_id = %s", (number,))
        zombie.execute(f"CREATE TABLE lot_r{number}_a1 (LIKE lot)".encode())
        zombie.autocommit = False
        zombie.execute(f"LOCK TABLE lot_r{number}_a1 IN ROW EXCLUSIVE MODE".encode())
        assert "1 staged tables dropped" in server.run("etl", "cancel", str(number))
        eventually("the end of the zombie's session", lambda: ended(zombie), 10)
    assert server.ask(f"SELECT count(*) FROM pg_class WHERE relname ~ '_r{number}_'") == 0


def ended(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the server has ended a session."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False
