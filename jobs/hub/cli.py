"""The hub's commands that look: golden cases, topics, positions, transfers, and what the job tells the world."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime

import click
from rich.console import Console

from florin_io.kafka.client import admin
from florin_io.kafka.topics import ensure
from florin_io.postgres import Database
from jobs.hub import manage, tail
from jobs.hub.shell import (
    REFUSED,
    USAGE,
    Guarded,
    Kafka,
    database_options,
    json_option,
    kafka_options,
    open_model,
    print_json,
    print_rows,
    shown,
)
from jobs.hub.topics import partitions_of
from transforms.transfers.golden import CaseError, load, run

_TRANSFER = ("transfer_id", "payer", "payee", "amount", "currency", "state", "code", "created_at")
_CHANGE = ("at", "state", "kind", "code", "description")
_ACCOUNT = ("participant", "currency", "position", "reserved", "cover", "ndc", "ndc_used_percent", "active")


@click.group(cls=Guarded)
def hub() -> None:
    """Run the hub of a payment switch: participants, funds, limits, positions, transfers.

    Exit codes: 0 done, 1 refused, not found or different, 2 wrong options, 3 a server, its topics or the job do not
    answer.
    """


manage.add_commands(hub)


@hub.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@json_option
def golden(files: tuple[str, ...], as_json: bool) -> None:
    """Run golden case FILES in this process and show what differs from what each expects."""
    console, failed, unusable = Console(highlight=False), 0, 0
    for path in files:
        try:
            case = load(path)
            differences = run(case)
        except CaseError as error:
            unusable += 1
            click.echo(f"error: {error}", err=True)
            continue
        failed += bool(differences)
        if as_json:
            print_json({"file": path, "name": case.name, "ok": not differences, "differences": differences})
        elif differences:
            console.print(f"[red]MISS[/red] {case.name} ({path})", soft_wrap=True)
            for line in differences:
                console.print(f"     {line}", markup=False, soft_wrap=True)
        else:
            console.print(f"[green]ok[/green]   {case.name}", soft_wrap=True)
    if not as_json and len(files) > 1:
        console.print(f"{len(files) - failed - unusable} ok, {failed} missed, {unusable} unusable")
    sys.exit(REFUSED if failed else USAGE if unusable else 0)


@hub.command()
@click.option("--create", is_flag=True, help="Make those that are missing.")
@click.option(
    "--partitions", type=click.IntRange(min=1), default=4, show_default=True, help="Shards; as given to the job."
)
@click.option("--replication", type=click.IntRange(min=1), default=1, show_default=True, help="Copies of each.")
@kafka_options
def topics(create: bool, partitions: int, replication: int, kafka: Kafka) -> None:
    """Check the job's topics, and make those that are missing with --create."""
    from jobs.transfer import topic_specs  # loads Beam, which takes seconds: only here

    specs = topic_specs(kafka.topics, partitions, replication)
    if not create:
        partitions_of(kafka.bootstrap, kafka.topics.prefix, (spec.name for spec in specs))
    made = set(ensure(admin(kafka.bootstrap), specs, create=create))
    for spec in specs:
        click.echo(f"{'made' if spec.name in made else 'ok':4}  {spec.name} ({spec.partitions} partitions)")


@hub.command()
@click.argument("participant", required=False)
@database_options
@json_option
def positions(participant: str | None, database: Database, as_json: bool) -> None:
    """Position, reservations, cover and NDC of every account, or of those of PARTICIPANT.

    At rest the positions of each currency sum to zero.
    """
    with open_model(database) as model:
        rows = model.positions(participant)
        totals = model.totals()
    if participant is not None and not rows:
        _not_found(f"the read model knows no account of {participant!r}")
    print_rows("Positions", rows, _ACCOUNT, as_json)
    if participant is None and not as_json:
        print_rows("Sums", totals, ("currency", "accounts", "position", "reserved", "cover"), False)


@hub.group()
def transfer() -> None:
    """Find transfers in the read model."""


