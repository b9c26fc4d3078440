"""The yardstick: a job whose core decides nothing but causes the transfer core's Kafka work, record for record.

    python -m bench.noop --detach --topic_prefix noop-

A prepare gives one notification and one event, a fulfil two notifications, one event and a credit to another shard, a
credit one event. They are cut from the record that causes them, so that they are about as long as the real ones and
compress as badly. What the transfer job adds to this is the price of its core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count

import apache_beam as beam

from florin_io import endpoints
from jobs import launch
from jobs.load.config import Config
from jobs.load.wire import Sender, listener
from jobs.transfer import group_of, topic_specs
from transforms.core import Batch, Output, ShardCore
from transforms.load.messages import Pair
from transforms.load.plan import Plan, make_pool
from transforms.shard import LogSettings, ShardSpec
from transforms.shards import RunShards
from transforms.transfers.routing import partition_of
from transforms.transfers.topics import Topics

_ID = slice(7, 43)
"""Of a message's first member."""
_EVENT = slice(-470, None)
_CREDIT = b'{"credit":"'
_CREDIT_OF = slice(-240, None)


class CountingCore(ShardCore):
    """A core whose state is the number of records it has seen."""

    VERSION = 1
    CELLS = 1

    def __init__(self) -> None:
        self._records = 0

    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        """The count."""
        return [(0, self._records.to_bytes(8, "big"))]

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """The count and its offset."""
        if not cells:
            return 0
        offset, payload = cells[0]
        self._records = int.from_bytes(payload, "big")
        return offset


class NoopCore(CountingCore):
    """Writes what it reads."""

    NAME = "noop"

    def __init__(self, partition: int, partitions: int, topics: Topics) -> None:
        self._partition = partition
        self._other = (partition + 1) % partitions
        self._topics = topics
        super().__init__()

    def apply(self, batch: Batch) -> list[Output]:
        """Outputs by the kind of each record."""
        self._records += len(batch)
        partition, log = self._partition, self._topics.log
        events, notifications = self._topics.events, self._topics.notifications
        outputs: list[Output] = []
        for value in batch.values:
            event = (events, partition, b"dfsp1/USD", value[_EVENT])
            if not value.startswith(_CREDIT):
                notification = (notifications, partition, value[_ID], value)
                outputs.append(notification)
                if b'"prepare"' not in value:
                    outputs += (notification, (log, self._other, b"dfsp2", _CREDIT + value[_CREDIT_OF]))
            outputs.append(event)
        return outputs


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """The no-op job: same engine, same topics, empty core."""
    topics = Topics(options.topic_prefix)
    name = options.job_name or f"{options.topic_prefix}noop"
    settings = LogSettings(endpoints.resolve(kafka=options.kafka).kafka, group_of(name))
    shards = [
        ShardSpec(topics.log, number, options.partitions, partial(NoopCore, number, options.partitions, topics))
        for number in range(options.partitions)
    ]

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | "Noop" >> RunShards(shards, settings, namespace="noop", max_parallelism=options.max_parallelism)

    specs = topic_specs(topics, options.partitions, options.replication)
    return launch.StreamingJob(
        name, settings.group, "noop", topics.log, options.partitions, NoopCore.VERSION, specs, build, {}
    )


def drive(kafka: str, prefix: str, partitions: int, seconds: float, in_flight: int) -> float:
    """Append a prepare and a fulfil per transfer as fast as notifications come back; returns transfers/s.

    The load generator's messages, as many notifications read; nothing is looked into.
    """
    topics = Topics(prefix)
    failures: list[str] = []
    sender, heard = Sender(kafka, failures.append), listener(kafka, topics.notifications, partitions)
    messages = _messages(time.time_ns(), partitions)
    sent = seen = seen_before = 0
    warm = time.monotonic() + seconds / 4
    counting = False
    began = warm
    try:
        while (now := time.monotonic()) < began + (seconds if counting else 3600):
            if not counting and now >= warm:
                counting, began, seen_before = True, now, seen
            for _ in range(min(200, in_flight - (sent - seen // 3))):
                prepare, fulfil, key, partition = next(messages)
                sender.send(topics.log, prepare, key, partition)
                sender.send(topics.log, fulfil, key, partition)
                sent += 1
            sender.poll(0)
            seen += len(heard.poll(5000, 0.002))
        rate = (seen - seen_before) / 3 / (time.monotonic() - began)
    finally:
        sender.flush(10)
        heard.close()
    if failures:
        raise RuntimeError(failures[0])
    return rate


def _messages(seed: int, partitions: int) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    """Prepare, fulfil, key and partition of one transfer after the other."""
    config = Config(mix={"committed": 1.0})
    plan, pool, at = Plan(seed, config.traffic()), make_pool(seed), b"2026-01-01T00:00:00.000Z"
    pairs = [
        [Pair(payer, payee, config.currency, partition_of(payer, partitions)) for payee in config.dfsps]
        for payer in config.dfsps
    ]
    for number in count():
        _, payer, payee, place = plan.row(number)
        pair, id, entry = pairs[payer][payee], plan.transfer_id(number).encode(), pool[place]
        yield (
            pair.prepare(id, entry, entry.amount, at, at),
            pair.answer("commit", id, entry, at),
            pair.key,
            pair.partition,
        )


if __name__ == "__main__":
    launch.entry(job_of, launch.parser("bench.noop", __doc__ or ""))
