"""Control records of rule sets, appended to every partition of the log, and what the shards say came of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from florin_io.control import append_everywhere
from florin_io.kafka.client import admin
from florin_io.kafka.log import LogReader, TopicReader
from jobs.hub.topics import card_partitions
from transforms.cards.rule_report import Beginning, RuleReport, decode
from transforms.cards.topics import Topics

_READ = 1000
_LOOK_BACK = 16
"""How many offsets before the end a partition's last report is first looked for: aborted attempts take some."""


class RefusedCommand(ValueError):
    """A shard did not do what a control record said; the message has its reason and remedy."""


@dataclass(frozen=True)
class Log:
    """Where a card job's topics are."""

    bootstrap: str
    topics: Topics

    def partitions(self) -> int:
        """How many partitions transactions have. Raises KafkaUnreachable, TopicsMissing."""
        wanted = (self.topics.transactions, self.topics.scored, self.topics.rules)
        return card_partitions(self.bootstrap, wanted)[self.topics.transactions]

    def send(self, command: dict[str, Any], wait_s: float) -> list[int]:
        """Append a command to every partition and wait at most `wait_s` seconds until every shard has acted on it.

        Returns the partitions whose shards have not. Raises KafkaUnreachable, TopicsMissing, KafkaException,
        RefusedCommand.
        """
        partitions, id = self.partitions(), str(uuid.uuid4())
        value = json.dumps({"rules": command, "id": id}, separators=(",", ":"), ensure_ascii=False).encode()
        reports = TopicReader(self.bootstrap, self.topics.rules, partitions, "florin-rules")
        try:
            append_everywhere(self.bootstrap, self.topics.transactions, partitions, value)
            return _late(reports, partitions, id, wait_s)
        finally:
            reports.close()

    def reports(self) -> list[RuleReport | None]:
        """What each shard last said of its rules, None if nothing. Raises as `partitions`, and KafkaException."""
        return [self._last(partition) for partition in range(self.partitions())]

    def began(self) -> Beginning | None:
        """What verdicts of this log began with, None before the first. Raises KafkaUnreachable, KafkaException."""
        found = admin(self.bootstrap).list_topics(timeout=10).topics.get(self.topics.rules)
        for partition in range(len(found.partitions) if found is not None else 0):
            with self._reader(partition) as reader:
                low, high = reader.bounds()
                reader.seek(low)
                for messages in reader.until(high, 1):
                    return decode(messages[0].value() or b"").began
        return None

    def _last(self, partition: int) -> RuleReport | None:
        with self._reader(partition) as reader:
            low, high = reader.bounds()
            back = _LOOK_BACK
            while True:
                start = max(low, high - back)
                reader.seek(start)
                found = [message.value() or b"" for messages in reader.until(high, _READ) for message in messages]
                if found or start == low:
                    return decode(found[-1]) if found else None
                back *= _LOOK_BACK

    @contextmanager
    def _reader(self, partition: int) -> Iterator[LogReader]:
        reader = LogReader(self.bootstrap, self.topics.rules, partition, "florin-rules", bounded=True)
        try:
            yield reader
        finally:
            reader.close()


def _late(reports: TopicReader, partitions: int, id: str, wait_s: float) -> list[int]:
    late = set(range(partitions))
    until = time.monotonic() + wait_s
    while late and (left := until - time.monotonic()) > 0:
        for message in reports.poll(_READ, min(left, 0.1)):
            report = decode(message.value() or b"")
            if report.id != id:
                continue
            if report.refused is not None:
                raise RefusedCommand(f"{report.refused.reason}. Remedy: {report.refused.remedy}")
            late.discard(message.partition() or 0)
    return sorted(late)
