"""Sends admin commands to every shard in one Kafka transaction and waits for what the job says of each."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from florin_io.kafka.client import client_config, make
from florin_io.kafka.log import TopicReader
from jobs.hub.commands import Command
from jobs.hub.topics import partitions_of
from transforms.transfers.topics import Topics

_TIMEOUT_S = 20.0


class NoAnswer(TimeoutError):
    """The job did not say what became of a command; it may still be carried out."""


@dataclass(frozen=True)
class Result:
    """What became of a command: `text` is "ok" or the reason, `event` the record that says so."""

    command: Command
    text: str
    event: dict[str, Any]

    @property
    def ok(self) -> bool:
        """It was carried out."""
        return self.text == "ok"

    @property
    def exists(self) -> bool:
        """It asked for a participant that is there already, with all its accounts."""
        return self.command.name == "addParticipant" and self.text.endswith("exists already")


def send(bootstrap: str, topics: Topics, commands: Sequence[Command], timeout_s: float) -> list[Result]:
    """Append all commands to every partition of the log, atomically, and return their results in the same order.

    Raises KafkaUnreachable, TopicsMissing, KafkaException, or NoAnswer naming the commands without a result.
    """
    counts = partitions_of(bootstrap, topics.prefix, [topics.log, topics.events])
    answers = TopicReader(bootstrap, topics.events, counts[topics.events], "florin-hub")
    try:
        _append(bootstrap, topics.log, counts[topics.log], commands)
        found = _wait(answers, {command.id for command in commands}, timeout_s)
    finally:
        answers.close()
    silent = [str(command) for command in commands if command.id not in found]
    if silent:
        raise NoAnswer(
            f"no result within {timeout_s:g} s of: {'; '.join(silent[:3])}{' ...' if len(silent) > 3 else ''}. Is the "
            "job running (`python -m flink status`, `python -m jobs.transfer`)? It carries the command out when it is"
        )
    return [Result(command, str(found[command.id]["result"]), found[command.id]) for command in commands]


def _append(bootstrap: str, log: str, partitions: int, commands: Sequence[Command]) -> None:
    own = {"transactional.id": f"florin-hub-{uuid.uuid4()}", "transaction.timeout.ms": 10_000}
    producer = make(Producer, client_config(bootstrap, **own))
    producer.init_transactions(_TIMEOUT_S)
    producer.begin_transaction()
    for command in commands:
        value, key = command.value(), command.key()
        for partition in range(partitions):
            producer.produce(log, value, key, partition)
    producer.commit_transaction(_TIMEOUT_S)


def _wait(events: TopicReader, wanted: set[str], timeout_s: float) -> dict[str, dict[str, Any]]:
    """The event of each command that came in time. One that says why it failed wins over the others."""
    found: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + timeout_s
    while len(found) < len(wanted) and time.monotonic() < until:
        for message in events.poll(10_000, 0.05):
            value = message.value() or b""
            if b'"commandId"' not in value:
                continue
            try:
                event = json.loads(value)
            except (ValueError, RecursionError):
                continue  # not of a shard
            id = event.get("commandId") if isinstance(event, dict) else None
            if id in wanted and (id not in found or found[id].get("result") == "ok"):
                found[id] = event
    return found
