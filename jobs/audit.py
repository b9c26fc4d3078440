"""Audit: replay a job's log on a local runner and compare what it makes with what was emitted.

    python -m jobs.audit transfer
    python -m jobs.audit cards --history histories

The state of a shard is a function of its log, so a replay must give the same bytes: every event with its hash chain,
every notification, every verdict and every dead letter. The first difference is named. Nothing is written to Kafka.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
import click
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.table import Table
from rich.text import Text

from florin_io import endpoints
from florin_io.kafka.client import admin
from florin_io.kafka.log import LogTruncated, committed_offsets
from florin_io.kafka.settings import KafkaUnreachable
from jobs import cards, transfer
from jobs.rules.log import Log
from transforms.audit import Auditor, AuditResult
from transforms.card_shards import card_shards
from transforms.cards.topics import Topics as CardTopics
from transforms.shard import ShardSpec
from transforms.shards import ReplayShards
from transforms.transfers.events import link_hash
from transforms.transfers.topics import Topics

DIFFERS, UNREACHABLE, UNFIT = 1, 3, 4
_ZEROS = "0" * 64


class HashChains:
    """Feeds on emitted events and complains of a link that does not fit, or of a gap in an account's sequence."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, str]] = {}

    def __call__(self, value: bytes) -> str | None:
        """The complaint, or None."""
        event = json.loads(value)
        account = event["account"]
        seq, previous = self._last.get(account, (0, _ZEROS))
        if event["seq"] != seq + 1:
            return f"account {account}: sequence number {event['seq']} follows {seq}"
        if event["prevHash"] != previous or event["hash"] != link_hash(value, previous):
            return f"account {account}: the hash chain is broken at sequence number {event['seq']}"
        self._last[account] = (event["seq"], event["hash"])
        return None


def checks(topics: Topics) -> Callable[[str], Callable[[bytes], str | None]]:
    """What is checked of each topic's records beyond being equal."""
    return lambda topic: HashChains() if topic == topics.events else lambda value: None


def written_by_others(topics: Topics) -> Callable[[str, bytes], bool]:
    """Answers to GET, which the read side writes, and dead letters of other topics than the log."""

    def ignore(topic: str, value: bytes) -> bool:
        if topic == topics.dead_letters:
            return bool(json.loads(value)["topic"] != topics.log)
        if topic != topics.notifications or b'"action":"get"' not in value:
            return False
        return bool(json.loads(value)["metadata"]["event"]["action"] == "get")

    return ignore


@dataclass(frozen=True)
class Subject:
    """What an audit is about: the log, the group that works it off, its shards by the number of partitions, and how
    what they emitted is compared."""

    log: str
    group: str
    shards: Callable[[int], list[ShardSpec]]
    topics: tuple[str, ...]
    ignore: Callable[[str, bytes], bool]
    check: Callable[[str], Callable[[bytes], str | None]]
    held: str = ""
    """What else holds if there is no difference."""


def replay_and_compare(bootstrap: str, subject: Subject, ends: list[int], runner: str) -> list[AuditResult]:
    """Run the audit as a bounded Beam job; one result per partition, in order."""
    auditor = Auditor(bootstrap, subject.topics, subject.ignore, subject.check)
    shards = subject.shards(len(ends))
    with tempfile.TemporaryDirectory(prefix="florin-audit-") as folder:
        with beam.Pipeline(options=PipelineOptions([f"--runner={runner}"])) as pipeline:
            (
                pipeline
                | "Audit" >> ReplayShards(shards, ends, bootstrap, auditor)
                | "Line" >> beam.Map(lambda result: json.dumps(asdict(result)))
                | "Write" >> beam.io.WriteToText(str(Path(folder) / "results"))
            )
        lines = [line for file in sorted(Path(folder).glob("results*")) for line in file.read_text().splitlines()]
    return sorted((AuditResult(**json.loads(line)) for line in lines), key=lambda result: result.partition)


