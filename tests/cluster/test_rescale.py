"""Other parallelisms while traffic flows, and back to an older savepoint: nothing is lost, nothing comes twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.cards_system import CardsSystem
from tests.cluster.system import TransferSystem
from tests.conftest import Florin, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

STEPS = (2, 4, 1)
TASKMANAGERS = 3
"""Of the session's stack."""


@pytest.fixture
def florin_again(florin: Florin) -> Iterator[Florin]:
    """The stack, left as it was found."""
    yield florin
    florin.stop_jobs()
    florin.run("flink", "taskmanagers", str(TASKMANAGERS))


def rescale(florin: Florin, job: str, parallelism: int) -> float:
    """As docs/operations.md says; returns how many seconds it took."""
    began = time.monotonic()
    florin.run("flink", "rescale", job, str(parallelism))
    with florin.rest() as rest:
        assert {vertex["parallelism"] for vertex in rest.job(rest.require(job)["jid"])["vertices"]} == {parallelism}
    return time.monotonic() - began


def test_transfers_from_1_to_2_to_4_to_1(florin_again: Florin) -> None:
    system = TransferSystem(florin_again, "rescale-")
    system.start(parallelism=1)
    system.set_up()
    for parallelism in STEPS:
        with system.under_load(rate=150, seconds=15):
            began = time.monotonic()
            took = rescale(florin_again, system.job, parallelism)
            system.wait_for_flow(f"after the rescale to {parallelism}, whose command took {took:.1f} s", began)
    eventually("rest", system.at_rest)
    system.check_books()
    system.audit()


def rescale_under_load(system: CardsSystem, parallelism: int) -> None:
    reports: list[dict[str, Any]] = []
    load = threading.Thread(target=lambda: reports.append(system.load(2000, 15)))
    before = system.scored().total()
    load.start()
    eventually("verdicts come", lambda: system.scored().total() > before + 2000)
    took = rescale(system.florin, system.job, parallelism)
    print(f"cards at parallelism {parallelism}: the command took {took:.1f} s")
    load.join()
    assert len(reports) == 1, "the load failed"
    assert system.scored().total() == before + reports[0]["sent"]


def test_cards_from_1_to_2_to_4_to_1_and_back_to_an_older_savepoint(
    florin_again: Florin, tmp_path_factory: pytest.TempPathFactory
) -> None:
    system = CardsSystem(florin_again, tmp_path_factory.mktemp("cards"), "rescale-")
    system.set_up()
    system.start("--parallelism=1")
    for parallelism in STEPS:
        rescale_under_load(system, parallelism)
    system.audit()

    printed = florin_again.run("jobs.cards", "stop", f"--topic_prefix={system.prefix}")
    oldest = printed.split("; savepoint ")[1].split()[0]
    florin_again.run("flink", "restore", oldest)
    system.load(2000, 5)
    before = system.scored().total()
    with florin_again.rest() as rest:
        rest.cancel(rest.require(system.job)["jid"])
    florin_again.run("flink", "restore", oldest)
    more = system.load(2000, 5)["sent"]
    assert system.scored().total() == before + more, "verdicts were emitted again, or are missing"
    system.audit()
