"""Fixtures of all tests: one local stack for the whole session, started when the first test needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flink.processes import is_free
from flink.rest import FlinkRest

COMMAND_S = 300


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
        children = [
            child for taskmanager in self.taskmanagers_at_work() for child in taskmanager.children(recursive=True)
        ]
        return [child for child in children if "--florin-worker" in child.cmdline()]

    def stop_jobs(self) -> None:
        """Cancel every job and wait until its slots are free."""
        with self.rest() as rest:
            for job in rest.jobs():
                if job["state"] == "RUNNING":
                    rest.cancel(job["jid"])
            eventually("free slots", lambda: rest.overview()["slots-available"] == rest.overview()["slots-total"], 60)


def eventually(what: str, question: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until the question is answered with yes; fail if that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def florin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Florin]:
    """The stack: Kafka, Flink with three TaskManagers, PostgreSQL."""
    home = tmp_path_factory.mktemp("florin") / "home"
    for name in ("FLORIN_KAFKA", "FLORIN_FLINK", "FLORIN_POSTGRES"):
        os.environ.pop(name, None)
    os.environ["FLORIN_HOME"] = str(home)
    made = Florin(home)
    base = next(base for base in range(24_500, 30_000, 50) if all(is_free(port) for port in range(base, base + 8)))
    try:
        made.run("flink", "up", "-n", "3", "--port-base", str(base))
        yield made
    finally:
        made.run("flink", "down", "--delete")


@pytest.fixture(scope="session")
def kafka(florin: Florin) -> str:
    """Bootstrap servers of the session's Kafka."""
    return florin.kafka


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A topic prefix of the test's own."""
    return f"t{abs(hash(request.node.nodeid)) % 10**8}-{time.time_ns() % 10**6}-"
