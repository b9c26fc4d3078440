"""How attempts end: exit codes of their processes, and the end of the Flink jobs that work for them."""

from __future__ import annotations

import logging

from flink.errors import StackError
from flink.rest import TERMINAL, FlinkRest
from florin_io import endpoints
from transforms.subledger_db.model import Request

_LOG = logging.getLogger(__name__)

PUBLISHED = 0
"""In the books, or nothing was left to do."""
REFUSED = 1
"""Failed for good."""
TAKEN_OVER = 5
"""Cancelled, or another attempt has begun."""
BUSY = 6
"""Not its turn."""
TRY_AGAIN = 75
"""Failed for now."""
_ASK_S = 10.0


def job_name(schema: str, request_id: int, attempt: int | str = "") -> str:
    """What Flink calls an attempt's job; without an attempt, what the names of all of them begin with.

    Requests are numbered in each schema, and several may share a Flink.
    """
    return f"{schema}-{request_id}-a{attempt}"


def end_flink_jobs(flink: str | None, schema: str, request: Request) -> bool:
    """Cancel every Flink job that works for the schema's request; whether Flink could be asked."""
    ours = job_name(schema, request.request_id)
    try:
        with FlinkRest(endpoints.resolve(flink=flink).flink, _ASK_S) as rest:
            for job in rest.jobs():
                named = job["name"].startswith(ours) or job["jid"] == request.flink_job_id
                if named and job["state"] not in TERMINAL:
                    rest.cancel(job["jid"])
    except StackError as error:
        _LOG.info("Flink jobs of request %d: %s", request.request_id, error)
        return False
    return True
