"""Faults of the transfer job under load: every outcome right and exactly once, nothing lost and nothing doubled."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.faults import Scene, chosen
from tests.chaos.rounds import play
from tests.chaos.subjects import Transfer
from tests.conftest import Florin

pytestmark = pytest.mark.chaos

RATE = 150
PAUSE_S = 13.0


@pytest.fixture(scope="module")
def subject(florin: Florin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transfer]:
    """One job for all faults: each must leave it as good as new."""
    made = Transfer(florin, "chaos-", tmp_path_factory.mktemp("chaos"), RATE)
    made.start()
    yield made
    florin.stop_jobs()


@pytest.mark.parametrize("fault", ["kill-taskmanager", "kill-worker", "kill-jobmanager", "kill-kafka"])
def test_fault(subject: Transfer, florin: Florin, fault: str) -> None:
    scene = Scene(florin, subject.job, PAUSE_S, threading.Event())
    result = play(subject, scene, (*chosen([fault]),), random.Random(fault))
    print(result)
    assert result.records > RATE
    assert result.silent_s > 0, "nobody noticed the fault"
