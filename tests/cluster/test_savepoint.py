"""Savepoints of the transfer job: whatever it is started from, the emitted bytes are those of one run.

The tests are one story on one job, in this order. Each ends with an audit: a replay of the whole log, which knows
nothing of stops, makes byte for byte what a read_committed reader sees.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from florin_io.control import not_paused
from jobs.transfer import group_of
from tests.cluster.system import PARTITIONS, TransferSystem
from tests.conftest import Florin, eventually

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def system(florin: Florin) -> Iterator[TransferSystem]:
    made = TransferSystem(florin, "savepoint-")
    made.start(parallelism=2)
    made.set_up()
    made.load()
    yield made
    florin.stop_jobs()


def restored_from(system: TransferSystem) -> str:
    with system.florin.rest() as rest:
        return str(rest.checkpoints(system.job_id())["latest"]["restored"]["external_path"])


def savepoint(system: TransferSystem, *options: str) -> str:
    """Stop the job; returns the savepoint's name."""
    printed = system.florin.run("flink", "savepoint", system.job, *options)
    assert "stopped after" in printed
    return printed.split("; savepoint ")[1].split()[0].rstrip("/").rsplit("/", 1)[-1]


def check(system: TransferSystem, *, nothing_since: list[int] | None = None) -> None:
    """`nothing_since`: ends of the notifications that a start from the past must not move."""
    eventually("rest", system.at_rest)
    if nothing_since is not None:
        assert system.emitted() == nothing_since, "replayed records were emitted again"
    system.load(seconds=2)
    eventually("rest", system.at_rest)
    system.check_books()
    system.audit()


@pytest.fixture(scope="module")
def oldest(system: TransferSystem) -> str:
    """The first savepoint, after which much more was emitted."""
    return savepoint(system)


def test_restore_at_another_parallelism(system: TransferSystem, oldest: str) -> None:
    system.florin.run("flink", "restore", "latest", "--job", system.job, "--parallelism", "1")
    assert restored_from(system).endswith(oldest)
    assert system.parallelism() == {1}
    check(system)


def test_savepoint_for_an_upgrade_stops_every_shard_at_its_control_record(system: TransferSystem, oldest: str) -> None:
    made = savepoint(system, "--for-upgrade")
    assert made != oldest
    assert not_paused(system.kafka, system.topics.log, PARTITIONS, group_of(system.job)) == []
    before = system.emitted()
    system.florin.run("flink", "restore", "latest", "--job", system.job)
    assert restored_from(system).endswith(made)
    check(system, nothing_since=before)


def test_an_older_savepoint_emits_nothing_twice(system: TransferSystem, oldest: str) -> None:
    eventually("rest", system.at_rest)
    before = system.emitted()
    system.cancel()
    system.florin.run("flink", "restore", oldest)
    assert restored_from(system).endswith(oldest)
    check(system, nothing_since=before)


def test_a_start_without_any_savepoint_replays_the_log_and_emits_nothing_twice(system: TransferSystem) -> None:
    eventually("rest", system.at_rest)
    before = system.emitted()
    system.cancel()
    system.start(parallelism=2)
    check(system, nothing_since=before)
