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


def end_flink_jobs(flink: str | None, request: Request) -> bool:
    """Cancel every Flink job that works for the request; whether Flink could be asked."""
    try:
        with FlinkRest(endpoints.resolve(flink=flink).flink, _ASK_S) as rest:
            for job in rest.jobs():
                ours = job["name"].startswith(f"subledger-{request.request_id}-a") or job["jid"] == request.flink_job_id
                if ours and job["state"] not in TERMINAL:
                    rest.cancel(job["jid"])
    except StackError as error:
        _LOG.info("Flink jobs of request %d: %s", request.request_id, error)
        return False
    return True
