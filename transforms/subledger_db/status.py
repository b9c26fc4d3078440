"""Requests as people want to see them: state, progress, rate, remaining time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from florin_io.postgres import Connection

_QUERY = """
    SELECT r.request_id, t.name, e.name, r.kind, r.state, r.attempt, coalesce(w.stage, r.stage), r.rows_total,
        r.bytes_total, greatest(r.rows_read, coalesce(w.rows_read, 0)),
        greatest(r.bytes_read, coalesce(w.bytes_read, 0)), greatest(r.rows_posted, coalesce(w.rows_posted, 0)),
        greatest(r.rows_rejected, coalesce(w.rows_rejected, 0)),
        greatest(r.rows_duplicate, coalesce(w.rows_duplicate, 0)), r.lines_posted,
        extract(epoch FROM coalesce(r.finished_at, now()) - coalesce(r.attempt_at, r.submitted_at))::float8,
        extract(epoch FROM now() - r.heartbeat_at)::float8, r.submitted_at, r.finished_at, r.target_id, r.periods,
        r.flink_job_id, r.error
    FROM request r JOIN entity e USING (entity_id) JOIN tenant t ON t.tenant_id = r.tenant_id
        LEFT JOIN LATERAL (
            SELECT sum(p.rows_read)::bigint AS rows_read, sum(p.bytes_read)::bigint AS bytes_read,
                sum(p.rows_posted)::bigint AS rows_posted, sum(p.rows_rejected)::bigint AS rows_rejected,
                sum(p.rows_duplicate)::bigint AS rows_duplicate,
                (array_agg(p.stage ORDER BY p.at DESC) FILTER (WHERE p.stage IS NOT NULL))[1] AS stage
            FROM progress p WHERE p.request_id = r.request_id AND p.attempt = r.attempt AND r.state = 'RUNNING'
        ) w ON true
    WHERE (%(ids)s::bigint[] IS NULL OR r.request_id = ANY(%(ids)s))
        AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s) AND (%(entity)s::text IS NULL OR e.name = %(entity)s)
        AND (%(state)s::text IS NULL OR r.state = %(state)s)
    ORDER BY r.request_id DESC LIMIT %(limit)s"""


@dataclass(frozen=True)
class Status:
    """One request now. Seconds are of the attempt that runs or ran last."""

    request: int
    tenant: str
    entity: str
    kind: str
    state: str
    attempt: int
    stage: str | None
    rows_total: int | None
    bytes_total: int | None
    rows_read: int
    bytes_read: int
    rows_posted: int
    rows_rejected: int
    rows_duplicate: int
    lines_posted: int
    seconds: float
    heartbeat_s: float | None
    submitted_at: datetime
    finished_at: datetime | None
    target: int | None
    periods: list[int]
    flink_job: str | None
    error: str | None
    recent: tuple[int, int, float] | None = None
    """Rows read and rows finished over the last so many seconds, if somebody watched."""

    @property
    def done(self) -> int:
        """Rows that are finished: posted, rejected or duplicate."""
        return self.rows_posted + self.rows_rejected + self.rows_duplicate

    @property
    def total(self) -> int | None:
        """Rows of the request; by bytes while they are not known."""
        if self.rows_total is None and self.bytes_total and self.bytes_read:
            return max(self.rows_read * self.bytes_total // self.bytes_read, 1)
        return self.rows_total

    @property
    def share(self) -> float | None:
        """Part of the work that is done: a row is read once and posted once."""
        if self.state in ("PUBLISHED", "REVERSED"):
            return 1.0
        return min((self.rows_read + self.done) / (2 * self.total), 1.0) if self.total else None

    @property
    def rate(self) -> float:
        """Rows a second: through to the end once it is over, of the step that runs until then."""
        if self.recent is not None:
            read, done, seconds = self.recent
            return (done or read) / seconds
        rows = self.done if self.state != "RUNNING" or self.done else self.rows_read
        return rows / self.seconds if self.seconds > 0 and self.attempt else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until it is done at the pace so far."""
        if self.state != "RUNNING" or not self.total or not self.share or self.share >= 1:
            return None
        if self.recent is not None:
            read, done, seconds = self.recent
            return seconds * (2 * self.total - self.rows_read - self.done) / (read + done) if read + done else None
        return self.seconds * (1 - self.share) / self.share

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        told = asdict(self)
        del told["recent"]
        for name in ("submitted_at", "finished_at"):
            told[name] = told[name] and told[name].isoformat()
        return {**told, "share": self.share, "rate": round(self.rate, 1), "remaining_s": self.remaining_s}


def requests_now(
    connection: Connection, ids: list[int] | None = None, *, tenant: str | None = None, entity: str | None = None,
    state: str | None = None, limit: int = 20,
) -> list[Status]:  # fmt: skip
    """Requests with these properties, the newest `limit` of them, oldest first."""
    given = {"ids": ids, "tenant": tenant, "entity": entity, "state": state, "limit": limit}
    return [Status(*row) for row in connection.execute(_QUERY, given).fetchall()][::-1]
