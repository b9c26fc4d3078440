"""Schedules: rows that say what is submitted when, by a cron expression in UTC or once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from croniter import croniter

from florin_io.postgres import Connection
from transforms.subledger_db import queueing, requests
from transforms.subledger_db.model import LedgerError

FIRE_TASK = "subledger.fire"
TICK_TASK = "subledger.tick"
SCHEDULE_QUEUE = "subledger-schedule"
# A worker that was away longer does not submit all that it missed at once.
_MOST_MISSED = 100


@dataclass(frozen=True)
class Schedule:
    """One schedule; `cron` or `run_at`."""

    schedule_id: int
    tenant: str
    entity: str
    name: str
    cron: str | None
    run_at: datetime | None
    template: dict[str, Any]
    active: bool
    last_fired: datetime | None
    last_error: str | None
    created_at: datetime


_SELECT = """
    SELECT s.schedule_id, t.name, e.name, s.name, s.cron, s.run_at, s.template, s.active, s.last_fired, s.last_error,
        s.created_at
    FROM schedule s JOIN entity e USING (entity_id) JOIN tenant t ON t.tenant_id = s.tenant_id"""


def add(
    connection: Connection, tenant: str, entity: str, name: str, template: Mapping[str, Any], *,
    cron: str | None = None, run_at: datetime | None = None,
) -> int:  # fmt: skip
    """Make a schedule or put another one in the place of the one of this name; its number. Raises LedgerError."""
    if cron is not None and (len(cron.split()) != 5 or not croniter.is_valid(cron)):
        raise LedgerError(f"cron {cron!r}: minute hour day month weekday, as in '30 6 * * 1-5' (UTC)")
    of = requests.entity(connection, tenant, entity)
    with connection.transaction():
        row = connection.execute(
            """
            INSERT INTO schedule AS s (tenant_id, entity_id, name, cron, run_at, template)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (tenant_id, name) DO UPDATE SET entity_id = excluded.entity_id, cron = excluded.cron,
                run_at = excluded.run_at, template = excluded.template, active = true, last_error = NULL,
                last_fired = NULL, created_at = now()
            RETURNING schedule_id""",
            (of.tenant_id, of.entity_id, name, cron, run_at, json.dumps(dict(template))),
        ).fetchone()
        assert row is not None
        if run_at is not None:
            queueing.defer(
                connection, FIRE_TASK, SCHEDULE_QUEUE, schedule_at=run_at, schedule_id=row[0], at=run_at.timestamp()
            )
    return int(row[0])


def stop(connection: Connection, tenant: str, name: str) -> None:
    """Let a schedule submit nothing more. Raises LedgerError if there is none of this name."""
    done = connection.execute(
        "UPDATE schedule SET active = false WHERE name = %s AND tenant_id = "
        "(SELECT tenant_id FROM tenant WHERE name = %s)",
        (name, tenant),
    )
    if done.rowcount != 1:
        raise LedgerError(f"tenant {tenant!r} has no schedule {name!r}; `schedule list` shows them")


def get(connection: Connection, schedule_id: int) -> Schedule | None:
    """A schedule that is active."""
    row = connection.execute(f"{_SELECT} WHERE s.schedule_id = %s AND s.active".encode(), (schedule_id,)).fetchone()
    return None if row is None else Schedule(*row)


def all_of(connection: Connection, tenant: str | None = None) -> list[Schedule]:
    """All schedules, or one tenant's."""
    found = connection.execute(f"{_SELECT} WHERE %s::text IS NULL OR t.name = %s ORDER BY 1".encode(), (tenant, tenant))
    return [Schedule(*row) for row in found.fetchall()]


def due(connection: Connection, until: float) -> list[tuple[Schedule, datetime]]:
    """What schedules have to submit up to a time: also what was missed while no worker ran, or failed before."""
    found = []
    for schedule in all_of(connection):
        if not schedule.active:
            continue
        if schedule.cron is None:
            if schedule.run_at is not None and schedule.run_at.timestamp() <= until:
                found.append((schedule, schedule.run_at))
            continue
        since = schedule.last_fired or schedule.created_at
        times = croniter(schedule.cron, since.astimezone(UTC))
        for _ in range(_MOST_MISSED):
            at = times.get_next(datetime)
            if at.timestamp() > until:
                break
            found.append((schedule, at))
    return found


def next_time(schedule: Schedule, now: datetime) -> datetime | None:
    """When it submits next."""
    if not schedule.active:
        return None
    return schedule.run_at if schedule.cron is None else croniter(schedule.cron, now).get_next(datetime)


def fired(connection: Connection, schedule: Schedule, at: datetime, error: str | None) -> None:
    """Note that a schedule submitted (or could not) what was due at a time; one that runs once is over."""
    connection.execute(
        "UPDATE schedule SET last_fired = greatest(last_fired, %s), last_error = %s, "
        "active = active AND cron IS NOT NULL WHERE schedule_id = %s",
        (at, error, schedule.schedule_id),
    )


def failed(connection: Connection, schedule: Schedule, error: str) -> None:
    """Note why a schedule could not submit; what was due stays due."""
    connection.execute("UPDATE schedule SET last_error = %s WHERE schedule_id = %s", (error, schedule.schedule_id))
