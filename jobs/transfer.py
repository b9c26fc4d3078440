"""The transfer job: computes DFSP positions for a payment switch of pre-funded transfers.

    python -m jobs.transfer --runner=FlinkRunner

Mojaloop's topics -> Sequence (unkeyed messages into the payer's partition of the log) -> transfer-log
transfer-log -> Transfers (one shard per partition) -> notifications, events, dead letters, credits to other shards
"""

from __future__ import annotations

import argparse
from functools import partial

import apache_beam as beam

from florin_io import endpoints
from florin_io.kafka.topics import FOREVER, TopicSpec
from jobs import launch
from transforms.shard import LogSettings, ShardSpec
from transforms.shards import RunShards
from transforms.transfers.sequencer import SequencerCore
from transforms.transfers.shard import TransferShard
from transforms.transfers.topics import Topics

NAMESPACE = "transfer"
MOJALOOP_PARTITIONS = 2
WHOLE_RECORDS = {"max.message.bytes": "4194304"}
"""A dead letter holds the whole record it is about, which base64 makes a third larger."""
WEEK_MS = 7 * 24 * 3600 * 1000


def topic_specs(
    topics: Topics, partitions: int, replication: int, mojaloop_partitions: int = MOJALOOP_PARTITIONS
) -> list[TopicSpec]:
    """Every topic of the system. The log is kept for ever: state is a function of it."""
    own = [
        TopicSpec(topics.log, partitions, FOREVER, replication=replication),
        TopicSpec(topics.events, partitions, FOREVER, replication=replication),
        TopicSpec(topics.notifications, partitions, WEEK_MS, replication=replication),
        TopicSpec(topics.dead_letters, partitions, WEEK_MS, replication=replication, config=WHOLE_RECORDS),
    ]
    mojaloop = [
        TopicSpec(name, mojaloop_partitions, WEEK_MS, replication=replication, option="--mojaloop_partitions")
        for name in (topics.prepare, topics.fulfil, topics.get)
    ]
    return own + mojaloop


def transfer_shards(topics: Topics, partitions: int) -> list[ShardSpec]:
    """One shard per partition of the log."""
    return [
        ShardSpec(topics.log, number, partitions, partial(TransferShard, number, partitions, topics), topics.events)
        for number in range(partitions)
    ]


def sequencer_shards(topics: Topics, partitions: int, mojaloop_partitions: int) -> list[ShardSpec]:
    """One shard per partition of Mojaloop's prepare and fulfil topics."""
    return [
        ShardSpec(name, number, mojaloop_partitions, partial(SequencerCore, name, number, partitions, topics))
        for name in (topics.prepare, topics.fulfil)
        for number in range(mojaloop_partitions)
    ]


def group_of(job_name: str) -> str:
    """The consumer group under which a job's offsets are committed."""
    return f"florin-{job_name}"


def build(pipeline: beam.Pipeline, options: argparse.Namespace, topics: Topics, settings: LogSettings) -> None:
    """The graph."""
    if options.sequencer:
        pipeline | "Sequence" >> RunShards(
            sequencer_shards(topics, options.partitions, options.mojaloop_partitions),
            settings,
            namespace="sequencer",
            max_parallelism=options.max_parallelism,
        )
    pipeline | "Transfers" >> RunShards(
        transfer_shards(topics, options.partitions),
        settings,
        namespace=NAMESPACE,
        max_parallelism=options.max_parallelism,
    )


def parser() -> argparse.ArgumentParser:
    """The job's options."""
    made = launch.parser("jobs.transfer", __doc__ or "")
    transfer = made.add_argument_group("transfer")
    transfer.add_argument(
        "--no-sequencer",
        dest="sequencer",
        action="store_false",
        help="do not read topic-transfer-prepare and -fulfil; every client writes to transfer-log itself, keyed "
        "by payer",
    )
    add_mojaloop_option(transfer)
    return made


def add_mojaloop_option(group: argparse._ActionsContainer) -> None:
    """The number of partitions of the topics that are Mojaloop's."""
    group.add_argument(
        "--mojaloop_partitions",
        type=int,
        default=MOJALOOP_PARTITIONS,
        help=f"partitions of topic-transfer-prepare, -fulfil and -get (default {MOJALOOP_PARTITIONS})",
    )


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """What the options ask for."""
    if options.partitions < 1 or options.partitions > options.max_parallelism:
        raise ValueError(
            f"--partitions must be 1 to --max_parallelism ({options.max_parallelism}), not {options.partitions}"
        )
    topics = Topics(options.topic_prefix)
    name = options.job_name or f"{options.topic_prefix}transfer"
    settings = LogSettings(endpoints.resolve(kafka=options.kafka).kafka, group_of(name))
    return launch.StreamingJob(
        name=name,
        group=settings.group,
        namespace=NAMESPACE,
        log=topics.log,
        partitions=options.partitions,
        core_version=TransferShard.VERSION,
        topics=topic_specs(topics, options.partitions, options.replication, options.mojaloop_partitions),
        build=lambda pipeline: build(pipeline, options, topics, settings),
        notes={"read model": "python -m jobs.read_model", "positions": "python -m jobs.hub positions"},
    )


if __name__ == "__main__":
    launch.entry(job_of, parser())
