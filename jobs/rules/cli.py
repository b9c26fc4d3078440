"""The commands: check, test, list, load, activate, shadow, retire."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from confluent_kafka import KafkaException
from msgspec import to_builtins
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from florin_io import endpoints
from florin_io.kafka.settings import KafkaUnreachable
from jobs.hub.topics import TopicsMissing
from jobs.rules.backtest import case_outcomes, compare_with_log
from jobs.rules.log import Log, RefusedCommand
from jobs.rules.sets import NoRuleFile, read_set
from transforms.cards.rules.cases import CaseFileError, Outcome
from transforms.cards.rules.model import RuleSet
from transforms.cards.topics import Topics
from transforms.rule_text.places import RuleSetError

REFUSED, USAGE, UNREACHABLE, LATE, INTERRUPTED = 1, 2, 3, 4, 130
_SHOWN = 20
F = TypeVar("F", bound=Callable[..., Any])


class Guarded(click.Group):
    """A group whose commands end with a message and an exit code instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RuleSetError as error:
            count = len(error.mistakes)
            _end(REFUSED, f"{error}\n{count} mistake{'s' * (count != 1)}", prefix="")
        except RefusedCommand as error:
            _end(REFUSED, str(error), prefix="refused: ")
        except (CaseFileError, NoRuleFile, OSError) as error:
            unreachable = isinstance(error, KafkaUnreachable)
            _end(UNREACHABLE if unreachable else USAGE, str(error))
        except TopicsMissing as error:
            _end(UNREACHABLE, str(error))
        except KafkaException as error:
            _end(UNREACHABLE, f"Kafka: {error.args[0].str() if error.args else error}")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def _end(code: int, message: str, prefix: str = "error: ") -> None:
    click.echo(f"{prefix}{message}", err=True)
    sys.exit(code)


def log_options(command: F) -> F:
    """--kafka and --topic-prefix as one argument `log`."""

    @click.option("--kafka", "bootstrap", metavar="HOST:PORT",
                  help="Bootstrap servers. [FLORIN_KAFKA, the local stack, localhost:9092]")  # fmt: skip
    @click.option("--topic-prefix", default="", help="Goes before every topic name; as given to the job.")
    @functools.wraps(command)
    def wrapped(*args: Any, bootstrap: str | None, topic_prefix: str, **named: Any) -> Any:
        return command(*args, log=Log(endpoints.resolve(kafka=bootstrap).kafka, Topics(topic_prefix)), **named)

    return wrapped  # type: ignore[return-value]


json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
wait_option = click.option("--wait-s", type=click.FloatRange(min=0), default=10, show_default=True,
                           help="Most seconds to wait until every shard has acted.")  # fmt: skip


@click.group(cls=Guarded)
def rules() -> None:
    """Rule sets of card scoring.

    RULESET is a file, or the name of a set that ships: seed, default. Exit codes: 0 done, 1 refused, mistakes or
    disagreement, 2 wrong options or files, 3 Kafka or its topics do not answer, 4 the command is in the log and not
    every shard has acted on it in time.
    """


@rules.command()
@click.argument("ruleset")
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@json_option
def check(ruleset: str, strict: bool, as_json: bool) -> None:
    """Read RULESET and say what is wrong with it, and where."""
    try:
        found = read_set(ruleset)
    except RuleSetError as error:
        if as_json:
            mistakes = [{"line": one.line, "column": one.column, "message": one.message} for one in error.mistakes]
            click.echo(json.dumps({"ok": False, "mistakes": mistakes}))
            sys.exit(REFUSED)
        raise
    warnings = [{"line": one.line, "column": one.column, "message": one.message} for one in found.warnings]
    modes = {mode: sum(rule.mode == mode for rule in found.rules) for mode in ("live", "shadow", "off")}
    if as_json:
        click.echo(json.dumps({"ok": True, "name": found.name, "version": found.version, "zone": found.zone,
                               "rules": len(found.rules), **modes, "warnings": warnings}))  # fmt: skip
    else:
        for warning in found.warnings:
            click.echo(f"{ruleset}: {warning} (warning)", err=True)
        counts = ", ".join(f"{count} {mode}" for mode, count in modes.items())
        click.echo(f"ok  {found.name}@{found.version}: {len(found.rules)} rules ({counts}), zone {found.zone}")
    if strict and warnings:
        sys.exit(REFUSED)


@rules.command("test")
@click.argument("ruleset")
@click.argument("file", required=False)
@click.option("--log", "from_log", is_flag=True, help="Against the live verdicts in scored-transactions.")
@click.option("--last", type=click.IntRange(min=1), default=100_000, show_default=True,
              help="With --log: how many records of each partition.")  # fmt: skip
@json_option
@log_options
def test(ruleset: str, file: str | None, from_log: bool, last: int, log: Log, as_json: bool) -> None:
    """Run RULESET over the cases of FILE (- is standard input; gzip is unpacked) and print how many agree.

    Exits with 1 if not all do. Cases of the group int32-wrap are counted apart: they need not agree. With --log instead
    of FILE it runs over a past stretch of the log and is compared with the live verdicts.
    """
    if (file is None) != from_log:
        raise click.UsageError("give either FILE or --log")
    found = read_set(ruleset)
    if file is not None:
        _report_cases(found, case_outcomes(found, file), as_json)
    else:
        _report_log(found, log, last, as_json)


