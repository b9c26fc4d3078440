"""`make transfer`: the whole transfer system on this machine, driven for a minute; every step is a command shown.

    python -m jobs.demo_transfer

Starts the local stack, submits the transfer job and the read model, makes the DFSPs, drives traffic through them and
ends with positions, outcomes and the proof that positions sum to zero. What already runs is used as it is. Ctrl-C
stops what this command started.
"""

from __future__ import annotations

import time

import click
from rich.console import Console
from rich.table import Table

from florin_io import endpoints
from florin_io.kafka.log import end_offsets
from jobs.demo import StepFailed, demonstrate, python_shown, runs, step
from jobs.read_model import database_of
from transforms.read_model import schema
from transforms.read_model.reader import ReadModel
from transforms.transfers.topics import Topics

PARTITIONS = 4
CATCH_UP_S = 60.0


@click.command()
@click.option("--rate", default=300.0, show_default=True, help="Transfers/s.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to send.")
def main(rate: float, seconds: float) -> None:
    """Run the transfer system on this machine and drive traffic through it."""
    demonstrate(lambda console: _demonstrate(rate, seconds, console))


def _demonstrate(rate: float, seconds: float, console: Console) -> int:
    step(console, "flink", "up")
    for job, module in (("transfer", "jobs.transfer"), ("read_model", "jobs.read_model")):
        if not runs(job):
            step(console, module, "--runner=FlinkRunner", "--detach")
    step(console, "jobs.hub", "setup")
    load = ("transfer", f"--rate={rate:g}", f"--duration={seconds:g}")
    code = step(console, "jobs.load", *load, may_fail=True)
    if code not in (0, 1):
        raise StepFailed(f"python -m jobs.load {' '.join(load)}", code)
    balanced = _show_positions(console)
    _show_where(console)
    return code if balanced else 1


def _show_positions(console: Console) -> bool:
    """Wait for the read model and show what it says; whether every currency's positions sum to zero."""
    ends = end_offsets(endpoints.resolve().kafka, Topics().events, PARTITIONS)
    with ReadModel(database_of(None, schema.DEFAULT_SCHEMA)) as model:
        until = time.monotonic() + CATCH_UP_S
        while any(model.lag(ends)) and time.monotonic() < until:
            time.sleep(0.2)
        console.print()
        _print(
            console,
            "Positions per DFSP",
            model.positions(),
            ("participant", "currency", "position", "reserved", "cover", "ndc"),
        )
        counts = model.counts_by_state()
        _print(
            console,
            "Transfers by state",
            [{"state": state, "count": f"{count:,}"} for state, count in counts.items()],
            ("state", "count"),
        )
        totals = model.totals()
        faults = {name: count for name, count in model.faults().items() if count}
    for total in totals:
        console.print(f"sum of the {total['accounts']} positions in {total['currency']}: {total['position']}")
    if faults:
        console.print(f"[red]the read model found faults: {faults}[/red]")
    return not faults and all(total["position"] == 0 for total in totals)


def _print(console: Console, title: str, rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    console.print(table)


def _show_where(console: Console) -> None:
    found = endpoints.resolve()
    shown = python_shown()
    console.print(
        f"\nEverything still runs. Where to look:\n"
        f"  Flink's web UI      {found.flink}\n"
        f"  PostgreSQL          psql {found.postgres}   (schema {schema.DEFAULT_SCHEMA})\n"
        f"  all processes       {shown} -m flink status\n"
        f"  a DFSP's position   {shown} -m jobs.hub positions dfsp1\n"
        f"  watch the switch    {shown} -m jobs.hub notifications follow\n"
        f"  more load           {shown} -m jobs.load transfer --rate=1000 --duration=60\n"
        f"  prove the ledger    {shown} -m jobs.audit transfer\n"
        f"  stop all of it      make down",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
