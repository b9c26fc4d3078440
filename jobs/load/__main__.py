"""python -m jobs.load: drive a job with traffic and check everything that comes back."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from jobs.load.cards_cli import cards
from jobs.load.config import Config
from jobs.load.report import show
from jobs.load.subledger_cli import subledger
from jobs.load.terminal import guarded
from jobs.load.transfer import run
from transforms.load.scenarios import SCENARIOS, parse_mix


@click.group(help=__doc__)
def cli() -> None:
    pass


@cli.command(
    help=f"""Play payer and payee of transfers, and check every notification against what must come back.

    Exit codes: 0 all as expected, 1 something differs or is missing, 2 wrong options, 3 Kafka or its topics not
    there, 130 interrupted.

    Scenarios: {", ".join(SCENARIOS)}. ndc and liquidity need the payers tight-ndc and tight-cover;
    `python -m jobs.hub setup` makes them with the others.
    """
)
@click.option("--rate", type=click.FloatRange(min=0), default=1000, show_default=True,
              help="Transfers/s; 0: as fast as it goes with --in-flight.")  # fmt: skip
@click.option("--duration", type=click.FloatRange(min=0, min_open=True),
              help="Seconds of sending. [60 without --count]")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), help="Transfers to send.")
@click.option("--in-flight", type=click.IntRange(min=1), help="Most transfers at once. [200000; 4000 with --rate 0]")
@click.option("--dfsps", type=click.IntRange(min=2), default=8, show_default=True, help="DFSPs dfsp1 to dfspN.")
@click.option("--pair", help="Two DFSPs, as A,B: every transfer is between them.")
@click.option("--currency", default="USD", show_default=True, help="Currency of every transfer.")
@click.option("--skew", type=click.FloatRange(min=0), default=0, show_default=True,
              help="Zipf exponent towards the first DFSPs; 0: all alike.")  # fmt: skip
@click.option("--drift", type=click.FloatRange(0, 1), default=0, show_default=True,
              help="Share that always flows from the lower to the higher DFSP.")  # fmt: skip
@click.option("--mix", default="everyday", show_default=True, help="Shares, as committed=95,ndc=5; or: everyday.")
@click.option("--seed", type=click.IntRange(min=0),
              help="Same seed, same messages but for times; usable once per log. [a new one]")  # fmt: skip
@click.option("--via", type=click.Choice(["log", "mojaloop"]), default="log", show_default=True,
              help="Write to transfer-log by payer, or to Mojaloop's unkeyed topics.")  # fmt: skip
@click.option("--timeout-s", type=click.FloatRange(min=0.1), default=3, show_default=True,
              help="Expiration of the transfers that shall time out, seconds.")  # fmt: skip
@click.option("--expiration-s", type=click.FloatRange(min=1), default=300, show_default=True,
              help="Expiration of all others, seconds.")  # fmt: skip
@click.option("--warmup-s", type=click.FloatRange(min=0), default=5, show_default=True,
              help="First seconds that latency and rate leave out.")  # fmt: skip
@click.option("--grace-s", type=click.FloatRange(min=1), default=30, show_default=True,
              help="Seconds of silence after which outcomes are missing.")  # fmt: skip
@click.option("--report", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one object on one line.")  # fmt: skip
@click.option("--topic-prefix", default="", help="Goes before every topic name.")
@click.option("--kafka", help="Bootstrap servers. [FLORIN_KAFKA, the local stack, localhost:9092]")
def transfer(
    rate: float, duration: float | None, count: int | None, in_flight: int | None, dfsps: int, pair: str | None,
    currency: str, skew: float, drift: float, mix: str, seed: int | None, via: str, timeout_s: float,
    expiration_s: float, warmup_s: float, grace_s: float, form: str, topic_prefix: str, kafka: str | None,
) -> None:  # fmt: skip
    names = _pair(pair) if pair else tuple(f"dfsp{number}" for number in range(1, dfsps + 1))
    if duration is None and count is None:
        duration = 60.0
    try:
        config = Config(
            kafka, topic_prefix, rate, duration, count, names, currency, skew, drift, parse_mix(mix), seed, via,
            in_flight, timeout_s, expiration_s, warmup_s, grace_s,
        )  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    report = guarded(lambda progress, stop: run(config, progress, stop))
    if form == "json":
        click.echo(json.dumps(report.to_json(), separators=(",", ":")))
    else:
        show(report, Console())
    sys.exit(130 if report.interrupted else 0 if report.ok else 1)


def _pair(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or not all(names):
        raise click.UsageError(f"--pair takes two DFSPs as A,B, got {text!r}")
    return names


cli.add_command(cards)
cli.add_command(subledger)

if __name__ == "__main__":
    cli()
