"""When snapshots are due."""

from __future__ import annotations

import pytest

from state.pace import SnapshotPace

pytestmark = pytest.mark.unit


def test_a_silent_shard_is_never_due() -> None:
    pace = SnapshotPace(age_s=10)
    assert not pace.due(1_000_000)


def test_a_working_shard_is_due_by_age() -> None:
    pace = SnapshotPace(age_s=10)
    pace.written(100, 0)
    pace.worked(0.1)
    assert not pace.due(109.9)
    assert pace.due(110)


def test_much_work_makes_it_due_before_its_age() -> None:
    pace = SnapshotPace(work_s=5, age_s=100)
    pace.written(100, 0)
    for _ in range(51):
        pace.worked(0.1)
    assert pace.due(101)


def test_a_large_snapshot_waits_for_its_budget() -> None:
    pace = SnapshotPace(age_s=10, bytes_per_s=1000)
    pace.written(100, 50_000)
    pace.worked(100)
    assert not pace.due(149)
    assert pace.due(150)


def test_a_demand_goes_before_budget_and_age() -> None:
    pace = SnapshotPace(age_s=10, bytes_per_s=1)
    pace.written(100, 50_000)
    pace.demand()
    assert pace.due(100)
    pace.written(100, 0)
    assert not pace.due(100)


def test_age_is_that_of_what_a_snapshot_lacks() -> None:
    pace = SnapshotPace()
    pace.written(100, 0)
    assert pace.age(150) == 0
    pace.worked(0.1)
    assert pace.age(150) == 50
    pace.written(150, 0, more=True)
    assert pace.age(151) == 1
    pace.written(151, 0)
    assert pace.age(200) == 0
