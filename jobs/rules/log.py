"""Control records of rule sets: appended to every partition of the log, and replayed to say which sets are loaded."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from florin_io.control import append_everywhere
from florin_io.kafka.log import LogReader, TopicReader
from jobs.hub.topics import card_partitions
from transforms.cards.rulebook import PREFIX, RuleBook
from transforms.cards.topics import Topics

_READ = 20_000


class RefusedCommand(ValueError):
    """A shard did not do what a control record said; the message has its reason and remedy."""


@dataclass(frozen=True)
class Log:
    """Where a card job's topics are."""

    bootstrap: str
    topics: Topics

    def partitions(self) -> int:
        """How many partitions transactions have. Raises KafkaUnreachable, TopicsMissing."""
        wanted = (self.topics.transactions, self.topics.scored, self.topics.dead_letters)
        return card_partitions(self.bootstrap, wanted)[self.topics.transactions]

    def send(self, command: dict[str, Any], wait_s: float) -> None:
        """Append a command to every partition, then look for `wait_s` seconds whether a shard refuses it.

        Raises KafkaUnreachable, TopicsMissing, KafkaException, RefusedCommand.
        """
        partitions, id = self.partitions(), str(uuid.uuid4())
        value = json.dumps({"rules": command, "id": id}, separators=(",", ":"), ensure_ascii=False).encode()
        letters = TopicReader(self.bootstrap, self.topics.dead_letters, partitions, "florin-rules")
        try:
            append_everywhere(self.bootstrap, self.topics.transactions, partitions, value)
            _watch(letters, id.encode(), wait_s)
        finally:
            letters.close()

    def book(self, text: str) -> tuple[RuleBook, int]:
        """The sets that partition 0 says are loaded, for a job begun with the set `text`; and how many commands failed.

        Raises KafkaUnreachable, TopicsMissing, KafkaException.
        """
        self.partitions()
        book, refused = RuleBook(text), 0
        reader = LogReader(self.bootstrap, self.topics.transactions, 0, "florin-rules", bounded=True)
        try:
            low, high = reader.bounds()
            reader.seek(low)
            for messages in reader.until(high, _READ):
                for message in messages:
                    value = message.value() or b""
                    if value.startswith(PREFIX):
                        refused += book.apply(value) is not None
        finally:
            reader.close()
        return book, refused


def _watch(letters: TopicReader, id: bytes, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        for message in letters.poll(10_000, 0.1):
            letter = json.loads(message.value() or b"{}")
            if id in base64.b64decode(letter.get("bytes", "")):
                raise RefusedCommand(f"{letter['reason']}. Remedy: {letter['remedy']}")
