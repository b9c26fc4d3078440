"""`make cards`: card scoring on this machine: a million histories, a minute at full rate, every step a command shown.

    python -m jobs.demo_cards

Starts the local stack, loads the histories, submits the job, sends simulated traffic with labelled fraud as fast as it
is scored, and ends with alerts explained, precision and recall. What already runs is used as it is. Ctrl-C stops what
this command started.
"""

from __future__ import annotations

import json

import click
from rich.console import Console

from flink.paths import home
from florin_io import endpoints
from florin_io.kafka.log import TopicReader
from jobs.card_log import alert_lines
from jobs.demo import StepFailed, demonstrate, python_shown, runs, step
from transforms.cards.scored import Scored, decode_scored
from transforms.cards.topics import Topics

PARTITIONS = 4
EXPLAINED = 3
_DAY = "cards-demo.json"
"""File in the run folder with the simulated day on which the next run goes on."""


@click.command()
@click.option("--cards", default=1_000_000, show_default=True, help="Cards with a history of 20.")
@click.option("--rate", default=0.0, show_default=True, help="Transactions/s; 0: as fast as they are scored.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to send.")
def main(cards: int, rate: float, seconds: float) -> None:
    """Run card scoring on this machine and drive traffic through it."""
    demonstrate(lambda console: _demonstrate(cards, rate, seconds, console))


def _demonstrate(cards: int, rate: float, seconds: float, console: Console) -> int:
    step(console, "flink", "up")
    histories = str(home() / "card-histories")
    if not runs("cards"):
        step(console, "jobs.card_history", f"--cards={cards}", f"--out={histories}")
        step(console, "jobs.cards", "start", "--detach", "--explain", f"--history={histories}")
    place = home() / _DAY
    day = json.loads(place.read_text())["day"] if place.exists() else 0
    report = home() / "cards-demo-report.json"
    load = ("cards", f"--cards={cards}", f"--rate={rate:g}", f"--duration={seconds:g}", f"--from-day={day}", "--watch")
    alerts = TopicReader(endpoints.resolve().kafka, Topics().alerts, PARTITIONS, "florin-demo")
    try:
        code = step(console, "jobs.load", *load, f"--save={report}", may_fail=True)
        if code not in (0, 1):
            raise StepFailed(f"python -m jobs.load {' '.join(load)}", code)
        day = json.loads(report.read_text())["next_day"]
        place.write_text(json.dumps({"day": day}))
        _explain(alerts, console)
    finally:
        alerts.close()
    _show_where(day, console)
    return code


def _explain(alerts: TopicReader, console: Console) -> None:
    """Some alerts of this run, each with the rules that hit and the numbers that made them."""
    found: list[Scored] = []
    names = set[str]()
    while len(found) < EXPLAINED and (messages := alerts.poll(5000, 2.0)):
        for alert in (decode_scored(message.value() or b"") for message in messages):
            if len(found) < EXPLAINED and alert.name not in names:
                found.append(alert)
                names.add(alert.name)
    console.print("\nA few alerts, explained:")
    for alert in found:
        for line in alert_lines(alert):
            console.print(f"  {line}", soft_wrap=True, markup=False)


def _show_where(day: int, console: Console) -> None:
    shown = python_shown()
    console.print(
        f"\nEverything still runs. Where to look:\n"
        f"  Flink's web UI      {endpoints.resolve().flink}\n"
        f"  its progress        {shown} -m jobs.cards report\n"
        f"  alerts, explained   {shown} -m jobs.card_log alerts --last 10\n"
        f"  the rules           {shown} -m jobs.rules list\n"
        f"  change the rules    {shown} -m jobs.rules load my-rules.yaml --activate\n"
        f"  more load           {shown} -m jobs.load cards --rate=10000 --watch --from-day={day}\n"
        f"  stop it             {shown} -m jobs.cards stop\n"
        f"  stop all of it      make down",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
