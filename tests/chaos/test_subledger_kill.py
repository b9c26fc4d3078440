"""kill -9 while a ledger is loaded: all of it is published or nothing, and the load or its next attempt completes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.cluster.ledger_loads import Loads, at_work
from tests.conftest import Florin, eventually
from transforms.subledger_db import staging

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


@pytest.mark.long
@pytest.mark.parametrize("victim", ["taskmanager", "workers", "postgres", "submitter"])
def test_kill_while_keys_are_made(loads: Loads, florin: Florin, victim: str) -> None:
    """Whoever makes keys is killed while it waits for a leaf that somebody reads, and the reader goes away then."""
    number, totals = submitted(loads, f"keys-{victim}")
    process = loads.start(number)
    killed: list[int] = []
    # A connection that ends with PostgreSQL says so when it is left.
    with suppress(psycopg.OperationalError), loads.connect() as watch, loads.connect() as reader, reader.transaction():
        eventually("leaves", lambda: bool(staging.leaves(watch, number)), PATIENCE_S)
        leaf = min(staging.leaves(watch, number))
        reader.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(leaf)))
        eventually("somebody waits for the leaf", lambda: _waited_for(watch, leaf), PATIENCE_S)
        killed = _pids(florin, victim) or [process.pid]
        for pid in killed:
            kill(pid)
    assert killed
    process.communicate(timeout=PATIENCE_S)
    eventually("PostgreSQL answers", lambda: answers(loads), PATIENCE_S)
    finish(loads, number)
    loads.check_published(number, totals)


def _waited_for(connection: psycopg.Connection[Any], leaf: str) -> bool:
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = to_regclass(%s) AND NOT granted)"
    return connection.execute(waits, (leaf,)).fetchone() == (True,)


def _pids(florin: Florin, victim: str) -> list[int]:
    if victim == "taskmanager":
        return [florin.taskmanagers_at_work()[0].pid]
    if victim == "workers":
        return [worker.pid for worker in florin.workers()]
    return [florin.pid("postgres")] if victim == "postgres" else []
