"""Golden cases through Kafka and Flink: Mojaloop's topics, the sequencer, the shards, as one running job.

All cases run at once, step by step, each with participants of its own. Left out are those that need exact times, ticks,
settings of the whole scheme or the read side.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.system import PARTITIONS, Follower, TransferSystem, send
from tests.conftest import Florin, eventually
from transforms.transfers import golden, money
from transforms.transfers.local import ReadSide
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.cluster

FOLDER = Path(__file__).parents[1] / "golden" / "cases"
ROOM_MS = 600_000
"""Added to every expiration: a slow machine must not let a transfer expire that does not in the case."""


def suits(document: dict[str, Any]) -> bool:
    """Whether the case means the same at any time of day, on a job that others use too."""
    steps = document["steps"]
    times = [
        (name, value["plus"])
        for step in steps
        for kind in ("prepare", "fulfil")
        for name, value in step.get(kind, {}).items()
        if isinstance(value, dict) and "plus" in value
    ]
    return (
        "config" not in document
        and not any("tick" in step or "get" in step or "configure" in step.get("admin", {}) for step in steps)
        and max(step["at"] for step in steps) <= 1000
        and all(plus >= 10_000 if name == "expiration" else plus <= 0 for name, plus in times)
    )


@dataclass
class Account:
    """An account as its last event tells it; amounts in units."""

    position: int
    reserved: int
    cover: int
    ndc: int
    active: bool


@dataclass
class Stage:
    """What one case sends and gets back; the golden runner drives it as it does the cores in memory."""

    number: int
    case: golden.Case
    topics: Topics
    waiting: list[tuple[str, int, bytes | None, bytes]] = field(default_factory=list)
    notifications: list[bytes] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_side: ReadSide = field(default_factory=ReadSide)

    def send(self, topic: str, value: bytes, at: int) -> None:
        self.waiting.append((topic, self.number % 2, None, value))

    def admin(self, command: dict[str, Any], at: int, where: str) -> None:
        value = json.dumps({"admin": command, "id": f"g{self.number}-{where}"}).encode()
        self.waiting += [(self.topics.log, partition, None, value) for partition in range(PARTITIONS)]

    def of(self, topic: str) -> list[bytes]:
        assert topic == self.topics.notifications
        return self.notifications

    def account(self, name: str) -> Account | None:
        event = self.accounts.get(name)
        if event is None:
            return None
        position, reserved, cover, ndc = (units(event[key]) for key in ("position", "reserved", "cover", "ndc"))
        return Account(position, reserved, cover, ndc, event.get("active", True))


def units(text: str) -> int:
    return -money.parse(text[1:]) if text.startswith("-") else money.parse(text)


def staged(number: int, path: Path, topics: Topics) -> Stage:
    """The case with participants of its own and without times."""
    text = re.sub(r"\b(dfsp\d|nobank)\b", rf"g{number:02d}-\1", path.read_text())
    text = text.replace("11111111-", f"{number:08d}-")  # ids of funds movements, the same in several cases
    document = json.loads(text)
    document.pop("source", None)
    for step in document["steps"]:
        expiration = step.get("prepare", {}).get("expiration")
        if isinstance(expiration, dict):
            expiration["plus"] += ROOM_MS
    for wanted in document["expect"].get("notifications", []):
        wanted.pop("at", None)
    return Stage(number, golden.parse(document, path.name), topics)


class Theatre:
    """The running job and all cases on it."""

    def __init__(self, system: TransferSystem, stages: list[Stage]) -> None:
        self.system = system
        self.stages = stages
        topics = system.topics
        self._notes = [Follower(system.kafka, topics.notifications, partition) for partition in range(PARTITIONS)]
        self._events = [Follower(system.kafka, topics.events, partition) for partition in range(PARTITIONS)]

    def play(self, name: str) -> None:
        """Send what the cases want sent, message by message of each case, and hand out what comes of it."""
        records = [record for stage in self.stages for record in stage.waiting]
        for stage in self.stages:
            stage.waiting.clear()
        send(self.system.kafka, records)
        eventually(f"rest after {name}", self.system.at_rest)
        for follower in self._notes:
            for _, value in follower.take():
                document = json.loads(value)
                self._stage(document["to"]).notifications.append(value)
        for follower in self._events:
            for _, value in follower.take():
                self._take_event(value)

    def _take_event(self, value: bytes) -> None:
        event = json.loads(value)
        owner = event["account"] if "position" in event else event.get("payer") or event.get("participant")
        if "position" in event:
            known = self._stage(owner).accounts.setdefault(event["account"], {})
            known.update(event)
        if event.get("transferId") and event["kind"] in ("reserve", "invalid", "commit", "release"):
            for stage in self.stages:
                if event["transferId"] in stage.case.expect.get("states", {}):
                    stage.read_side.apply(value)

    def _stage(self, name: str) -> Stage:
        match = re.match(r"g(\d\d)-", name)
        assert match, f"emitted for a party of no case: {name}"
        return self.stages[int(match.group(1))]

    def close(self) -> None:
        for follower in (*self._notes, *self._events):
            follower.close()


PATHS = [path for path in sorted(FOLDER.glob("*.json")) if suits(json.loads(path.read_text()))]
assert len(PATHS) > 40


@pytest.fixture(scope="module")
def differences(florin: Florin) -> Iterator[dict[str, list[str]]]:
    """All cases played on one job; what differs in each."""
    system = TransferSystem(florin, "golden-")
    system.start(parallelism=1)
    stages = [staged(number, path, system.topics) for number, path in enumerate(PATHS)]
    theatre = Theatre(system, stages)
    with pytest.MonkeyPatch.context() as patch:
        for stage in stages:
            golden.set_up(stage.case, stage)  # type: ignore[arg-type]
        theatre.play("the set-up")
        # Every step lies in the past, so that no completedTimestamp is in the future.
        patch.setattr(golden, "BASE_MS", time.time_ns() // 1_000_000 - 2000)
        for number in range(max(len(stage.case.steps) for stage in stages)):
            for stage in stages:
                if number < len(stage.case.steps):
                    golden.perform(stage.case, stage, number, stage.case.steps[number])  # type: ignore[arg-type]
            theatre.play(f"step {number}")
        yield {Path(stage.case.path).stem: golden.compare(stage.case, stage) for stage in stages}  # type: ignore[arg-type]
    theatre.close()
    assert system.failures() == []
    florin.stop_jobs()


@pytest.mark.parametrize("name", [path.stem for path in PATHS])
def test_case_holds_on_flink(name: str, differences: dict[str, list[str]]) -> None:
    assert differences[name] == []
