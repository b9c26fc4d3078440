"""The commands about requests: submit, schedule, run, status, cancel, retry, reverse."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from florin_io.endpoints import home
from florin_io.objects import ObjectStore
from florin_io.postgres import Connection
from jobs.hub.shell import json_option, print_json, print_rows
from jobs.subledger import queue, watch
from jobs.subledger.endings import end_flink_jobs
from jobs.subledger.shell import REFUSED, Guarded, as_arguments, connected, load_options, the_database
from jobs.subledger.submitting import absolute, at_time, submission
from jobs.subledger.tables import print_table
from transforms.subledger_db import requests, reversal, scheduling, staging
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.status import Status

_ERROR_SHOWN = 80


def submission_options(command: Any) -> Any:
    """What to load, as one argument `told` (a dictionary)."""

    @click.argument("files", nargs=-1, metavar="[FILES]...")
    @click.option("--manifest", metavar="URL", help="JSON that lists the files, instead of FILES.")
    @click.option("--tenant", help="Whose books. [the manifest's]")
    @click.option("--entity", help="Which books of it. [the manifest's]")
    @click.option("--source", help="System that the ids of the rows belong to. [the manifest's, ledger]")
    @click.option("--balances", metavar="URL", help="Closing balances to reconcile with. [the manifest's]")
    @click.option("--rules", metavar="VERSION", help="Posting rules by their sha256, or its beginning. [the tenant's]")
    @click.option("--max-attempts", type=click.IntRange(min=1), default=5, show_default=True,
                  help="How often it is tried when servers fail.")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any, files: tuple[str, ...], manifest: str | None, tenant: str | None, entity: str | None,
        source: str | None, balances: str | None, rules: str | None, max_attempts: int, **named: Any,
    ) -> Any:  # fmt: skip
        told = {
            "files": [absolute(name) for name in files], "manifest": manifest and absolute(manifest), "tenant": tenant,
            "entity": entity, "source": source, "supplied": balances and absolute(balances), "rules": rules,
            "max_attempts": max_attempts,
        }  # fmt: skip
        return command(*args, told=told, **named)

    return wrapped


@click.command()
@submission_options
@click.option("--key", help="Idempotency key: the same one never loads twice. [the content's hash]")
@json_option
@connected
def submit(connection: Connection, told: dict[str, Any], key: str | None, as_json: bool) -> None:
    """Queue a request to load FILES (paths or gs://bucket/name; * and ? in quotes), or those of a manifest.

    The same files again are the same request.
    """
    what = submission(connection, ObjectStore(), told, key=key)
    number, is_new = requests.submit(connection, what)
    state = requests.load(connection, number).state
    if as_json:
        print_json({"request": number, "new": is_new, "state": state, "files": len(what.files)})
        return
    if is_new:
        click.echo(f"request {number}: {what.tenant}/{what.entity}, {len(what.files)} files, queued")
        return
    click.echo(f"request {number} is the same, submitted before ({state}){_how_again(state, number)}")


def _how_again(state: str, number: int) -> str:
    if state in ("FAILED", "CANCELLED"):
        return f"; `python -m jobs.subledger retry {number}` tries it again"
    return "; with another --key it is loaded again" if state == "REVERSED" else ""


@click.group(cls=Guarded)
def schedule() -> None:
    """Requests that are submitted at set times (UTC) while a worker runs."""


@schedule.command("add")
@click.argument("name")
@submission_options
@click.option("--cron", help="'minute hour day month weekday', as '30 6 * * 1-5'.")
@click.option("--at", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]), help="Once, at this time (UTC).")
@click.option("--in-s", type=click.FloatRange(min=0), help="Once, so many seconds from now.")
@connected
def add_schedule(
    connection: Connection, name: str, told: dict[str, Any], cron: str | None, at: datetime | None, in_s: float | None
) -> None:
    """Make schedule NAME, or change it. %Y %m %d %H %M in file names stand for the scheduled time."""
    if sum(value is not None for value in (cron, at, in_s)) != 1:
        raise click.UsageError("give one of --cron, --at and --in-s")
    now = datetime.now(UTC)
    run_at = now + timedelta(seconds=in_s) if in_s is not None else at and at.replace(tzinfo=UTC)
    if run_at is not None and run_at < now:
        raise click.UsageError(f"--at {run_at:%Y-%m-%dT%H:%M:%S} is over: it is {now:%Y-%m-%dT%H:%M:%S} UTC")
    told = {key: value for key, value in told.items() if value}
    if run_at is not None:
        # Its time is known, so its files may be looked at now.
        what = submission(connection, ObjectStore(), at_time(told, run_at))
        told = {**told, "tenant": what.tenant, "entity": what.entity}
    if not {"tenant", "entity"} <= told.keys() or not told.keys() & {"manifest", "files"}:
        raise click.UsageError("give --tenant, --entity, and --manifest or FILES")
    scheduling.add(connection, told["tenant"], told["entity"], name, told, cron=cron, run_at=run_at)
    when = f"cron {cron}" if cron else f"once at {run_at:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"schedule {name}: {told['tenant']}/{told['entity']}, {when}")


@schedule.command("list")
@click.option("--tenant", help="Of this one only.")
@json_option
@connected
def list_schedules(connection: Connection, tenant: str | None, as_json: bool) -> None:
    """Schedules, and when each comes next."""
    now = datetime.now(UTC)
    rows = [
        {
            "tenant": one.tenant, "name": one.name, "entity": one.entity,
            "when": one.cron or f"{one.run_at:%Y-%m-%d %H:%M:%S}", "next": scheduling.next_time(one, now),
            "last": one.last_fired, "active": one.active, "error": one.last_error,
        }
        for one in scheduling.all_of(connection, tenant)
    ]  # fmt: skip
    print_rows("schedules", rows, ("tenant", "name", "entity", "when", "next", "last", "active", "error"), as_json)


@schedule.command("stop")
@click.argument("tenant")
@click.argument("name")
@connected
def stop_schedule(connection: Connection, tenant: str, name: str) -> None:
    """Let schedule NAME of TENANT submit nothing more."""
    scheduling.stop(connection, tenant, name)
    click.echo(f"schedule {name} of {tenant}: stopped")


@click.command()
@load_options
@click.option("--requests", "at_once", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Requests of different entities side by side.")  # fmt: skip
@click.option("--stalled-after", type=click.FloatRange(min=1), default=30, show_default=True,
              help="Seconds without sign of life after which another worker takes a request over.")  # fmt: skip
@click.option("--until-idle", is_flag=True, help="End when nothing waits, runs or is scheduled for one time.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(load: dict[str, Any], at_once: int, stalled_after: float, until_idle: bool, quiet: bool) -> None:
    """Take requests from the queue and run each as a job; submit what is scheduled. Any number of these may run.

    Ctrl-C lets running requests finish; Ctrl-C again ends them, and another worker takes them over.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    database = the_database()
    console = Console(highlight=False)
    command = [sys.executable, "-m", "jobs.subledger", f"--postgres={database.conninfo}"]
    command += [f"--schema={database.schema}", *as_arguments(load)]
    options = queue.WorkerOptions(
        database, home() / "logs" / "subledger", command, at_once, stalled_after, until_idle,
        say=lambda text: console.print(text, markup=False, soft_wrap=True),
    )  # fmt: skip
    if quiet:
        asyncio.run(queue.work(options))
        return
    with watch.watching(database, console):
        asyncio.run(queue.work(options))


@click.command()
@click.argument("numbers", nargs=-1, type=int, metavar="[REQUEST]...")
@click.option("--tenant", help="Of this one only.")
@click.option("--entity", help="Of this one only.")
@click.option("--state", type=click.Choice(["QUEUED", "RUNNING", "PUBLISHED", "FAILED", "CANCELLED", "REVERSED"]),
              help="Only those in it.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.option("--watch", "live", is_flag=True, help="A bar for each, until none waits or runs.")
@json_option
@connected
def status(
    connection: Connection, numbers: tuple[int, ...], tenant: str | None, entity: str | None, state: str | None,
    limit: int, live: bool, as_json: bool,
) -> None:  # fmt: skip
    """Requests: state, rows read, posted and rejected, rate, remaining time.

    With --watch it exits with 1 if one failed.
    """
    look = watch.current(tenant, entity, state, numbers, max(limit, len(numbers)))
    if live and not as_json:
        rows = watch.watch(the_database(), Console(highlight=False), look, watch.all_over)
        sys.exit(REFUSED if any(row.state == "FAILED" for row in rows) else 0)
    rows = look(connection)
    if len(numbers) > len(rows):
        missing = sorted(set(numbers) - {row.request for row in rows})
        raise LedgerError(f"there is no request {', '.join(map(str, missing))}")
    if as_json:
        for one in rows:
            print_json(one.to_json())
        return
    columns = ("request", "entity", "kind", "state", "attempt", "done", "read", "posted", "rejected", "duplicate",
               "rate", "left", "error")  # fmt: skip
    right = ("request", "attempt", "done", "read", "posted", "rejected", "duplicate", "rate", "left")
    print_table("requests", columns, [_cells(one) for one in rows], right=right)


def _cells(one: Status) -> list[str | Text]:
    return [
        str(one.request), f"{one.tenant}/{one.entity}", one.kind + (f" {one.target}" if one.target else ""),
        watch.state_text(one.state), str(one.attempt), "" if one.share is None else f"{one.share:.0%}",
        f"{one.rows_read:,}", f"{one.rows_posted:,}", f"{one.rows_rejected:,}", f"{one.rows_duplicate:,}",
        f"{one.rate:,.0f}/s" if one.attempt and one.rate else "", watch.seconds(one.remaining_s),
        (one.error or "").partition("\n")[0][:_ERROR_SHOWN],
    ]  # fmt: skip


@click.command()
@click.argument("numbers", nargs=-1, required=True, type=int, metavar="REQUEST...")
@click.option("--flink_master", "--flink-master", "flink", metavar="HOST:PORT",
              help="Flink's REST address. [FLORIN_FLINK, the local stack, localhost:8081]")  # fmt: skip
@connected
def cancel(connection: Connection, numbers: tuple[int, ...], flink: str | None) -> None:
    """End requests that wait or run: nothing of them is published, nothing of them is left."""
    for number in numbers:
        before = requests.cancel(connection, number)
        ended = before.state != "RUNNING" or end_flink_jobs(flink, the_database().schema, before)
        if not ended and before.flink_job_id:
            click.echo(
                f"request {number}: Flink does not answer; its job ends when it finds that it is fenced", err=True
            )
        dropped = staging.discard(connection, number)
        click.echo(f"request {number}: cancelled, {dropped} staged tables dropped")


@click.command()
@click.argument("numbers", nargs=-1, required=True, type=int, metavar="REQUEST...")
@click.option("--attempts", type=click.IntRange(min=1), default=5, show_default=True, help="So many more.")
@connected
def retry(connection: Connection, numbers: tuple[int, ...], attempts: int) -> None:
    """Queue failed or cancelled requests again."""
    for number in numbers:
        requests.retry(connection, number, attempts)
        click.echo(f"request {number}: queued")


@click.command()
@click.argument("number", type=int, metavar="REQUEST")
@click.option("--force-later", is_flag=True, help="Reverse the requests that depend on it, too, newest first.")
@connected
def reverse(connection: Connection, number: int, force_later: bool) -> None:
    """Queue the reversal of a published request: opposite entries, and the positions as they were before it."""
    made = reversal.submit_reversal(connection, number, force_later=force_later)
    for one in made:
        target = requests.load(connection, one).target_id
        click.echo(f"request {one}: reverses request {target}, queued")


COMMANDS = (submit, schedule, run, status, cancel, retry, reverse)