@transfer.command()
@click.argument("transfer_id", required=False)
@click.option("--fsp", help="Payer or payee.")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="UTC day of the prepare.")
@click.option("--state", type=click.Choice(["RESERVED", "COMMITTED", "ABORTED", "INVALID"]), help="Current state.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Most transfers to show.")
@database_options
@json_option
def find(
    transfer_id: str | None, fsp: str | None, day: datetime | None, state: str | None, limit: int, database: Database,
    as_json: bool,
) -> None:  # fmt: skip
    """Find a transfer by TRANSFER_ID, or the latest by --fsp, --date and --state."""
    if transfer_id is not None and (fsp or day or state):
        raise click.UsageError("give either a TRANSFER_ID or --fsp, --date, --state")
    wanted: date | None = day.date() if day is not None else None
    with open_model(database) as model:
        rows = model.find_transfer(transfer_id) if transfer_id else model.find_transfers(fsp, wanted, state, limit)
    if not rows:
        _not_found("no such transfer in the read model")
    print_rows("Transfers", rows, _TRANSFER, as_json)


@transfer.command()
@click.argument("transfer_id")
@database_options
@json_option
def show(transfer_id: str, database: Database, as_json: bool) -> None:
    """One transfer with all its state changes."""
    with open_model(database) as model:
        rows, changes = model.find_transfer(transfer_id), model.state_changes(transfer_id)
    if not rows:
        _not_found(f"no transfer {transfer_id!r} in the read model")
    if as_json:
        for row in rows:
            own = [change for change in changes if change["partition"] == row["partition"]]
            print_json({**row, "changes": own})
        return
    for row in rows:
        for name, value in row.items():
            if value is not None and name != "partition":
                print_field(name, value)
        own = [change for change in changes if change["partition"] == row["partition"]]
        print_rows("State changes", own, _CHANGE, False)


def print_field(name: str, value: object) -> None:
    """A name and a value on a line."""
    click.echo(f"{name:12} {shown(value)}")


def _not_found(message: str) -> None:
    click.echo(message, err=True)
    sys.exit(REFUSED)


def _follow(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the commands that show a topic as it grows."""
    for option in (
        json_option,
        kafka_options,
        click.option("--limit", type=click.IntRange(min=1), help="Stop after so many."),
        click.option("--from-start", is_flag=True, help="All there are, then on; otherwise from now on."),
    ):
        command = option(command)
    return command


@hub.group()
def notifications() -> None:
    """What the job tells DFSPs."""


@notifications.command("follow")
@click.option("--fsp", help="Only from or to this DFSP.")
@_follow
def follow_notifications(fsp: str | None, from_start: bool, limit: int | None, kafka: Kafka, as_json: bool) -> None:
    """Show notifications as they come."""
    found = tail.records(kafka, kafka.topics.notifications, from_start=from_start, follow=True)
    _print_all(filter(tail.is_about(fsp), found), tail.notification_line, as_json, limit)


@hub.group()
def events() -> None:
    """Every change of every account."""


@events.command("follow")
@click.option("--account", help="Only of this account, as dfsp1/USD.")
@_follow
def follow_events(account: str | None, from_start: bool, limit: int | None, kafka: Kafka, as_json: bool) -> None:
    """Show events as they come."""
    found = tail.records(kafka, kafka.topics.events, from_start=from_start, follow=True)
    wanted = (event for event in found if account is None or event.get("account") == account)
    _print_all(wanted, tail.event_line, as_json, limit)


@hub.group("dead-letters")
def dead_letters() -> None:
    """Records the job could not handle, each with reason, remedy and bytes."""


@dead_letters.command("follow")
@kafka_options
@json_option
def follow_dead_letters(kafka: Kafka, as_json: bool) -> None:
    """Show dead letters as they come."""
    found = tail.records(kafka, kafka.topics.dead_letters, from_start=False, follow=True)
    _print_all(found, tail.dead_letter_line, as_json, None)


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@kafka_options
@json_option
def list_dead_letters(limit: int | None, kafka: Kafka, as_json: bool) -> None:
    """Show all dead letters there are."""
    found = tail.records(kafka, kafka.topics.dead_letters, from_start=True, follow=False)
    count = _print_all(found, tail.dead_letter_line, as_json, limit)
    if not as_json:
        click.echo(f"{count} dead letters", err=True)


def _print_all(
    found: Iterator[tail.Record], line: Callable[[tail.Record], str], as_json: bool, limit: int | None
) -> int:
    """Print records until there are no more or `limit` is reached; returns how many."""
    count = 0
    for record in found:
        if as_json:
            print_json(record)
        else:
            click.echo(line(record) if "unreadable" not in record else f"unreadable record: {record['unreadable']!r}")
        count += 1
        if count == limit:
            break
    return count
