"""The audit's own checks of emitted events."""

from __future__ import annotations

import pytest

from jobs.audit import HashChains
from transforms.transfers.accounts import Chain
from transforms.transfers.events import journal_event

pytestmark = pytest.mark.unit


def _chain(length: int) -> list[bytes]:
    journal = Chain("shard/0")
    return [journal_event(journal, "configure", 5, number, "") for number in range(length)]


def test_an_unbroken_chain_passes() -> None:
    check = HashChains()
    assert [check(event) for event in _chain(5)] == [None] * 5


def test_a_changed_event_breaks_the_chain() -> None:
    events = _chain(3)
    check = HashChains()
    check(events[0])
    complaint = check(events[1].replace(b'"at":5', b'"at":6'))
    assert complaint == "account shard/0: the hash chain is broken at sequence number 2"


def test_a_missing_event_is_a_gap() -> None:
    events = _chain(3)
    check = HashChains()
    check(events[0])
    assert check(events[2]) == "account shard/0: sequence number 3 follows 1"


def test_a_second_first_event_is_refused() -> None:
    events = _chain(1)
    check = HashChains()
    check(events[0])
    assert check(events[0]) == "account shard/0: sequence number 1 follows 1"
