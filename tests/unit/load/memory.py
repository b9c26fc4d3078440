"""Kafka and the transfer job in memory behind the load generator's two clients, with faults where a test wants them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from jobs.load import transfer
from transforms.transfers.local import LocalHub

Fault = Callable[[bytes], list[bytes]]
"""What becomes of one notification: nothing, itself, itself twice, something else."""

ACCOUNTS = [(f"dfsp{number}", "1000000", "1000000") for number in range(1, 9)]
TIGHT = [("tight-ndc", "1000000", "1"), ("tight-cover", "1", "1000000")]


class Memory:
    """A hub whose input is the generator's output and the other way round."""

    def __init__(self, fault: Fault) -> None:
        self.hub = LocalHub()
        self.sent: list[tuple[str, bytes, bytes | None, int]] = []
        self._fault = fault
        self._seen = 0
        # What is sent between two polls arrives at the first one's time: a slow machine must not let it expire.
        self._now = self.now()
        for id, cover, ndc in ACCOUNTS + TIGHT:
            account = {"currency": "USD", "cover": cover, "ndc": ndc}
            self.hub.admin({"addParticipant": {"id": id, "accounts": [account]}}, self._now)

    @staticmethod
    def now() -> int:
        return time.time_ns() // 1_000_000

    def send(self, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
        self.sent.append((topic, value, key, partition))
        if topic == self.hub.topics.log:
            self.hub.append(partition, value, self._now, key)
        else:
            self.hub.send(topic, value, self._now)

    def poll(self, limit: int, timeout_s: float) -> list[bytes]:
        time.sleep(timeout_s / 10)
        self._now = now = self.now()
        self.hub.run(now)
        if any((shard.deadline() or now + 1) <= now for shard in self.hub.shards):
            self.hub.tick(now)
        new = self.hub.outputs[self._seen :]
        self._seen = len(self.hub.outputs)
        return [after for topic, _, _, value in new if topic == self.hub.topics.notifications
                for after in self._fault(value)]  # fmt: skip


class MemorySender:
    def __init__(self, memory: Memory) -> None:
        self.send = memory.send

    def poll(self, timeout_s: float) -> int:
        return 0

    def flush(self, timeout_s: float) -> int:
        return 0


class MemoryMessage:
    def __init__(self, value: bytes) -> None:
        self.value = lambda: value


class MemoryListener:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def poll(self, limit: int, timeout_s: float) -> list[MemoryMessage]:
        return [MemoryMessage(value) for value in self._memory.poll(limit, timeout_s)]

    def close(self) -> None:
        pass


def install(monkeypatch: pytest.MonkeyPatch, fault: Fault = lambda value: [value]) -> Memory:
    """Let the load generator talk to memory instead of Kafka."""
    memory = Memory(fault)

    def partitions_of(bootstrap: str, prefix: str, names: Iterable[str]) -> dict[str, int]:
        return {name: 2 if "transfer-prepare" in name or "transfer-fulfil" in name else 4 for name in names}

    monkeypatch.setattr(transfer, "partitions_of", partitions_of)
    monkeypatch.setattr(transfer, "Sender", lambda bootstrap, failed: MemorySender(memory))
    monkeypatch.setattr(transfer, "listener", lambda bootstrap, topic, partitions: MemoryListener(memory))
    return memory
