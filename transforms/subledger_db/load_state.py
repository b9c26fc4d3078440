"""How all requests stand together, for whoever watches the subledger as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from florin_io.postgres import Connection
from transforms.subledger_db.model import STATES, LedgerError
from transforms.subledger_db.schema import current_schema, is_role

_COLUMNS = ("state", "rows_posted", "rows_rejected", "rows_duplicate", "submitted_at", "attempt_at", "heartbeat_at")

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
    """Totals of every state, also of those no request is in. For loaders, and who `let_watch` has let."""
    found = {state: StateTotals(*numbers) for state, *numbers in connection.execute(_REQUESTS)}
    return {state: found.get(state, StateTotals(0, 0, 0, 0, 0.0, 0.0)) for state in STATES}


def let_watch(connection: Connection, role: str) -> None:
    """Let `role` make these totals: states, times and numbers of rows of all tenants' requests, and nothing else.

    `connection` is a loader's. Repeatable. Raises LedgerError for a role that is not there.
    """
    if not is_role(connection, role):
        raise LedgerError(f'there is no role {role}: CREATE ROLE "{role}" LOGIN makes it')
    name = sql.Identifier(role)
    with connection.transaction():
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(current_schema(connection), name))
        columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        connection.execute(sql.SQL("GRANT SELECT ({}) ON request TO {}").format(columns, name))
        # Without a policy it would see no rows, and no error.
        policy = sql.Identifier(f"watch_{role}")
        connection.execute(sql.SQL("DROP POLICY IF EXISTS {} ON request").format(policy))
        connection.execute(sql.SQL("CREATE POLICY {} ON request FOR SELECT TO {} USING (true)").format(policy, name))
