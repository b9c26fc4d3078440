"""What every streaming job does around its graph: options, checks, submission, progress, Ctrl-C, exit codes."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from confluent_kafka import KafkaException
from rich.console import Console
from rich.text import Text

from flink import savepoints, submit
from flink.errors import StackError
from flink.records import JobRecord
from flink.rest import FlinkRest
from florin_io import endpoints
from florin_io.control import NotPaused, pause_and_wait
from florin_io.kafka import topics as kafka_topics
from florin_io.kafka.client import admin
from florin_io.kafka.log import GroupOffsets
from florin_io.kafka.settings import KafkaUnreachable
from jobs import progress

OK, JOB_FAILED, USAGE, UNREACHABLE, UNFIT, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = """exit codes:
  0    the job was submitted and Ctrl-C or --detach left it running, or it was stopped with a savepoint; its jar was
       written; its shards are paused
  1    the job failed, or was cancelled
  2    wrong options
  3    Kafka, Flink or PostgreSQL cannot be reached
  4    topics, state or another precondition do not fit, or a shard does not pause; the message says which and the
       remedy"""


@dataclass(frozen=True)
class StreamingJob:
    """A job as `run` needs it: its name, its log (for lag and for pausing), its topics, and its graph."""

    name: str
    group: str
    namespace: str
    log: str
    partitions: int
    core_version: int
    topics: list[kafka_topics.TopicSpec]
    build: Callable[[beam.Pipeline], object]
    notes: dict[str, str]
    pauses: bool = True
    """Whether the log's shards stop at a pause record, as an upgrade needs it."""


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """An argument parser with the groups that every streaming job has."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=EXIT_CODES
        + "\n\nAny other option of Beam's Python SDK is passed on, for example --max_cache_memory_usage_mb=400.\n"
        "State backend, checkpoint folder and restarts are set in Flink's own configuration.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    cluster = made.add_argument_group("cluster")
    cluster.add_argument(
        "--runner", default="FlinkRunner", help="Beam runner; a streaming job needs FlinkRunner (default)"
    )
    cluster.add_argument(
        "--flink_master",
        metavar="HOST:PORT",
        help="Flink's REST address (default: FLORIN_FLINK, the local stack, localhost:8081)",
    )
    cluster.add_argument(
        "--kafka",
        metavar="HOST:PORT",
        help="Kafka's bootstrap servers (default: FLORIN_KAFKA, the local stack, localhost:9092)",
    )
    cluster.add_argument(
        "--parallelism",
        type=int,
        default=2,
        help="subtasks, each with a worker process and a core of its own (default 2)",
    )
    cluster.add_argument(
        "--max_parallelism", type=int, default=128, help="key groups; fixed at the first deployment (default 128)"
    )
    cluster.add_argument(
        "--checkpointing_interval",
        type=int,
        default=15_000,
        metavar="MS",
        help="ms between checkpoints; no output waits for one (default 15000)",
    )
    cluster.add_argument(
        "--savepoint_path", metavar="PATH", help="start from this savepoint; `python -m flink restore` finds the latest"
    )
    cluster.add_argument(
        "--job_name", help="name on the cluster; the group of committed offsets follows from it, so it is kept for life"
    )
    topics = made.add_argument_group("topics")
    topics.add_argument("--topic_prefix", default="", help="goes before every topic name (default none)")
    topics.add_argument(
        "--partitions", type=int, default=4, help="partitions of the log, one shard each; fixed for life (default 4)"
    )
    topics.add_argument(
        "--replication",
        type=int,
        default=1,
        help="replicas of topics that are made or checked (default 1; production: 3)",
    )
    way = made.add_argument_group("what to do")
    way.add_argument(
        "--attach", action="store_true", help="show the progress of the job that runs already; submit nothing"
    )
    way.add_argument(
        "--dry-run", action="store_true", help="check options, topics and cluster, print the graph, submit nothing"
    )
    way.add_argument(
        "--jar",
        metavar="FILE",
        help="make the topics, write the job as a jar for a Flink that runs it by itself (application mode, as on "
        "Kubernetes), submit nothing; parallelism and savepoint are then that Flink's",
    )
    way.add_argument(
        "--pause",
        action="store_true",
        help="let the running job's shards stop at a control record, and return when all have: within five minutes "
        "make the savepoint for an upgrade (`python -m flink savepoint --for-upgrade` does both)",
    )
    way.add_argument(
        "--detach", action="store_true", help="return as soon as the job runs instead of showing its progress"
    )
    return made


class _Unreachable(Exception):
    """A server the job needs does not answer."""


class _Usage(Exception):
    """Options that cannot be."""


def run(job: StreamingJob, options: argparse.Namespace, beam_options: Sequence[str]) -> int:
    """Check, submit and follow; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    console = Console(highlight=False)
    try:
        return _run(job, options, list(beam_options), console)
    except _Usage as error:
        _complain(error)
        return USAGE
    except (KafkaUnreachable, KafkaException, _Unreachable) as error:
        _complain(error)
        return UNREACHABLE
    except (kafka_topics.TopicError, StackError, ValueError) as error:
        _complain(error)
        return UNFIT
    except KeyboardInterrupt:
        console.print("\ninterrupted: no job was started", style="red")
        return INTERRUPTED