def _report_cases(ruleset: RuleSet, outcomes: list[Outcome], as_json: bool) -> None:
    counted = [outcome for outcome in outcomes if not outcome.excepted]
    apart = [outcome for outcome in outcomes if outcome.excepted]
    wrong = [outcome for outcome in counted if not outcome.agrees]
    if as_json:
        click.echo(json.dumps({
            "ruleset": ruleset.name, "version": ruleset.version, "cases": len(counted),
            "agree": len(counted) - len(wrong), "excepted": len(apart),
            "excepted_agree": sum(outcome.agrees for outcome in apart),
            "differ": [{"id": one.case.id, "group": one.case.group, "expected": one.case.rule, "found": one.rule}
                       for one in wrong],
        }))  # fmt: skip
    else:
        for one in wrong[:_SHOWN]:
            click.echo(f"case {one.case.id} ({one.case.group}): expected rule {one.case.rule}, found {one.rule}")
        if len(wrong) > _SHOWN:
            click.echo(f"... and {len(wrong) - _SHOWN} more")
        click.echo(f"{len(counted) - len(wrong)} of {len(counted)} cases agree with {ruleset.name}@{ruleset.version}")
        if apart:
            agree = sum(outcome.agrees for outcome in apart)
            click.echo(f"apart from these: {agree} of {len(apart)} of group {apart[0].case.group}, which need not")
    if wrong or not counted:
        sys.exit(REFUSED)


def _report_log(ruleset: RuleSet, log: Log, last: int, as_json: bool) -> None:
    found = compare_with_log(ruleset, log, last)
    if as_json:
        click.echo(json.dumps({
            "ruleset": ruleset.name, "version": ruleset.version, "transactions": found.transactions,
            "agree": found.agree, "both": found.both, "only_live": found.only_live, "only_tested": found.only_tested,
            "young": found.young, "only_live_by_rule": found.by_live_rule,
            "only_tested_by_rule": found.by_tested_rule,
        }))  # fmt: skip
    else:
        click.echo(f"{found.agree:,} of {found.transactions:,} transactions have the live verdict; fraud by both "
                   f"{found.both:,}, by the live rules only {found.only_live:,}, by {ruleset.name} only "
                   f"{found.only_tested:,}")  # fmt: skip
        for title, counts in (("live only", found.by_live_rule), (f"{ruleset.name} only", found.by_tested_rule)):
            for name, count in counts.most_common(_SHOWN):
                click.echo(f"  {title}: {name} {count:,}")
        if found.young:
            click.echo(f"{found.young:,} were of cards with fewer than 20 transactions in this stretch: their earlier "
                       "histories were not seen")  # fmt: skip
    if found.agree < found.transactions:
        sys.exit(REFUSED)


@rules.command("list")
@json_option
@log_options
def list_sets(log: Log, as_json: bool) -> None:
    """The sets that are loaded, and which one decides: what the shards last said."""
    reports = log.reports()
    latest = max((report for report in reports if report is not None), key=lambda report: report.at, default=None)
    sets = latest.sets if latest is not None else []
    behind = [number for number, report in enumerate(reports) if report is not None and report.sets != sets]
    if as_json:
        click.echo(json.dumps({"sets": to_builtins(sets), "behind": behind}))
        return
    if latest is None:
        click.echo("nothing has been scored yet: the set named to `python -m jobs.cards start` will decide (default)")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("name", "version", "state", "rules", "changed", "description"):
        table.add_column(name, justify="right" if name == "rules" else "left")
    for one in sets:
        changed = ", ".join(f"{rule} {mode}" for rule, mode in one.changed.items())
        table.add_row(one.name, one.version, one.state, str(one.rules), changed, Text(one.description))
    Console(highlight=False).print(table)
    if behind:
        click.echo(f"{_partitions(behind)} not come to the last command yet", err=True)


@rules.command()
@click.argument("ruleset")
@click.option("--activate", is_flag=True, help="Let it decide at once.")
@wait_option
@log_options
def load(ruleset: str, activate: bool, log: Log, wait_s: float) -> None:
    """Give RULESET to the running job: checked here, then kept by every shard."""
    found = read_set(ruleset)
    named = {"name": found.name, "version": found.version}
    late = log.send({"action": "load", **named, "text": found.text}, wait_s)
    if activate:
        late = log.send({"action": "activate", **named}, wait_s)
    _told(f"{'loaded and activated' if activate else 'loaded'}: {found.name}@{found.version}", late)


def _told(done: str, late: list[int]) -> None:
    if not late:
        click.echo(done)
        return
    click.echo(f"in the log: {done}")
    click.echo(f"{_partitions(late)} not acted on it yet; does the job run? `python -m jobs.cards report`", err=True)
    sys.exit(LATE)


def _partitions(numbers: list[int]) -> str:
    several = len(numbers) > 1
    return f"partition{'s' * several} {', '.join(map(str, numbers))} {'have' if several else 'has'}"


def _change(name: str, done: str, help: str) -> None:
    @rules.command(name, help=help)
    @click.argument("ruleset")
    @click.option("--rule", help="Only this rule of it.")
    @wait_option
    @log_options
    def change(ruleset: str, rule: str | None, log: Log, wait_s: float) -> None:
        set_name, _, version = ruleset.partition("@")
        command = {"action": name, "name": set_name, "version": version, **({"rule": rule} if rule else {})}
        _told(f"{done}: {f'rule {rule} of ' if rule else ''}{ruleset}", log.send(command, wait_s))


_change("activate", "active", "Let the loaded set NAME or NAME@VERSION decide from now on; or its rule be live.")
_change("shadow", "in shadow", "Evaluate and count the loaded set NAME[@VERSION] beside the active one; or its rule.")
_change("retire", "retired", "Drop the loaded set NAME[@VERSION], not the active one; or switch its rule off.")
