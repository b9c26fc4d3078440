"""kill -9 while a ledger is loaded: all of it is published or nothing, and the load or its next attempt completes."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.cluster.ledger_loads import Loads, at_work
from tests.conftest import Florin, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("second stack")]

ROWS = 200_000
STAGES = ("reading", "posting")
# Where no kernel is compiled yet, that comes first.
PATIENCE_S = 300


@pytest.fixture(scope="module")
def loads(florin: Florin, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return Loads.on(florin, "subledger_chaos", tmp_path_factory.mktemp("scratch"))


def submitted(loads: Loads, name: str) -> tuple[int, dict[str, Any]]:
    """A request of an entity of its own, and what the generator counted."""
    loads.entity(name)
    (made,) = loads.make(name, ROWS)
    return loads.submit({"manifest": made["url"]}, name), dict(made["totals"])


def finish(loads: Loads, number: int, seconds: float = PATIENCE_S) -> None:
    """Let attempts follow each other, as the queue's worker does, until the request has ended.

    One follows in any case: the killed process's job may have published the request, and what that left is removed.
    """
    end = time.monotonic() + seconds
    while True:
        process = loads.start(number)
        process.communicate(timeout=seconds)
        if loads.state(number) not in ("RUNNING", "QUEUED"):
            return
        assert time.monotonic() < end, loads.state(number)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_kill_of_taskmanagers(loads: Loads, florin: Florin) -> None:
    number, totals = submitted(loads, "taskmanagers")
    process = loads.start(number)
    for stage in STAGES:
        at_work(loads, number, stage, PATIENCE_S)
        kill(florin.taskmanagers_at_work()[0].pid)
    process.communicate(timeout=PATIENCE_S)
    finish(loads, number)
    loads.check_published(number, totals)


@pytest.mark.long
def test_kill_of_python_workers(loads: Loads, florin: Florin) -> None:
    """All at once, and twice."""
    number, totals = submitted(loads, "workers")
    process = loads.start(number)
    for stage in STAGES:
        at_work(loads, number, stage, PATIENCE_S)
        for worker in florin.workers():
            kill(worker.pid)
    process.communicate(timeout=PATIENCE_S)
    finish(loads, number)
    loads.check_published(number, totals)


@pytest.mark.long
def test_kill_of_the_servers(loads: Loads, florin: Florin) -> None:
    """PostgreSQL forgets what it took last; the object store is away when the files are wanted."""
    number, totals = submitted(loads, "servers")
    kill(florin.pid("objects"))
    process = loads.start(number)
    at_work(loads, number, "posting", PATIENCE_S)
    killed = florin.pid("postgres")
    kill(killed)
    eventually("another PostgreSQL", lambda: florin.state["pids"].get("postgres", {}).get("pid") not in (None, killed))
    process.communicate(timeout=PATIENCE_S)
    eventually("PostgreSQL answers", lambda: answers(loads))
    finish(loads, number)
    loads.check_published(number, totals)


def answers(loads: Loads) -> bool:
    """Whether PostgreSQL does."""
    try:
        loads.connect().close()
    except ConnectionError:
        return False
    return True


@pytest.mark.long
def test_kill_of_the_submitting_process(loads: Loads) -> None:
    number, totals = submitted(loads, "submitter")
    for stage in STAGES:
        process = loads.start(number)
        at_work(loads, number, stage, PATIENCE_S)
        kill(process.pid)
        process.communicate(timeout=PATIENCE_S)
    finish(loads, number)
    loads.check_published(number, totals)
