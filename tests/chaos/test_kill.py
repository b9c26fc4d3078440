"""kill -9 under load: every outcome right and exactly once, outputs flow again, nothing lost and nothing doubled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.cluster.system import TransferSystem
from tests.conftest import Florin, eventually
from transforms.load.scenarios import EVERYDAY

pytestmark = pytest.mark.chaos

RATE = 150
SECONDS = 12.0
# Of transfers that shall time out: a machine busy with other things must have handed them to Kafka by then.
TIMEOUT_S = 8.0


@pytest.fixture(scope="module")
def system(florin: Florin) -> Iterator[TransferSystem]:
    """One job for all kills: each must leave it as good as new."""
    made = TransferSystem(florin, "chaos-")
    made.start()
    made.set_up()
    yield made
    florin.stop_jobs()


def check(system: TransferSystem) -> None:
    """After a load whose report was right: the books balance, and a replay makes what was emitted."""
    eventually("rest", system.at_rest)
    system.check_books()
    system.audit()


def test_kill_of_a_taskmanager_at_work(system: TransferSystem, florin: Florin) -> None:
    with system.under_load(RATE, SECONDS, timeout_s=TIMEOUT_S):
        victim = florin.taskmanagers_at_work()[0]
        system.recover_from("a TaskManager", victim)
    check(system)


def test_kill_of_a_python_worker(system: TransferSystem, florin: Florin) -> None:
    with system.under_load(RATE, SECONDS, timeout_s=TIMEOUT_S):
        system.recover_from("a Python worker", florin.workers()[0])
    check(system)


def test_kill_of_kafka(system: TransferSystem, florin: Florin) -> None:
    # No transfer that shall time out: a prepare that Kafka took after its expiration is rightly refused.
    mix = {name: share for name, share in EVERYDAY.items() if name != "timeout"}
    with system.under_load(RATE, SECONDS, mix=mix):
        killed = florin.pid("kafka")
        began = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        eventually("the supervisor starts Kafka again", lambda: restarted(florin, killed))
        eventually("Kafka answers", lambda: system.flows([-1] * 4))
        system.wait_for_flow("after kill -9 of Kafka", began)
    check(system)


def restarted(florin: Florin, killed: int) -> bool:
    entry = florin.state["pids"].get("kafka")
    return entry is not None and entry["pid"] != killed and psutil.pid_exists(entry["pid"])
