"""Every golden case against the cores: as written, and with the same bytes however the log is cut or restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

from transforms.transfers import golden
from transforms.transfers.local import LocalHub

pytestmark = pytest.mark.golden

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
assert CASES


def by_partition(hub: LocalHub) -> dict[tuple[str, int], list[tuple[bytes | None, bytes]]]:
    """What was emitted, in the order each partition of each topic has it."""
    found: dict[tuple[str, int], list[tuple[bytes | None, bytes]]] = {}
    for topic, partition, key, value in hub.outputs:
        found.setdefault((topic, partition), []).append((key, value))
    return found


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def case(request: pytest.FixtureRequest) -> golden.Case:
    return golden.load(request.param)


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_case_holds(case: golden.Case, partitions: int) -> None:
    assert golden.run(case, LocalHub(partitions)) == []


def test_no_case_raises_dead_letters_of_shards(case: golden.Case) -> None:
    hub = LocalHub()
    golden.run(case, hub)
    assert list(hub.of(hub.topics.dead_letters)) == []


@pytest.mark.parametrize("partitions", [1, 4])
def test_restart_after_every_message_gives_the_same_bytes(case: golden.Case, partitions: int) -> None:
    plain, restarted = LocalHub(partitions), LocalHub(partitions, restart=True)
    assert golden.run(case, plain) == golden.run(case, restarted) == []
    assert by_partition(plain) == by_partition(restarted)


def test_batch_boundaries_do_not_matter(case: golden.Case) -> None:
    plain, single = LocalHub(), LocalHub(batch=1)
    golden.run(case, plain)
    golden.run(case, single)
    assert by_partition(plain) == by_partition(single)


def test_lenient_reading_gives_the_same_bytes(case: golden.Case) -> None:
    fast, slow = LocalHub(), LocalHub(fast=False)
    golden.run(case, fast)
    golden.run(case, slow)
    assert fast.outputs == slow.outputs


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
def test_every_message_twice_moves_money_once(case: golden.Case, restart: bool) -> None:
    hub = golden.set_up(case, LocalHub(restart=restart))
    for number, step in enumerate(case.steps):
        golden.perform(case, hub, number, step)
        golden.perform(case, hub, number, step)
    case.expect.pop("notifications", None)
    assert golden.compare(case, hub) == []