def stop(name: str, options: argparse.Namespace) -> int:
    """Stop a job with a savepoint; returns the exit code."""
    console, began = Console(highlight=False), time.monotonic()
    try:
        with FlinkRest(_cluster(options).url) as rest:
            made = savepoints.make(rest, name)
    except _Unreachable as error:
        _complain(error)
        return UNREACHABLE
    except StackError as error:
        _complain(error)
        return UNFIT
    console.print(savepoints.told(made, time.monotonic() - began), soft_wrap=True)
    return OK


def _complain(error: Exception) -> None:
    Console(stderr=True, highlight=False).print("[red]error:[/]", Text(str(error)), soft_wrap=True)


def _run(job: StreamingJob, options: argparse.Namespace, beam_options: list[str], console: Console) -> int:
    if options.runner != "FlinkRunner":
        raise _Usage(
            f"{options.runner} cannot run a job that never ends. To run the same core to the log's end on a "
            "local runner: "
            "python -m jobs.audit"
        )
    found = endpoints.resolve(kafka=options.kafka, flink=options.flink_master)
    if options.attach:
        _cluster(options)
        return _attach(job, found.flink, found.kafka, console)
    if options.pause:
        return _pause(job, found.kafka, console)
    console.print(f"Kafka at {found.kafka} ({found.origin['kafka']})", soft_wrap=True)
    missing = kafka_topics.ensure(admin(found.kafka), job.topics, create=not options.dry_run)
    for name in missing:
        console.print(f"  {'would make' if options.dry_run else 'made'} topic {name}", soft_wrap=True)
    if not options.jar:
        console.print(str(_cluster(options)), soft_wrap=True)
    given = [f"--{name}={getattr(options, name)}" for name in ("max_parallelism", "checkpointing_interval")]
    parallelism = None if options.jar else options.parallelism
    pipeline = beam.Pipeline(
        options=PipelineOptions(submit.flink_defaults(given + beam_options, job.name, parallelism))
    )
    job.build(pipeline)
    if options.dry_run:
        _print_graph(pipeline, console)
        return OK
    if options.jar:
        submit.write_jar(pipeline, Path(options.jar))
        console.print(f"job {job.name} is in {options.jar}", soft_wrap=True)
        return OK
    return _submit(job, options, pipeline, found.kafka, console)


def _cluster(options: argparse.Namespace) -> submit.Cluster:
    try:
        return submit.find_cluster(options.flink_master)
    except StackError as error:
        raise _Unreachable(str(error)) from error


