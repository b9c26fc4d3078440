"""Jobs in the durable queue, put there in the transaction that needs them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from procrastinate import App, SyncPsycopgConnector

from florin_io.postgres import Connection
from transforms.subledger_db.model import Entity

RUN_TASK = "subledger.run"
INDEX_TASK = "subledger.index"
QUEUE, INDEX_QUEUE = "subledger", "subledger-index"

# Deferring needs no connection of its own: it is part of our transaction.
_QUEUE = App(connector=SyncPsycopgConnector())


def enqueue(connection: Connection, of: Entity, request_id: int) -> None:
    """Put a request into the queue; the entity's lock lets one run at a time, in order."""
    job = _QUEUE.configure_task(RUN_TASK, lock=of.lock, queue=QUEUE, connection=connection).defer(request_id=request_id)
    connection.execute("UPDATE request SET job_id = %s WHERE request_id = %s", (job, request_id))


def unqueue(connection: Connection, request_id: int) -> None:
    """Take the request's job out of the queue if it waits there; one that runs ends by itself."""
    row = connection.execute("SELECT job_id FROM request WHERE request_id = %s", (request_id,)).fetchone()
    if row and row[0] is not None:
        _QUEUE.job_manager.cancel_job_by_id(row[0], connection=connection)


def index_afterwards(connection: Connection, request_id: int) -> None:
    """Queue the making of the indexes that a published request does not wait for."""
    defer(connection, INDEX_TASK, INDEX_QUEUE, request_id=request_id)


def defer(
    connection: Connection, task: str, queue: str, *, schedule_at: datetime | None = None, **arguments: Any
) -> int:
    """Put a job into the queue; its number."""
    configured = _QUEUE.configure_task(task, queue=queue, connection=connection, schedule_at=schedule_at)
    return int(configured.defer(**arguments))
