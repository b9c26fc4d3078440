"""Comparing what a replay of a log makes with what was emitted, record by record, and naming the first difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from florin_io.kafka.log import LogReader
from transforms.core import Output
from transforms.shard import ShardSpec

Emitted = Generator[tuple[int, bytes | None, bytes], None, None]
"""Offset, key and value of the records of one output partition, in order."""

_SHOWN = 600
READ_RECORDS = 1000


@dataclass
class AuditResult:
    """What the audit of one shard found: records compared per topic, and the first difference, if any.

    `left` counts emitted records that the replay did not make, per topic; they are a difference only if the shard
    stood still meanwhile.
    """

    partition: int
    compared: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    difference: str | None = None


@dataclass(frozen=True)
class Auditor:
    """Compares a shard's replayed outputs with the same partition of the given topics, byte for byte, without headers.

    `ignore(topic, value)` says which emitted records others wrote there; `check(topic)` gives a function that is fed
    every emitted value and returns a complaint, for example of a broken hash chain, or None.
    """

    bootstrap: str
    topics: tuple[str, ...]
    ignore: Callable[[str, bytes], bool]
    check: Callable[[str], Callable[[bytes], str | None]]

    def __call__(self, shard: ShardSpec, outputs: Iterator[list[Output]]) -> AuditResult:
        """Audit one shard; stops at the first difference."""
        result = AuditResult(shard.partition, dict.fromkeys(self.topics, 0))
        emitted = {topic: self._emitted(topic, shard.partition) for topic in self.topics}
        checks = {topic: self.check(topic) for topic in self.topics}
        try:
            result.difference = self._compare(outputs, emitted, checks, result)
            if result.difference is None:
                result.left = {topic: sum(1 for _ in records) for topic, records in emitted.items()}
        finally:
            for records in emitted.values():
                records.close()
        return result

    def _compare(
        self,
        outputs: Iterable[list[Output]],
        emitted: dict[str, Emitted],
        checks: dict[str, Callable[[bytes], str | None]],
        result: AuditResult,
    ) -> str | None:
        for batch in outputs:
            for topic, partition, key, value, *_ in batch:
                if topic not in emitted:
                    continue
                found = next(emitted[topic], None)
                number = result.compared[topic]
                where = f"{topic} partition {partition} record {number}"
                if found is None:
                    return f"{where}: the replay makes it, but it was never emitted: {_show(value)}"
                where += f" (offset {found[0]})"
                if found[1:] != (key, value):
                    differing = _members(value, found[2])
                    return f"{where} differs{differing}\n  replayed: {_show(value)}\n  emitted:  {_show(found[2])}"
                if complaint := checks[topic](found[2]):
                    return f"{where}: {complaint}"
                result.compared[topic] = number + 1
        return None

    def _emitted(self, topic: str, partition: int) -> Emitted:
        reader = LogReader(self.bootstrap, topic, partition, "florin-audit", bounded=True)
        try:
            low, end = reader.bounds()
            reader.seek(low)
            for messages in reader.until(end, READ_RECORDS):
                for message in messages:
                    value = message.value() or b""
                    if not self.ignore(topic, value):
                        yield message.offset() or 0, message.key(), value
        finally:
            reader.close()


def _members(replayed: bytes, emitted: bytes) -> str:
    """Names of the top-level members that differ, if both are JSON objects."""
    try:
        ours, theirs = json.loads(replayed), json.loads(emitted)
        names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        return f" in {', '.join(names)}"
    except (ValueError, AttributeError, TypeError):
        return ""


def _show(value: bytes) -> str:
    text = value[:_SHOWN].decode("utf-8", "backslashreplace")
    return text if len(value) <= _SHOWN else f"{text}... ({len(value)} bytes)"
