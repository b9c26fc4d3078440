"""Which faults `make chaos` strikes with, and how silences of a job are told from its output."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

import pytest

from tests.chaos.faults import FAULTS, chosen
from tests.chaos.watch import SILENT_S, Watch
from tests.conftest import eventually

pytestmark = pytest.mark.unit


def test_faults_are_chosen_by_name_act_and_part() -> None:
    assert chosen([]) == list(FAULTS)
    assert [fault.name for fault in chosen(["kill-kafka", "checkpoints"])] == ["kill-kafka", "fill-checkpoints"]
    assert {fault.part for fault in chosen(["pause"])} == {fault.part for fault in FAULTS if fault.act == "pause"}
    with pytest.raises(ValueError, match="no fault 'kill-me'; there are kill-taskmanager"):
        chosen(["kill-me"])


def test_a_shard_without_output_is_silent_until_its_next_record() -> None:
    came: SimpleQueue[list[int]] = SimpleQueue()
    closed = threading.Event()

    def take() -> list[int]:
        try:
            return came.get(timeout=0.02)
        except Empty:
            return []

    watch = Watch(take, (0, 1), closed.set)

    def shard_0_alone() -> bool:
        came.put([0, 0, 5])
        return watch.calm_for() == 0.0

    eventually("shard 1 is silent", shard_0_alone)
    assert watch.silences(since=0.0) == []
    came.put([1])
    eventually("it speaks", lambda: bool(watch.silences(since=0.0)))
    watch.close()
    (found,) = watch.silences(since=0.0)
    assert found.shard == 1
    assert found.ended - found.began >= SILENT_S
    assert watch.silences(since=found.ended) == []
    assert watch.count % 3 == 1, "all records count, those of shards without steady traffic too"
    assert closed.is_set()


def test_a_watch_that_fails_says_so() -> None:
    def take() -> list[int]:
        raise ValueError("no such topic")

    watch = Watch(take, (0,), lambda: None)

    def failed() -> bool:
        try:
            watch.calm_for()
        except ValueError:
            return True
        return False

    eventually("failure", failed)