def _submit(
    job: StreamingJob, options: argparse.Namespace, pipeline: beam.Pipeline, kafka: str, console: Console
) -> int:
    record = JobRecord(
        name=job.name,
        parallelism=options.parallelism,
        topic_prefix=options.topic_prefix,
        log_topic=job.log if job.pauses else "",
        partitions=job.partitions,
        group=job.group,
        kafka=kafka,
        core_version=job.core_version,
    )
    handle = submit.submit(pipeline, record, flink=options.flink_master, savepoint=options.savepoint_path)
    console.print(f"job {job.name} runs after {handle.seconds:.1f} s: {handle.web}", soft_wrap=True)
    for what, value in job.notes.items():
        console.print(f"  {what}: {value}", soft_wrap=True)
    if options.detach:
        _print_ways(job, console)
        return OK
    with FlinkRest(handle.flink) as rest:
        return _follow(job, rest, handle.job_id, kafka, console)


def _pause(job: StreamingJob, kafka: str, console: Console) -> int:
    """The first half of an upgrade; whoever runs the cluster makes the savepoint."""
    if not job.pauses:
        console.print(f"job {job.name} needs no pause: a savepoint at any point will do")
        return OK
    try:
        pause_and_wait(kafka, job.log, job.partitions, job.group)
    except NotPaused as error:
        _complain(error)
        return UNFIT
    console.print(f"all {job.partitions} shards of {job.name} stand still; make the savepoint within five minutes")
    return OK


def _attach(job: StreamingJob, flink: str, kafka: str, console: Console) -> int:
    with FlinkRest(flink) as rest:
        return _follow(job, rest, rest.require(job.name)["jid"], kafka, console)


def _follow(job: StreamingJob, rest: FlinkRest, job_id: str, kafka: str, console: Console) -> int:
    try:
        with GroupOffsets(kafka, job.log, job.partitions, job.group) as offsets:
            state = progress.follow(rest, job_id, job.namespace, offsets, console)
    except KeyboardInterrupt:
        console.print("\ndetached; the job goes on.")
        _print_ways(job, console)
        return OK
    console.print(f"job {job.name} ended: {state}")
    if state == "FINISHED":
        return OK
    console.print(submit.cause(rest.exceptions(job_id)), soft_wrap=True, markup=False)
    return JOB_FAILED


def _print_ways(job: StreamingJob, console: Console) -> None:
    console.print(
        f"  its progress:               python -m jobs.{job.namespace} --attach\n"
        f"  look at it:                 python -m flink status\n"
        f"  stop it with a savepoint:   python -m flink savepoint {job.name}\n"
        f"  start it again from there:  python -m flink restore latest --job {job.name}",
        soft_wrap=True,
    )


def _print_graph(pipeline: beam.Pipeline, console: Console) -> None:
    class Printer(beam.pipeline.PipelineVisitor):  # type: ignore[misc]
        def enter_composite_transform(self, node: beam.pipeline.AppliedPTransform) -> None:
            if node.full_label:
                self.show(node)

        def visit_transform(self, node: beam.pipeline.AppliedPTransform) -> None:
            self.show(node)

        @staticmethod
        def show(node: beam.pipeline.AppliedPTransform) -> None:
            depth = node.full_label.count("/")
            console.print(f"{'  ' * depth}{node.full_label.rsplit('/', 1)[-1]}")

    console.print("graph:")
    pipeline.visit(Printer())
    console.print("everything fits; nothing was submitted")


def _beam_options() -> set[str]:
    known = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(known)  # type: ignore[arg-type]
    return set(known._option_string_actions)


def main(
    job_of: Callable[[argparse.Namespace], StreamingJob], made: argparse.ArgumentParser, argv: Sequence[str]
) -> int:
    """Parse and run; `job_of` turns the options into the job and may raise ValueError."""
    options, beam_options = made.parse_known_args(argv)
    for part in beam_options:
        if part.startswith("-") and part.split("=")[0] not in _beam_options():
            made.error(f"unknown option {part}: neither this job, nor Beam, nor its Flink runner has it")
    try:
        job = job_of(options)
    except ValueError as error:
        made.error(str(error))
    return run(job, options, beam_options)


def entry(job_of: Callable[[argparse.Namespace], StreamingJob], made: argparse.ArgumentParser) -> None:
    """The `__main__` of a job module."""
    sys.exit(main(job_of, made, sys.argv[1:]))
