"""The read model job: keeps PostgreSQL tables of positions and transfers up to date, and answers GET from them.

    python -m jobs.read_model --runner=FlinkRunner --postgres=postgresql://user@host:port/database
    python -m jobs.read_model rebuild --yes

transfer-events -> Follow (a loop per partition; rows and offset in one SQL transaction) -> PostgreSQL
topic-transfer-get -> Answer (a loop per partition; answers and offset in one Kafka transaction) -> notifications

It is a job of its own, so that a slow database never slows the transfer job. A password is taken from PGPASSWORD,
FLORIN_POSTGRES or ~/.pgpass of the process that connects, never from an option.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import apache_beam as beam
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from confluent_kafka import TopicCollection
from rich.console import Console
from rich.text import Text

from florin_io import endpoints
from florin_io.kafka.client import admin
from florin_io.kafka.log import LogReader
from florin_io.postgres import Database, PostgresUnreachable, checked_option, patiently, without_password
from jobs import launch
from jobs.transfer import add_mojaloop_option, group_of, topic_specs
from transforms.read_model import schema
from transforms.read_model.follow import Follower, Source, check_reach
from transforms.read_model.loops import RunLoops
from transforms.read_model.queries import Answerer, Desk
from transforms.read_model.reader import ReadModel
from transforms.transfers.topics import Topics

NAMESPACE = "read_model"
START_S = 15.0
"""How long the start waits for PostgreSQL before it gives up."""


def database_of(postgres: str | None, name: str) -> Database:
    """The database that the option, the environment or the local stack names. Raises PostgresAddressError."""
    found = endpoints.resolve(postgres=postgres)
    shown = checked_option if found.origin["postgres"] == "option" else without_password
    return Database(shown(found.postgres), name)


def build(
    pipeline: beam.Pipeline,
    source: Source,
    desk: Desk,
    database: Database,
    max_parallelism: int,
    mojaloop_partitions: int,
) -> None:
    """The graph."""
    ticks = pipeline | "Ticks" >> FlinkStreamingImpulseSource().set_interval_ms(1000).set_message_count(0)
    followers = {
        f"{source.topic}/{number}": partial(Follower, source, database, number) for number in range(desk.partitions)
    }
    answerers = {
        f"{desk.topics.get}/{number}": partial(Answerer, desk, database, number)
        for number in range(mojaloop_partitions)
    }
    ticks | "Follow" >> RunLoops(followers, namespace=NAMESPACE, max_parallelism=max_parallelism)
    ticks | "Answer" >> RunLoops(answerers, namespace="transfer_get", max_parallelism=max_parallelism)


def prepare(source: Source, database: Database, partitions: int) -> list[str]:
    """Bring the tables to this version, tie them to the topic, and check that the log reaches back to them.

    Returns the changes made. Raises PostgresUnreachable, SchemaError, LogTooShort.
    """
    applied = patiently(lambda: schema.prepare(database), give_up_s=START_S)
    client = admin(source.bootstrap)
    described = client.describe_topics(TopicCollection([source.topic]))[source.topic].result()
    with database.connect(application="florin read model") as connection:
        schema.bind(connection, source.topic, str(described.topic_id), partitions)
    with ReadModel(database) as model:
        offsets = model.offsets()
    for partition in range(partitions):
        reader = LogReader(source.bootstrap, source.topic, partition, source.group)
        try:
            check_reach(partition, offsets.get(partition, 0), *reader.bounds())
        finally:
            reader.close()
    return applied


def parser() -> argparse.ArgumentParser:
    """The job's options."""
    made = launch.parser("jobs.read_model", __doc__ or "")
    made.set_defaults(parallelism=1)
    _postgres_options(made.add_argument_group("PostgreSQL"))
    add_mojaloop_option(made.add_argument_group("Mojaloop"))
    return made


def _postgres_options(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--postgres", metavar="URL",
        help="address without a password (default: FLORIN_POSTGRES, the local stack, postgresql://postgres@localhost:5432/postgres)",
    )  # fmt: skip
    group.add_argument(
        "--schema",
        default=schema.DEFAULT_SCHEMA,
        metavar="NAME",
        help=f"schema of the tables (default {schema.DEFAULT_SCHEMA})",
    )


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """What the options ask for."""
    topics = Topics(options.topic_prefix)
    name = options.job_name or f"{options.topic_prefix}read_model"
    kafka = endpoints.resolve(kafka=options.kafka).kafka
    database = database_of(options.postgres, options.schema)
    source = Source(kafka, topics.events, group_of(name))
    desk = Desk(kafka, topics, group_of(name), options.partitions)

    def build_graph(pipeline: beam.Pipeline) -> None:
        if not options.dry_run:
            for change in prepare(source, database, options.partitions):
                print(f"  tables: applied {change}")
        build(pipeline, source, desk, database, options.max_parallelism, options.mojaloop_partitions)

    return launch.StreamingJob(
        name=name,
        group=source.group,
        namespace=NAMESPACE,
        log=topics.events,
        partitions=options.partitions,
        core_version=1,
        topics=topic_specs(topics, options.partitions, options.replication, options.mojaloop_partitions),
        build=build_graph,
        pauses=False,
        notes={"tables": str(database), "positions": "python -m jobs.hub positions"},
    )


def rebuild(argv: Sequence[str]) -> int:
    """`rebuild`: drop the tables and make them empty; a running job fills them again from the first event."""
    made = argparse.ArgumentParser(
        prog="python -m jobs.read_model rebuild",
        description="Drop the read model's tables and make them empty. A running job fills them again from the first "
        "event on, a stopped one when it starts. Nothing is lost: everything in them comes from transfer-events.",
    )
    _postgres_options(made)
    made.add_argument("--yes", action="store_true", help="required: yes, drop them")
    options = made.parse_args(argv)
    console = Console(highlight=False)
    try:
        database = database_of(options.postgres, options.schema)
        if not options.yes:
            made.error(f"this drops all tables of {database}; say --yes if that is meant")
        schema.rebuild(database)
    except ValueError as error:
        made.error(str(error))
    console.print(f"{database}: dropped and made anew, empty", soft_wrap=True)
    return launch.OK


def main(argv: Sequence[str]) -> int:
    """Run the job, or `rebuild`; returns the exit code."""
    try:
        return rebuild(argv[1:]) if argv[:1] == ["rebuild"] else launch.main(job_of, parser(), argv)
    except PostgresUnreachable as error:
        Console(stderr=True, highlight=False).print("[red]error:[/]", Text(str(error)), soft_wrap=True)
        return launch.UNREACHABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
