"""Requests: submitted once per key, looked up, taken into an attempt, and ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from florin_io.postgres import Connection
from transforms.subledger_db import publish, queueing, staging
from transforms.subledger_db.model import Busy, Check, Entity, Fenced, LedgerError, Request

_REQUEST = """
    SELECT r.request_id, r.entity_seq, r.kind, r.state, r.attempt, r.max_attempts, r.idempotency_key, r.source, r.files,
        r.supplied, r.options, r.target_id, s.text, s.version, s.basis, r.flink_job_id, r.error, r.submitted_at,
        e.entity_id, e.tenant_id, t.name, e.name, e.base_currency, e.lot_method, e.reject_share,
        ARRAY(SELECT ARRAY[p.period, (p.state = 'OPEN')::integer] FROM period p
              WHERE p.entity_id = e.entity_id ORDER BY p.period)
    FROM request r JOIN entity e USING (entity_id) JOIN tenant t ON t.tenant_id = e.tenant_id
        LEFT JOIN rule_set s ON s.rule_set_id = r.rule_set_id
    WHERE r.request_id = %s"""


@dataclass(frozen=True)
class Submission:
    """What is asked for. `key` makes it happen once; without one the content is its own key.

    `files`: name (a path, or gs://bucket/name), and as far as known size, sha256, rows, compression.
    """

    tenant: str
    entity: str
    source: str = "ledger"
    files: list[dict[str, Any]] = field(default_factory=list)
    supplied: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    rules_version: str | None = None
    kind: str = "LOAD"
    target_id: int | None = None
    max_attempts: int = 5
    schedule_id: int | None = None

    def digest(self) -> bytes:
        """sha256 of what a request with the same key must be the same in."""
        told = {
            "tenant": self.tenant, "entity": self.entity, "source": self.source, "files": self.files,
            "supplied": self.supplied, "kind": self.kind, "target": self.target_id, "rules": self.rules_version,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def entity(connection: Connection, tenant: str, name: str) -> Entity:
    """An entity by its names. Raises LedgerError."""
    found = connection.execute(
        "SELECT e.entity_id, e.tenant_id, t.name, e.name, e.base_currency, e.lot_method, e.reject_share "
        "FROM entity e JOIN tenant t USING (tenant_id) WHERE t.name = %s AND e.name = %s",
        (tenant, name),
    ).fetchone()
    if found is None:
        raise LedgerError(
            f"tenant {tenant!r} has no entity {name!r}; make it with `python -m jobs.subledger entity add {tenant} "
            f"{name} --currency CODE`"
        )
    return Entity(*found)


def load(connection: Connection, request_id: int) -> Request:
    """A request as it stands. Raises LedgerError if there is none."""
    row = connection.execute(_REQUEST, (request_id,)).fetchone()
    if row is None:
        raise LedgerError(f"there is no request {request_id}; `python -m jobs.subledger status` lists them")
    (number, seq, kind, state, attempt, most, key, source, files, supplied, options, target, text, version, basis,
     flink_job, error, submitted, *of_entity, periods) = row  # fmt: skip
    return Request(
        number, Entity(*of_entity), seq, kind, state, attempt, most, key, source or "ledger", files, supplied, options,
        target, text or "", version or "", basis or "", tuple((period, bool(is_open)) for period, is_open in periods),
        flink_job, error, submitted,
    )  # fmt: skip


def submit(connection: Connection, what: Submission) -> tuple[int, bool]:
    """Queue a request; its number, and whether it is new. The same key with the same content is the same request.

    Raises LedgerError if the key was used for something else, or if tenant, entity or rules are missing.
    """
    of = entity(connection, what.tenant, what.entity)
    digest = what.digest()
    key = what.key or f"content:{digest.hex()}"
    with connection.transaction():
        rules = _rules(connection, of, what.rules_version) if what.kind != "REVERSE" else None
        row = connection.execute(
            """
            INSERT INTO request (tenant_id, entity_id, kind, idempotency_key, content_sha, source, files, supplied,
                options, rule_set_id, target_id, schedule_id, max_attempts, rows_total, bytes_total)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (tenant_id, idempotency_key) DO NOTHING RETURNING request_id""",
            (
                of.tenant_id, of.entity_id, what.kind, key, digest, what.source, json.dumps(what.files), what.supplied,
                json.dumps(dict(what.options)), rules, what.target_id, what.schedule_id, what.max_attempts,
                _sum(what.files, "rows"), _sum(what.files, "size"),
            ),
        ).fetchone()  # fmt: skip
        if row is None:
            return _same(connection, of, key, digest), False
        queueing.enqueue(connection, of, row[0])
    return int(row[0]), True


def _sum(files: Iterable[Mapping[str, Any]], name: str) -> int | None:
    known = [file.get(name) for file in files]
    return None if None in known or not known else sum(int(one) for one in known if one is not None)


def _rules(connection: Connection, of: Entity, version: str | None) -> int:
    if version is None:
        found = connection.execute("SELECT rule_set_id FROM tenant WHERE tenant_id = %s", (of.tenant_id,)).fetchone()
    else:
        found = connection.execute(
            "SELECT rule_set_id FROM rule_set WHERE tenant_id = %s AND starts_with(encode(sha256, 'hex'), %s)",
            (of.tenant_id, version),
        ).fetchone()
    if found is None or found[0] is None:
        named = f"rules {version!r}" if version else "rules"
        raise LedgerError(
            f"tenant {of.tenant!r} has no {named}; load them with "
            f"`python -m jobs.subledger rules load {of.tenant} FILE`"
        )
    return int(found[0])


def _same(connection: Connection, of: Entity, key: str, digest: bytes) -> int:
    found = connection.execute(
        "SELECT request_id, content_sha, state FROM request WHERE tenant_id = %s AND idempotency_key = %s",
        (of.tenant_id, key),
    ).fetchone()
    assert found is not None
    if bytes(found[1]) != digest:
        raise LedgerError(
            f"key {key!r} was used for request {found[0]}, which asks for something else "
            f"({found[2]}); give another --key"
        )
    return int(found[0])


def begin_attempt(connection: Connection, request_id: int, stale_after_s: float = 0) -> Request | None:
    """Take a request that waits, or whose runner is gone, into its next attempt; None if there is nothing left to do.

    From here on an earlier attempt can publish nothing. Raises Busy if its runner showed itself in the last
    `stale_after_s` seconds, or if another request of the entity runs.
    """
    with connection.transaction():
        row = connection.execute(
            """
            SELECT state, entity_id, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 FROM request
            WHERE request_id = %s FOR NO KEY UPDATE""",
            (request_id,),
        ).fetchone()
        if row is None or row[0] not in ("QUEUED", "RUNNING"):
            return None
        if row[0] == "RUNNING" and row[2] < stale_after_s:
            raise Busy(f"request {request_id} runs: it showed itself {row[2]:.0f} s ago")
        other = connection.execute(
            "SELECT request_id FROM request WHERE entity_id = %s AND state = 'RUNNING' AND request_id <> %s",
            (row[1], request_id),
        ).fetchone()
        if other is not None:
            raise Busy(f"request {other[0]} of the same entity runs: one at a time")
        connection.execute(
            """
            WITH numbered AS (
                UPDATE entity SET next_seq = next_seq + 1 WHERE entity_id = %s RETURNING next_seq - 1 AS seq)
            UPDATE request SET state = 'RUNNING', attempt = attempt + 1, entity_seq = numbered.seq, stage = 'starting',
                started_at = coalesce(started_at, now()), attempt_at = now(), heartbeat_at = now(), finished_at = NULL,
                rows_read = 0, rows_posted = 0, rows_rejected = 0, rows_duplicate = 0, bytes_read = 0
            FROM numbered WHERE request_id = %s""",
            (row[1], request_id),
        )
        return load(connection, request_id)


def heartbeat(connection: Connection, request_id: int, attempt: int) -> bool:
    """Say that the attempt's runner lives; False if the request was cancelled or taken over, and it has to stop."""
    return (
        connection.execute(
            "UPDATE request SET heartbeat_at = now() WHERE request_id = %s AND attempt = %s AND state = 'RUNNING'",
            (request_id, attempt),
        ).rowcount
        == 1
    )


def is_current(connection: Connection, request_id: int, attempt: int) -> bool:
    """Whether the request runs, in this attempt."""
    found = connection.execute("SELECT state, attempt FROM request WHERE request_id = %s", (request_id,)).fetchone()
    return found == ("RUNNING", attempt)


def set_flink_job(connection: Connection, request_id: int, attempt: int, job_id: str) -> None:
    """Note which Flink job works for the attempt, so that whoever comes next can end it. Raises Fenced."""
    done = connection.execute(
        "UPDATE request SET flink_job_id = %s WHERE request_id = %s AND attempt = %s AND state = 'RUNNING'",
        (job_id, request_id, attempt),
    )
    if done.rowcount != 1:
        raise Fenced(f"request {request_id}: attempt {attempt} is over")


def report_progress(
    connection: Connection, request_id: int, attempt: int, worker: str, *, stage: str | None = None, rows_read: int = 0,
    bytes_read: int = 0, rows_posted: int = 0, rows_rejected: int = 0, rows_duplicate: int = 0,
) -> None:  # fmt: skip
    """What one worker of an attempt has done so far, in all; call it at most once a second.

    Nothing is noted of an attempt that is over: whoever ended it has cleared up.
    """
    connection.execute(
        """
        INSERT INTO progress (request_id, tenant_id, attempt, worker, stage, rows_read, bytes_read, rows_posted,
            rows_rejected, rows_duplicate)
        SELECT request_id, tenant_id, %(attempt)s, %(worker)s, %(stage)s, %(read)s, %(bytes)s, %(posted)s,
            %(rejected)s, %(duplicate)s FROM request
            WHERE request_id = %(id)s AND attempt = %(attempt)s AND state = 'RUNNING' FOR SHARE
        ON CONFLICT (request_id, attempt, worker) DO UPDATE SET stage = coalesce(excluded.stage, progress.stage),
            rows_read = excluded.rows_read, bytes_read = excluded.bytes_read, rows_posted = excluded.rows_posted,
            rows_rejected = excluded.rows_rejected, rows_duplicate = excluded.rows_duplicate, at = clock_timestamp()""",
        {
            "id": request_id, "attempt": attempt, "worker": worker, "stage": stage, "read": rows_read,
            "bytes": bytes_read, "posted": rows_posted, "rejected": rows_rejected, "duplicate": rows_duplicate,
        },
    )  # fmt: skip


def refuse(
    connection: Connection, request: Request, attempt: int, message: str, *, checks: Iterable[Check] = (),
    totals: publish.Totals | None = None,
) -> None:  # fmt: skip
    """End a request for good: FAILED, nothing published; its rejects and its reconciliation are kept to be looked at.

    Raises Fenced for a zombie.
    """
    with connection.transaction():
        staging.guard(connection, request.request_id, attempt)
        kept = staging.leaf("reject", request.request_id, attempt)
        if kept in staging.leaves(connection, request.request_id, attempt):
            branch = staging.branch("reject", request.entity.tenant_id, None)
            staging.drop_old_rejects(connection, request.request_id)
            staging.attach(connection, branch, kept, request.request_id)
        publish.write_checks(connection, request, attempt, checks)
        connection.execute(
            """
            UPDATE request SET state = 'FAILED', error = %s, finished_at = now(), stage = NULL,
                rows_read = coalesce(%s, rows_read), rows_rejected = coalesce(%s, rows_rejected),
                rows_duplicate = coalesce(%s, rows_duplicate)
            WHERE request_id = %s""",
            (
                message, totals and totals.rows_read, totals and totals.rows_rejected,
                totals and totals.rows_duplicate, request.request_id,
            ),
        )  # fmt: skip
    staging.discard(connection, request.request_id)


def give_back(connection: Connection, request: Request, error: str) -> bool:
    """An attempt failed by no fault of the input: QUEUED for the next one (True), or FAILED after the last (False).

    Does nothing, False, if the request was cancelled, ended or taken over meanwhile.
    """
    again = request.attempt < request.max_attempts
    done = connection.execute(
        """
        UPDATE request SET state = %s, error = %s, stage = NULL, finished_at = CASE WHEN %s THEN NULL ELSE now() END
        WHERE request_id = %s AND attempt = %s AND state = 'RUNNING'""",
        ("QUEUED" if again else "FAILED", error, again, request.request_id, request.attempt),
    )
    return again and done.rowcount == 1


def cancel(connection: Connection, request_id: int) -> Request:
    """End a request that waits or runs: from now on it can publish nothing. What it staged is the caller's to discard.

    Returns it as it was, with the Flink job to end. Raises LedgerError if it is over.
    """
    with connection.transaction():
        connection.execute("SELECT 1 FROM request WHERE request_id = %s FOR NO KEY UPDATE", (request_id,))
        request = load(connection, request_id)
        if request.state not in ("QUEUED", "RUNNING"):
            raise LedgerError(
                f"request {request_id} is {request.state}: only one that waits or runs can be cancelled"
                + ("; `reverse` takes a published one back" if request.state == "PUBLISHED" else "")
            )
        connection.execute(
            "UPDATE request SET state = 'CANCELLED', finished_at = now(), stage = NULL WHERE request_id = %s",
            (request_id,),
        )
        queueing.unqueue(connection, request_id)
        connection.execute("UPDATE schedule SET active = false WHERE schedule_id = (SELECT schedule_id FROM request "
                           "WHERE request_id = %s) AND run_at IS NOT NULL", (request_id,))  # fmt: skip
    return request


def retry(connection: Connection, request_id: int, attempts: int = 5) -> Request:
    """Queue a failed or cancelled request again, for so many attempts more. Raises LedgerError if it is neither."""
    with connection.transaction():
        connection.execute("SELECT 1 FROM request WHERE request_id = %s FOR NO KEY UPDATE", (request_id,))
        request = load(connection, request_id)
        if request.state not in ("FAILED", "CANCELLED"):
            raise LedgerError(
                f"request {request_id} is {request.state}: only a failed or cancelled one can be tried again"
            )
        connection.execute(
            "UPDATE request SET state = 'QUEUED', max_attempts = attempt + %s, finished_at = NULL, error = NULL "
            "WHERE request_id = %s",
            (attempts, request_id),
        )
        queueing.enqueue(connection, request.entity, request_id)
    return load(connection, request_id)
