"""The yardstick of card scoring: the same log read and a record of the same size written for each, nothing decided.

python -m bench.cards_noop --detach
"""

from __future__ import annotations

import argparse
from functools import partial

import apache_beam as beam

from bench.noop import CountingCore
from florin_io import endpoints
from florin_io.kafka.topics import TopicSpec
from jobs import launch
from jobs.cards import topic_specs
from jobs.transfer import WEEK_MS, group_of
from transforms.cards.core import CardsCore
from transforms.cards.topics import Topics
from transforms.core import Batch, Output
from transforms.shard import LogSettings, ShardSpec
from transforms.shards import RunShards

OUTPUT = "noop-scored"
VERDICT = b",1640995200000,0,0,-,0123456789ab,0,0"


class CardsNoopCore(CountingCore):
    """Writes what it reads and constant bytes."""

    NAME = "cards-noop"
    BATCH_RECORDS, CYCLE_S = CardsCore.BATCH_RECORDS, CardsCore.CYCLE_S

    def __init__(self, partition: int) -> None:
        self._partition = partition
        super().__init__()

    def apply(self, batch: Batch) -> list[Output]:
        """One record for each."""
        self._records += len(batch)
        partition = self._partition
        # The NUL bytes behind a packet go, as in a scored line.
        return [
            (OUTPUT, partition, key, value[:60] + VERDICT) for key, value in zip(batch.keys, batch.values, strict=True)
        ]


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """The no-op job: same engine, same log, empty core."""
    topics = Topics(options.topic_prefix)
    name = options.job_name or "cards-noop"
    settings = LogSettings(endpoints.resolve(kafka=options.kafka).kafka, group_of(name))
    shards = [
        ShardSpec(topics.transactions, number, options.partitions, partial(CardsNoopCore, number))
        for number in range(options.partitions)
    ]

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | "Noop" >> RunShards(shards, settings, namespace="noop", max_parallelism=options.max_parallelism)

    specs = [
        *topic_specs(topics, options.partitions, options.replication),
        TopicSpec(OUTPUT, options.partitions, WEEK_MS),
    ]
    return launch.StreamingJob(
        name, settings.group, "noop", topics.transactions, options.partitions, CardsNoopCore.VERSION, specs, build, {}
    )


if __name__ == "__main__":
    launch.entry(job_of, launch.parser("bench.cards_noop", __doc__ or ""))
