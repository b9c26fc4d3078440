"""Requests that are cancelled while their Flink job runs: the job ends, and nothing of the request is left."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from jobs.subledger.cli import subledger
from jobs.subledger.endings import TAKEN_OVER, job_name
from tests.cluster.ledger_loads import Loads, at_work
from tests.conftest import Florin, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]
ROWS = 400_000
PATIENCE_S = 300


@pytest.fixture(scope="module")
def loads(florin: Florin, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return Loads.on(florin, "subledger_cancel", tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def made(loads: Loads) -> dict[str, Any]:
    """Files that take some seconds to load."""
    loads.entity("cancelled")
    (told,) = loads.make("cancelled", ROWS)
    return told


def cancel(loads: Loads, florin: Florin, number: int) -> None:
    """As a user does; afterwards no Flink job works for the request, and every slot is free."""
    # In this process: until another one has begun, the load might be done.
    told = florin.call(subledger, "--schema", loads.database.schema, "cancel", str(number))
    assert f"request {number}: cancelled" in told, told
    with florin.rest() as rest:
        ours = job_name(loads.database.schema, number)
        jobs = [job for job in rest.jobs() if job["name"].startswith(ours)]
        assert [job["state"] for job in jobs] == ["CANCELED"]
        eventually("free slots", lambda: rest.overview()["slots-available"] == rest.overview()["slots-total"])


def check_nothing_left(loads: Loads, number: int) -> None:
    """No row, no table, no scratch file."""
    assert loads.state(number) == "CANCELLED"
    assert set(loads.counts(number).values()) == {0}
    with loads.connect() as connection:
        for table in ("manifest", "progress", "reconciliation", "input_file"):
            left = connection.execute(f"SELECT count(*) FROM {table} WHERE request_id = %s".encode(), (number,))
            assert left.fetchone() == (0,), table
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename ~ %s AND schemaname = current_schema()", (f"_r{number}_",)
        )
        assert tables.fetchone() == (0,)
    loads.check_clean(number)


@pytest.mark.parametrize("stage", ["reading", "posting"])
def test_a_cancelled_request_ends_its_flink_job_and_leaves_nothing(
    loads: Loads, florin: Florin, made: dict[str, Any], stage: str
) -> None:
    number = loads.submit({"manifest": made["url"]}, stage)
    process = loads.start(number)
    at_work(loads, number, stage, PATIENCE_S)
    cancel(loads, florin, number)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == TAKEN_OVER
    check_nothing_left(loads, number)


@pytest.mark.long
def test_what_a_killed_process_left_of_a_cancelled_request_goes_when_it_is_asked_for_again(
    loads: Loads, florin: Florin, made: dict[str, Any]
) -> None:
    """Nobody is there to delete scratch files but the next one who takes the request from the queue."""
    number = loads.submit({"manifest": made["url"]}, "killed")
    process = loads.start(number)
    at_work(loads, number, "posting", PATIENCE_S)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    cancel(loads, florin, number)
    folder = loads.folder(number)
    assert folder.exists()
    again = loads.start(number)
    again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0
    assert not folder.exists()
    check_nothing_left(loads, number)