@click.group(help=(__doc__ or "").split("\n\n")[0])
def main() -> None:
    """One command per job."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What every audit is told."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="print the results as JSON"),
        click.option("--runner", default="DirectRunner", show_default=True, help="Beam runner of the replay"),
        click.option("--job-name", "--job_name", help="as given to the job  [default: the prefix and the job's name]"),
        click.option("--partitions", default=4, show_default=True, help="as given to the job"),
        click.option("--topic-prefix", "--topic_prefix", default="", help="as given to the job"),
        click.option(
            "--kafka",
            metavar="HOST:PORT",
            help="bootstrap servers (default: FLORIN_KAFKA, the local stack, localhost:9092)",
        ),
    ):
        command = option(command)
    return command


_ENDS = "exit 1 at a difference, 3 if Kafka is not there, 4 if the log is cut."


@main.command("transfer", help=f"Replay transfer-log; {_ENDS}")
@_options
def audit_transfer(
    kafka: str | None, topic_prefix: str, partitions: int, job_name: str | None, runner: str, as_json: bool
) -> None:
    """Compare replay and emitted records of every shard."""
    topics = Topics(topic_prefix)
    subject = Subject(
        log=topics.log,
        group=transfer.group_of(job_name or f"{topic_prefix}transfer"),
        shards=partial(transfer.transfer_shards, topics),
        topics=(topics.events, topics.notifications, topics.dead_letters),
        ignore=written_by_others(topics),
        check=checks(topics),
        held="; all hash chains hold",
    )
    _audit(subject, kafka, partitions, runner, as_json)


@main.command("cards", help=f"Replay card-transactions; {_ENDS}")
@click.option("--history", metavar="DIR", help="as given to the job")
@click.option("--explain", is_flag=True, help="as given to the job")
@_options
def audit_cards(
    kafka: str | None, topic_prefix: str, partitions: int, job_name: str | None, runner: str, as_json: bool,
    history: str | None, explain: bool,
) -> None:  # fmt: skip
    """Compare replay and emitted records of every shard."""
    topics = CardTopics(topic_prefix)
    try:
        folder, digest = cards.history_folder(history, partitions)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    def shards(count: int) -> list[ShardSpec]:
        log = Log(endpoints.resolve(kafka=kafka).kafka, topics)
        rules = cards.first_rules(log, None, digest, restored=False)
        return card_shards(topics, count, rules, folder, explain=explain)

    subject = Subject(
        log=topics.transactions,
        group=transfer.group_of(job_name or f"{topic_prefix}cards"),
        shards=shards,
        topics=(topics.scored, topics.alerts, topics.dead_letters, topics.rules),
        ignore=lambda topic, value: False,
        check=lambda topic: lambda value: None,
    )
    _audit(subject, kafka, partitions, runner, as_json)


def _audit(subject: Subject, kafka: str | None, partitions: int, runner: str, as_json: bool) -> None:
    """Audit and exit."""
    bootstrap = endpoints.resolve(kafka=kafka).kafka
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        found = admin(bootstrap).list_topics(timeout=10).topics
        if subject.log not in found:
            raise click.UsageError(f"there is no topic {subject.log} on {bootstrap}; is --topic-prefix right?")
        if len(found[subject.log].partitions) != partitions:
            raise click.UsageError(
                f"{subject.log} has {len(found[subject.log].partitions)} partitions: give --partitions"
            )
        started = time.monotonic()
        ends = committed_offsets(bootstrap, subject.log, partitions, subject.group)
        results = replay_and_compare(bootstrap, subject, ends, runner)
        still = committed_offsets(bootstrap, subject.log, partitions, subject.group) == ends
    except KafkaUnreachable as error:
        errors.print("[red]error:[/]", Text(str(error)), soft_wrap=True)
        sys.exit(UNREACHABLE)
    except (LogTruncated, cards.BeganOtherwise) as error:
        errors.print("[red]error:[/]", Text(str(error)), soft_wrap=True)
        sys.exit(UNFIT)
    for result in results:
        if still and result.difference is None and any(result.left.values()):
            result.difference = f"emitted records that the replay does not make: {result.left}"
    if as_json:
        console.print_json(data=[asdict(result) for result in results])
    else:
        _print(results, time.monotonic() - started, subject.held, console)
    sys.exit(DIFFERS if any(result.difference for result in results) else 0)


def _print(results: list[AuditResult], seconds: float, held: str, console: Console) -> None:
    table = Table("partition")
    for name in (*(next(iter(results)).compared if results else ()), "result"):
        table.add_column(name, overflow="fold")
    for result in results:
        table.add_row(
            str(result.partition),
            *(f"{count:,}" for count in result.compared.values()),
            "differs" if result.difference else "equal",
        )
    console.print(table)
    for result in results:
        if result.difference:
            console.print(Text(f"partition {result.partition}: {result.difference}", style="red"), soft_wrap=True)
    if not any(result.difference for result in results):
        total = sum(sum(result.compared.values()) for result in results)
        console.print(f"{total:,} records replayed in {seconds:.1f} s: equal, byte for byte{held}", soft_wrap=True)


if __name__ == "__main__":
    main()
