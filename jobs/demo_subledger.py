"""`make subledger`: the subledger on this machine: a million ledger entries of two tenants, every step a command shown.

    python -m jobs.demo_subledger

Starts the local stack with its object store, writes compressed ledger files to it, queues two requests and schedules
a third, runs them on Flink with a bar for each, and prints the trial balances and what was reconciled. What already
runs is used as it is; each run has entities of its own. Ctrl-C stops what this command started.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console

from flink.paths import home
from flink.postgres import psql_line
from florin_io import endpoints
from jobs.demo import StepFailed, demonstrate, python_shown, step

CLOSED, LAST = "202512", "202602"
IN_S = 5
_RUNS = "subledger-demo.json"
"""File in the run folder with the number of runs that came to their end."""


@dataclass(frozen=True)
class Books:
    """An entity of the demonstration, and how many requests it gets."""

    tenant: str
    entity: str
    currency: str
    lots: str
    requests: int


def books_of(run: int) -> list[Books]:
    """The entities of a run, counted from 1."""
    number = "" if run == 1 else f"-{run}"
    return [
        Books("acme", f"ACME-EQ{number}", "USD", "FIFO", 2),
        Books("globex", f"GLOBEX-FUND{number}", "EUR", "AVERAGE", 1),
    ]


@click.command()
@click.option("--entries", default=1_000_000, show_default=True, help="Ledger entries of all requests together.")
def main(entries: int) -> None:
    """Load ledger files of two tenants on this machine."""
    demonstrate(lambda console: _demonstrate(entries, console))


def _demonstrate(entries: int, console: Console) -> int:
    step(console, "flink", "up")
    place = home() / _RUNS
    run = 1 + (json.loads(place.read_text())["runs"] if place.exists() else 0)
    books = books_of(run)
    files = f"gs://florin-ledger/demo-{entries}"
    each = entries // sum(one.requests for one in books)
    for one in books:
        _set_up(one, each, files, console)
    for one in books:
        step(console, "jobs.subledger", "submit", f"--manifest={_manifest(files, one, 1)}")
    for one in books:
        if one.requests > 1 and len(_requests(one)) < one.requests:
            manifest = f"--manifest={_manifest(files, one, 2)}"
            step(console, "jobs.subledger", "schedule", "add", f"second-{run}", manifest, f"--in-s={IN_S}")
    # Each with one worker, so that two run side by side on two cores.
    step(
        console, "jobs.subledger", "run", "--until-idle", "--parallelism=1", "--connections=1",
        "--audit=gs://florin-audit/demo",
    )  # fmt: skip
    code = _show_results(books, console)
    place.write_text(json.dumps({"runs": run}))
    return code


def _manifest(files: str, one: Books, number: int) -> str:
    return f"{files}/{one.tenant}/{one.entity}/request-{number}/manifest.json"


def _set_up(one: Books, entries: int, files: str, console: Console) -> None:
    """Files, tenant, entity and periods; what is there already stays."""
    whose = f"--entity={one.tenant}/{one.entity}/{one.currency}/{one.lots}"
    step(
        console, "jobs.load", "subledger", f"--entries={entries}", whose, f"--requests={one.requests}", f"--out={files}"
    )
    step(console, "jobs.subledger", "tenant", "add", one.tenant)
    told = (f"--currency={one.currency}", f"--lots={one.lots}", f"--periods={CLOSED}..{LAST}")
    step(console, "jobs.subledger", "entity", "add", one.tenant, one.entity, *told)
    step(console, "jobs.subledger", "period", "close", one.tenant, one.entity, CLOSED)


def _show_results(books: list[Books], console: Console) -> int:
    step(console, "jobs.subledger", "status")
    for one in books:
        step(console, "jobs.subledger", "report", "trial-balance", one.tenant, one.entity)
    requests = [request for one in books for request in _requests(one)]
    for request in requests:
        step(console, "jobs.subledger", "report", "reconciliation", str(request["request"]))
    published = [request for request in requests if request["state"] == "PUBLISHED"]
    _show_where(books[0], published[-1]["request"] if published else None, console)
    return 0 if len(published) == sum(one.requests for one in books) else 1


def _requests(one: Books) -> list[dict[str, Any]]:
    """The requests of an entity, oldest first. Raises StepFailed."""
    command = [sys.executable, "-m", "jobs.subledger", "status", "--json"]
    command += ["--tenant", one.tenant, "--entity", one.entity]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise StepFailed(" ".join(command[1:]), done.returncode)
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(rows, key=lambda row: int(row["request"]))


def _show_where(one: Books, request: int | None, console: Console) -> None:
    shown, books = python_shown(), f"{one.tenant} {one.entity}"
    found = endpoints.resolve()
    psql = psql_line(int(found.postgres.rsplit(":", 1)[1].partition("/")[0]))
    console.print(
        f"\nEverything still runs. Where to look:\n"
        f"  Flink's web UI      {found.flink}\n"
        f"  the requests        {shown} -m jobs.subledger status\n"
        f"  rejected rows       {shown} -m jobs.subledger report rejects {request or 'REQUEST'}\n"
        f"  an account          {shown} -m jobs.subledger report statement {books} 1200 --limit 20\n"
        f"  open lots, gains    {shown} -m jobs.subledger report lots {books}\n"
        f"  take a request back {shown} -m jobs.subledger reverse {request or 'REQUEST'}\n"
        f"  psql                {psql}\n"
        f"    set search_path = subledger; \\d\n"
        f"    select account, currency, sum(side * accounted) from je_line group by 1, 2 order by 1, 2;\n"
        f"  stop all of it      make down",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
