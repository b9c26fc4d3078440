"""What card scoring has found, for people: alerts with the rules behind them, and what could not be scored.

python -m jobs.card_log alerts --last 10
python -m jobs.card_log alerts --follow --rule night-cash
python -m jobs.card_log dead-letters
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from florin_io.kafka.log import TopicReader
from jobs.hub.topics import card_partitions
from jobs.rules.cli import Guarded, json_option, log_options
from jobs.rules.log import Log
from transforms.cards.scored import Scored, decode_scored

_READ = 1000
_WAIT_S = 0.2
T = TypeVar("T")
follow_option = click.option("--follow", is_flag=True, help="What comes from now on, until Ctrl-C.")
last_option = click.option("--last", type=click.IntRange(min=1), default=20, show_default=True,
                           help="How many, without --follow.")  # fmt: skip


@click.group(cls=Guarded, help=(__doc__ or "").replace("\n\n", "\n\n\b\n", 1))
def card_log() -> None:
    """Exit codes: 0 done, 2 wrong options, 3 Kafka or its topics do not answer."""


@card_log.command()
@click.option("--rule", metavar="NAME", help="Only those that this rule decided.")
@follow_option
@last_option
@json_option
@log_options
def alerts(rule: str | None, follow: bool, last: int, log: Log, as_json: bool) -> None:
    """The last transactions found to be fraud; with the reasons, if the job was started with --explain.

    Card numbers are masked, except with --json.
    """
    found = (decode_scored(value) for value in _values(log, log.topics.alerts, follow))
    wanted = (alert for alert in found if rule in (None, alert.name))
    for alert in wanted if follow else _latest(wanted, last, lambda alert: alert.scored):
        click.echo(json.dumps(_object(alert)) if as_json else "\n".join(alert_lines(alert)))


@card_log.command("dead-letters")
@follow_option
@last_option
@json_option
@log_options
def dead_letters(follow: bool, last: int, log: Log, as_json: bool) -> None:
    """The last records that could not be scored, with reason and remedy; with --json their bytes, too, in base64."""
    found = (json.loads(value) for value in _values(log, log.topics.dead_letters, follow))
    for letter in found if follow else _latest(found, last, lambda letter: letter["at"]):
        place = f"{letter['topic']}/{letter['partition']} offset {letter['offset']}"
        click.echo(json.dumps(letter) if as_json else f"{place}: {letter['reason']}. Remedy: {letter['remedy']}")


def _latest(found: Iterable[T], count: int, time: Callable[[T], int]) -> list[T]:
    return heapq.nlargest(count, found, key=time)[::-1]


def alert_lines(alert: Scored) -> list[str]:
    """An alert as text, the card masked: what it was, then every rule that hit with its numbers, if they are known."""
    card = f"{alert.card:014d}"
    at = datetime.fromtimestamp(alert.time / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    lines = [
        f"card {card[:4]}******{card[-4:]} at {at[:19]}, amount {alert.amount:,}: {alert.name}, score {alert.score}"
    ]
    for hit in alert.hits or []:
        what = "decided" if hit["name"] == alert.name else "in shadow" if hit["mode"] == "shadow" else "would have, too"
        facts = ", ".join(f"{fact['text']} = {fact['value']}" for fact in hit["facts"])
        lines += [f"  {hit['name']} ({what}): {hit['description']}", f"    {facts}"]
    return lines


def _object(alert: Scored) -> dict[str, Any]:
    return {**alert._asdict(), "text": alert.text.decode(errors="replace")}


def _values(log: Log, topic: str, follow: bool) -> Iterator[bytes]:
    count = card_partitions(log.bootstrap, [topic])[topic]
    reader = TopicReader(
        log.bootstrap, topic, count, "florin-card-log", from_start=not follow, bounded=not follow
    )  # fmt: skip
    try:
        while not reader.ended:
            yield from (message.value() or b"" for message in reader.poll(_READ, _WAIT_S))
    finally:
        reader.close()


if __name__ == "__main__":
    card_log(prog_name="python -m jobs.card_log")
