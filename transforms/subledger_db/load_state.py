"""How all requests stand together, for whoever watches the subledger as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from florin_io.postgres import Connection
from transforms.subledger_db.model import STATES

_REQUESTS = """
    SELECT state, count(*), coalesce(sum(rows_posted), 0)::bigint, coalesce(sum(rows_rejected), 0)::bigint,
        coalesce(sum(rows_duplicate), 0)::bigint,
        coalesce(max(extract(epoch FROM now() - coalesce(attempt_at, submitted_at)))::float8, 0),
        coalesce(max(extract(epoch FROM now() - heartbeat_at))::float8, 0)
    FROM request GROUP BY state"""


@dataclass(frozen=True)
class StateTotals:
    """All requests of one state. Seconds: since the oldest's last attempt began or it was submitted, and since the
    longest silence of a process that works at one."""

    requests: int
    rows_posted: int
    rows_rejected: int
    rows_duplicate: int
    oldest_s: float
    silent_s: float


def totals_by_state(connection: Connection) -> dict[str, StateTotals]:
    """Totals of every state, also of those no request is in."""
    found = {state: StateTotals(*numbers) for state, *numbers in connection.execute(_REQUESTS)}
    return {state: found.get(state, StateTotals(0, 0, 0, 0, 0.0, 0.0)) for state in STATES}
