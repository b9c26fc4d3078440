"""The card scoring job: every transaction against its card's last 20, by rules that are data.

    python -m jobs.cards start --history histories      # submit it and follow its progress
    python -m jobs.cards report                         # rate of the last 10 s, totals, lag, latency
    python -m jobs.cards stop                           # stop it with a savepoint
    python -m flink restore latest --job cards          # go on from there

card-transactions -> Score (one shard per partition) -> scored-transactions, card-alerts, card-dead-letter
Rule sets change through the log while it runs: python -m jobs.rules.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam

from florin_io import endpoints
from florin_io.folder import Folder, FolderUnreachable
from florin_io.kafka.topics import FOREVER, TopicSpec
from jobs import launch
from jobs.transfer import WEEK_MS, group_of
from transforms.card_shards import card_shards
from transforms.cards.core import CardsCore
from transforms.cards.history_files import verify
from transforms.cards.rules.language import parse
from transforms.cards.rulesets import SHIPPED, text_of
from transforms.cards.topics import Topics
from transforms.cards.warm import warm_up
from transforms.shard import LogSettings
from transforms.shards import RunShards

NAMESPACE = "cards"
ACTIONS = ("start", "stop", "report")


def topic_specs(topics: Topics, partitions: int, replication: int) -> list[TopicSpec]:
    """Every topic of the system. The transactions are the log: state is a function of them and of the histories."""
    kept = {topics.transactions: FOREVER}
    names = (topics.transactions, topics.scored, topics.alerts, topics.dead_letters)
    return [TopicSpec(name, partitions, kept.get(name, WEEK_MS), replication=replication) for name in names]


def parser() -> argparse.ArgumentParser:
    """The job's options."""
    made = launch.parser("jobs.cards", __doc__ or "")
    made.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        default="start",
        help="submit it (default), stop it with a savepoint, or report",
    )
    cards = made.add_argument_group("cards")
    cards.add_argument(
        "--history",
        metavar="DIR",
        help="folder that python -m jobs.card_history has written: a path, or gs://bucket/path (default: no card has "
        "a history); the same for the life of the job",
    )
    cards.add_argument(
        "--rules",
        metavar="NAME|FILE",
        default="default",
        help=f"rule set that decides until python -m jobs.rules activates another: {' or '.join(SHIPPED)}, or a file "
        "(default: default)",
    )
    cards.add_argument(
        "--explain",
        action="store_true",
        help="alerts carry every rule that hit, with its numbers",
    )
    return made


def rules_text(named: str) -> str:
    """The text of a rule set that ships, or of a file. Raises ValueError, with the place of every mistake."""
    if named in SHIPPED:
        return text_of(named)
    try:
        text = Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--rules: {named} is neither {' nor '.join(SHIPPED)} nor a readable file: {error}") from error
    parse(text, named)
    return text


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """What the options ask for. Raises ValueError."""
    if options.partitions < 1 or options.partitions > options.max_parallelism:
        raise ValueError(
            f"--partitions must be 1 to --max_parallelism ({options.max_parallelism}), not {options.partitions}"
        )
    topics = Topics(options.topic_prefix)
    name = _name(options)
    settings = LogSettings(endpoints.resolve(kafka=options.kafka).kafka, group_of(name))
    rules = rules_text(options.rules)
    history = history_folder(options.history, options.partitions) if options.history else None
    shards = card_shards(topics, options.partitions, rules, history, explain=options.explain)

    def build(pipeline: beam.Pipeline) -> None:
        warm_up()  # compiled once here, the workers of this machine only read what is cached
        pipeline | "Score" >> RunShards(shards, settings, namespace=NAMESPACE, max_parallelism=options.max_parallelism)

    return launch.StreamingJob(
        name=name,
        group=settings.group,
        namespace=NAMESPACE,
        log=topics.transactions,
        partitions=options.partitions,
        core_version=CardsCore.VERSION,
        topics=topic_specs(topics, options.partitions, options.replication),
        build=build,
        notes={
            "traffic": "python -m jobs.load cards --watch",
            "rules": "python -m jobs.rules list",
        },
    )


def _name(options: argparse.Namespace) -> str:
    return str(options.job_name or f"{options.topic_prefix}cards")


def history_folder(where: str, partitions: int) -> str:
    """The folder, every file of which is there with its size; contents are checked by the workers as they read.

    Raises ValueError.
    """
    folder = Folder(where if "://" in where else str(Path(where).absolute()))
    try:
        verify(folder, partitions, contents=False)
    except FolderUnreachable as error:
        raise ValueError(f"--history: {error}") from error
    return folder.where


def main(argv: Sequence[str]) -> int:
    """Start, stop or report."""
    made = parser()
    options, _ = made.parse_known_args(argv)
    if options.action == "stop":
        return subprocess.run([sys.executable, "-m", "flink", "savepoint", _name(options)], check=False).returncode
    return launch.main(job_of, made, [*argv, "--attach"] if options.action == "report" else argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
