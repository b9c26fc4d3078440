"""python -m jobs.load cards: options of the card traffic generator, and its report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from jobs.card_population import PeopleOf, population_options
from jobs.load.cards import CLOSED_LOOP, CardsConfig, CardsReport, run
from jobs.load.terminal import guarded
from transforms.cards.simulate import SCENARIOS, Mix


@click.command(
    help=f"""Send simulated card transactions with labelled fraud, and measure what the job makes of them.

    Population and seed must be those of the loaded histories (`python -m jobs.card_history`). Simulated time does not
    pass as the clock does: transactions are as far apart as --per-day says, however fast they are sent. A second run
    on the same log would send the same again: go on with --from-day.

    Exit codes: 0 all sent (and, with --watch, all scored), 1 some were not, 2 wrong options, 3 Kafka or its topics not
    there, 130 interrupted.

    Fraud scenarios: {", ".join(SCENARIOS)}; docs/card-history.md describes them.
    """
)
@click.option("--rate", type=click.FloatRange(min=0), default=10_000, show_default=True,
              help="Transactions/s; 0: as fast as it goes.")  # fmt: skip
@click.option("--duration", type=click.FloatRange(min=0, min_open=True),
              help="Seconds of sending. [60 without --count]")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), help="Transactions to send.")
@click.option("--cards", "many", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="Cards.")
@population_options(start="Midnight (UTC) at which the simulation starts.")
@click.option("--from-day", type=click.FloatRange(min=0), default=0, show_default=True,
              help="Simulated days after --start at which to go on; a report says where its run ended.")  # fmt: skip
@click.option("--fraud", type=float, default=Mix.fraud, show_default=True, help="Share of fraud.")
@click.option("--late", type=float, default=Mix.late, show_default=True, help="Share that comes out of order.")
@click.option("--duplicates", type=float, default=Mix.duplicates, show_default=True, help="Share that comes twice.")
@click.option("--future", type=float, default=Mix.future, show_default=True,
              help="Share with timestamps ten years ahead.")  # fmt: skip
@click.option("--labels", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the fraudulent transactions with their scenarios to a .csv or .parquet file.")  # fmt: skip
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path),
              help="Write packets to this file instead of to Kafka.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Read scored-transactions: latency, precision and recall.")
@click.option("--in-flight", type=click.IntRange(min=1), default=CLOSED_LOOP, show_default=True,
              help="With --watch: most transactions that wait for a verdict.")  # fmt: skip
@click.option("--warmup-s", type=click.FloatRange(min=0), default=5, show_default=True,
              help="With --watch: first seconds that latency and rate leave out.")  # fmt: skip
@click.option("--grace-s", type=click.FloatRange(min=1), default=15, show_default=True,
              help="With --watch: seconds of silence after which verdicts are missing.")  # fmt: skip
@click.option("--report", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one object on one line.")  # fmt: skip
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON report to a file too.")
@click.option("--topic-prefix", default="", help="Goes before every topic name.")
@click.option("--kafka", help="Bootstrap servers. [FLORIN_KAFKA, the local stack, localhost:9092]")
def cards(
    rate: float, duration: float | None, count: int | None, many: int, people_of: PeopleOf, from_day: float,
    fraud: float, late: float, duplicates: float, future: float, labels: Path | None, file: Path | None, watch: bool,
    in_flight: int, warmup_s: float, grace_s: float, form: str, save: Path | None, topic_prefix: str,
    kafka: str | None,
) -> None:  # fmt: skip
    if duration is None and count is None:
        duration = 60.0
    try:
        config = CardsConfig(
            people_of(many), Mix(fraud, late, duplicates, future), rate, duration, count, from_day, watch, in_flight,
            warmup_s, grace_s, labels, file, kafka, topic_prefix,
        )  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    report = guarded(lambda progress, stop: run(config, progress, stop))
    told = json.dumps(report.to_json(), separators=(",", ":"))
    if save is not None:
        save.write_text(told + "\n", encoding="utf-8")
    if form == "json":
        click.echo(told)
    else:
        show(report, Console(highlight=False))
    sys.exit(130 if report.interrupted else 0 if report.ok else 1)


def show(report: CardsReport, console: Console) -> None:
    """The report for people."""
    console.print(
        f"{report.sent:,} transactions of {report.cards:,} cards in {report.seconds:.1f} s: {report.per_s:,.0f}/s; "
        f"{report.fraudulent:,} fraudulent, {report.duplicates:,} duplicates; simulated {report.first} to "
        f"{report.until}; generator {report.cpu_us_per_transaction:.1f} us CPU each; seed {report.seed}",
        soft_wrap=True,
    )
    console.print(f"  go on with --from-day {report.next_day}")
    if report.skipped or report.undelivered:
        console.print(f"  {report.skipped:,} given up as late, {report.undelivered:,} not taken by Kafka")
    if report.watched is not None:
        _show_watched(report.watched, console)
    for hint in report.hints:
        console.print(f"[yellow]{hint}[/]", soft_wrap=True)


def _show_watched(watched: dict[str, Any], console: Console) -> None:
    latency = watched["latency"]
    console.print(
        f"{watched['scored']:,} scored ({watched['missing']:,} missing) at {watched['per_s']:,.0f}/s; log append to "
        f"visible p50 {latency['p50_ms']} ms, p99 {latency['p99_ms']} ms, max {latency['max_ms']} ms\n"
        f"flagged {_percent(watched['flagged_share'])}; precision {_percent(watched['precision'])}, recall "
        f"{_percent(watched['recall'])}; {_percent(watched['noticed'])} of {watched['attacked_cards']:,} attacked "
        f"cards noticed; {watched['duplicates']:,} duplicates",
        soft_wrap=True,
    )
    scenarios = Table("fraud", "recall")
    for name, share in watched["recall_by_scenario"].items():
        scenarios.add_row(name, _percent(share))
    rules = Table("rule", "flagged", "precision")
    for name, told in sorted(watched["rules"].items(), key=lambda item: -item[1]["flagged"]):
        rules.add_row(name, f"{told['flagged']:,}", _percent(told["precision"]))
    for table in (scenarios, rules):
        if table.row_count:
            console.print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
