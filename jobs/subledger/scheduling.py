"""What the worker does for schedules: submits what is due, once for each time."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from florin_io.objects import ObjectStore, ObjectStoreError
from florin_io.postgres import Connection
from jobs.subledger.submitting import at_time, submission
from transforms.subledger_db import requests, scheduling
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.scheduling import Schedule
from transforms.subledger_db.schema import LedgerDatabase

_LOG = logging.getLogger(__name__)
# Files that are late are waited for, so long; what comes after them waits too, for lots depend on the order.
_GIVE_UP_S = 3 * 24 * 3600.0


def tick(database: LedgerDatabase, timestamp: float) -> int:
    """Submit what schedules had to submit up to a time; how many requests were made."""
    with database.connect(application="florin subledger schedules") as connection:
        made = 0
        stuck = set[int]()
        for schedule, at in scheduling.due(connection, timestamp):
            if schedule.schedule_id in stuck:
                continue  # in order: what came before it has not been submitted yet
            if _submit(connection, schedule, at, timestamp):
                made += 1
            elif (scheduling.get(connection, schedule.schedule_id) or schedule).last_fired != at:
                stuck.add(schedule.schedule_id)
        return made


def fire(database: LedgerDatabase, schedule_id: int, at: float) -> str:
    """Submit what was scheduled for one time; what keeps it from being submitted now is tried again by `tick`."""
    with database.connect(application="florin subledger schedules") as connection:
        schedule = scheduling.get(connection, schedule_id)
        if schedule is None or schedule.run_at is None or abs(schedule.run_at.timestamp() - at) > 1:
            return "stopped or changed meanwhile"
        return "submitted" if _submit(connection, schedule, schedule.run_at, at) else "not yet"


def _submit(connection: Connection, schedule: Schedule, at: datetime, now: float) -> bool:
    """Whether the request is in the queue. One that fails is tried again by the next tick, for three days."""
    key = f"schedule:{schedule.schedule_id}:{int(at.timestamp())}"
    told = {**at_time(schedule.template, at.astimezone(UTC)), "tenant": schedule.tenant, "entity": schedule.entity}
    try:
        what = submission(connection, ObjectStore(), told, key=key, schedule_id=schedule.schedule_id)
        number, _ = requests.submit(connection, what)
    except (LedgerError, FileNotFoundError, ObjectStoreError) as error:
        _LOG.warning("schedule %s of %s, %s: %s", schedule.name, schedule.tenant, at.isoformat(), error)
        late = now - at.timestamp() >= _GIVE_UP_S
        told_why = f"{at.isoformat()}: {error}"
        if late:
            scheduling.fired(connection, schedule, at, told_why)
        else:
            scheduling.failed(connection, schedule, told_why)
        return False
    _LOG.info("schedule %s of %s: request %d", schedule.name, schedule.tenant, number)
    scheduling.fired(connection, schedule, at, None)
    return True
