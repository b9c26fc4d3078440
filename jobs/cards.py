"""The card scoring job: every transaction against its card's last 20, by rules that are data.

    python -m jobs.cards start --history histories      # submit it and follow its progress
    python -m jobs.cards report                         # rate of the last 10 s, totals, lag, latency
    python -m jobs.cards stop                           # stop it with a savepoint
    python -m flink restore latest --job cards          # go on from there

card-transactions -> Score (one shard per partition) -> scored-transactions, card-alerts, card-dead-letter, card-rules
Rule sets change through the log while it runs: python -m jobs.rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam

from florin_io import endpoints
from florin_io.folder import Folder, FolderUnreachable
from florin_io.kafka.topics import FOREVER, TopicSpec
from jobs import launch
from jobs.rules.log import Log
from jobs.rules.sets import read_set
from jobs.slow import told_if_slow
from jobs.transfer import WEEK_MS, group_of
from transforms.card_shards import card_shards
from transforms.cards.core import CardsCore
from transforms.cards.history_files import verify
from transforms.cards.rules.language import parse
from transforms.cards.rulesets import SHIPPED, text_of
from transforms.cards.topics import Topics
from transforms.cards.warm import warm_up
from transforms.shard import LogSettings, ShardSpec
from transforms.shards import RunShards

NAMESPACE = "cards"
ACTIONS = ("start", "stop", "report")
DEFAULT = "default"
_SILENT_S = 3.0
"""How long nothing may be said."""


def topic_specs(topics: Topics, partitions: int, replication: int) -> list[TopicSpec]:
    """Every topic of the system. The transactions are the log: state is a function of them and of the histories."""
    kept = {topics.transactions: FOREVER, topics.rules: FOREVER}
    names = (topics.transactions, topics.scored, topics.alerts, topics.dead_letters, topics.rules)
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
        help=f"rule set that decides until python -m jobs.rules activates another: {' or '.join(SHIPPED)}, or a file; "
        f"chosen at the first start, for the life of the log (default: {DEFAULT})",
    )
    cards.add_argument(
        "--explain",
        action="store_true",
        help="alerts carry every rule that hit, with its numbers",
    )
    return made


def build(pipeline: beam.Pipeline, shards: list[ShardSpec], settings: LogSettings, max_parallelism: int) -> None:
    """The graph."""
    pipeline | "Score" >> RunShards(shards, settings, namespace=NAMESPACE, max_parallelism=max_parallelism)


class BeganOtherwise(ValueError):
    """Verdicts of this log began with other rules or histories than are named now; the message has the remedy."""


def first_rules(log: Log, rules: str | None, history: str, *, restored: bool) -> str:
    """The rule file that decides from the start of the log: `rules`, or what has already begun it.

    `history` is the digest of the histories. A restored job takes what began the log, whatever `rules` says by now.
    Raises BeganOtherwise, KafkaUnreachable, KafkaException.
    """
    began = log.began()
    if began is None:
        return rules if rules is not None else text_of(DEFAULT)
    if began.history != history:
        raise BeganOtherwise(
            f"verdicts in {log.topics.scored} began with {_histories(began.history)}, not with {_histories(history)}: "
            "name the --history of the first start"
        )
    if rules is not None and rules != began.rules and not restored:
        before, now = parse(began.rules), parse(rules)
        raise BeganOtherwise(
            f"verdicts in {log.topics.scored} began with {before.name}@{before.version}, and the log would be replayed "
            f"with {now.name}@{now.version}: leave out --rules, and change rules with `python -m jobs.rules load "
            "--activate`"
        )
    return began.rules


def _histories(digest: str) -> str:
    return f"the histories of digest {digest[:12]}" if digest else "no histories"


def job_of(options: argparse.Namespace) -> launch.StreamingJob:
    """What the options ask for. Raises ValueError."""
    if options.partitions < 1 or options.partitions > options.max_parallelism:
        raise ValueError(
            f"--partitions must be 1 to --max_parallelism ({options.max_parallelism}), not {options.partitions}"
        )
    topics = Topics(options.topic_prefix)
    name = _name(options)
    settings = LogSettings(endpoints.resolve(kafka=options.kafka).kafka, group_of(name))
    restored = bool(options.savepoint_path)
    # A restore runs the command of the first start again: its rule file may have changed since, or be gone.
    rules = read_set(options.rules).text if options.rules and not restored else None
    folder, digest = history_folder(options.history, options.partitions)

    def build_graph(pipeline: beam.Pipeline) -> None:
        first = first_rules(Log(settings.bootstrap, topics), rules, digest, restored=restored)
        shards = card_shards(topics, options.partitions, first, folder, explain=options.explain)
        if not options.jar:  # which workers elsewhere run
            _compile()
        build(pipeline, shards, settings, options.max_parallelism)

    return launch.StreamingJob(
        name=name,
        group=settings.group,
        namespace=NAMESPACE,
        log=topics.transactions,
        partitions=options.partitions,
        core_version=CardsCore.VERSION,
        topics=topic_specs(topics, options.partitions, options.replication),
        build=build_graph,
        notes={
            "traffic": "python -m jobs.load cards --watch",
            "rules": "python -m jobs.rules list",
        },
    )


def _compile() -> None:
    """Compile the kernels here, once: the workers of this machine only read what is cached."""
    note = "compiling the scoring kernels: about a minute, once per release ..."
    with told_if_slow(lambda: print(note, flush=True), _SILENT_S):
        warm_up()


def _name(options: argparse.Namespace) -> str:
    return str(options.job_name or f"{options.topic_prefix}cards")


def history_folder(where: str | None, partitions: int) -> tuple[str | None, str]:
    """The folder and the digest of its histories; None and an empty one without.

    Every file is there with its size, and a local one with its contents; each worker checks those that it reads, too.
    Raises ValueError.
    """
    if where is None:
        return None, ""
    folder = Folder(where if "://" in where else str(Path(where).absolute()))
    try:
        manifest = verify(folder, partitions, contents=folder.is_local)
    except FolderUnreachable as error:
        raise ValueError(f"--history: {error}") from error
    return folder.where, manifest.digest


def main(argv: Sequence[str]) -> int:
    """Start, stop or report."""
    made = parser()
    options, _ = made.parse_known_args(argv)
    if options.action == "stop":
        return launch.stop(_name(options), options)
    return launch.main(job_of, made, [*argv, "--attach"] if options.action == "report" else argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
