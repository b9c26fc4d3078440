"""The yardstick: a job whose core decides nothing but causes the transfer core's Kafka work, record for record.

    python -m bench.noop --detach --topic_prefix noop-

A prepare gives one notification and one event, a fulfil two notifications, one event and a credit to another shard, a
credit one event; sizes are about those of the real ones. What the transfer job adds to this is the price of its core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from functools import partial

import apache_beam as beam

from florin_io import endpoints
from jobs import launch
from jobs.load.wire import Sender, listener
from jobs.transfer import group_of, topic_specs
from transforms.core import Batch, Output, ShardCore
from transforms.load.messages import Pair
from transforms.load.plan import make_pool
from transforms.shard import LogSettings, ShardSpec
from transforms.shards import RunShards
from transforms.transfers.topics import Topics

NOTIFICATION = b"n" * 900
EVENT = b"e" * 450
CREDIT = b'{"credit":"' + b"c" * 250 + b'"}'


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
    """Writes constant bytes."""

    NAME = "noop"

    def __init__(self, partition: int, partitions: int, topics: Topics) -> None:
        self._partition = partition
        self._other = (partition + 1) % partitions
        self._topics = topics
        super().__init__()

    def apply(self, batch: Batch) -> list[Output]:
        """Constant outputs by the kind of each record."""
        self._records += len(batch)
        notification = (self._topics.notifications, self._partition, b"k" * 36, NOTIFICATION)
        event = (self._topics.events, self._partition, b"dfsp1/USD", EVENT)
        prepare = [notification, event]
        fulfil = [notification, notification, event, (self._topics.log, self._other, b"dfsp2", CREDIT)]
        outputs: list[Output] = []
        for value in batch.values:
            if value.startswith(b'{"credit"'):
                outputs.append(event)
            elif b'"prepare"' in value:
                outputs += prepare
            else:
                outputs += fulfil
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

    As many bytes as the load generator sends, as many notifications read; nothing is looked into.
    """
    topics = Topics(prefix)
    failures: list[str] = []
    sender, heard = Sender(kafka, failures.append), listener(kafka, topics.notifications, partitions)
    number = b"00000000-0000-4000-8000-000000000000"
    entry = make_pool(0)[0]
    pair = Pair("dfsp1", "dfsp2", "USD", 0)
    at = b"2026-01-01T00:00:00.000Z"
    prepare, fulfil = pair.prepare(number, entry, b"10", at, at), pair.answer("commit", number, entry, at)
    sent = seen = seen_before = 0
    warm = time.monotonic() + seconds / 4
    counting = False
    began = warm
    try:
        while (now := time.monotonic()) < began + (seconds if counting else 3600):
            if not counting and now >= warm:
                counting, began, seen_before = True, now, seen
            for _ in range(min(200, in_flight - (sent - seen // 3))):
                sender.send(topics.log, prepare, b"dfsp1", sent % partitions)
                sender.send(topics.log, fulfil, b"dfsp1", sent % partitions)
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


if __name__ == "__main__":
    launch.entry(job_of, launch.parser("bench.noop", __doc__ or ""))
