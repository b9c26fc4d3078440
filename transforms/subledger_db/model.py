"""What the rows of tenant, entity and request say, and the errors of the subledger's database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

STATES = ("QUEUED", "RUNNING", "PUBLISHED", "FAILED", "CANCELLED", "REVERSED")
FINAL = ("PUBLISHED", "FAILED", "CANCELLED", "REVERSED")


class LedgerError(ValueError):
    """A request to the subledger that cannot be granted; the message says why and what to do."""


class Busy(RuntimeError):
    """The request, or another one of its entity, is being run: its turn comes later."""


class Fenced(RuntimeError):
    """This attempt is not the request's current one: whatever it does is dropped."""


class StagingLost(RuntimeError):
    """Files that were acknowledged are not in the database, which lost them in a crash: the attempt is repeated."""


class PeriodClosed(RuntimeError):
    """A period was closed while the request ran: it is posted anew, to the first open period."""


@dataclass(frozen=True)
class Entity:
    """A set of books, with the settings that a request takes from it."""

    entity_id: int
    tenant_id: int
    tenant: str
    name: str
    base_currency: str
    lot_method: str
    reject_share: float

    @property
    def lock(self) -> str:
        """The queue's lock: one running request of an entity."""
        return f"subledger/{self.tenant_id}/{self.entity_id}"


@dataclass(frozen=True)
class Request:
    """A request as it stands in the table, with its entity and the rules it takes."""

    request_id: int
    entity: Entity
    entity_seq: int | None
    kind: str
    state: str
    attempt: int
    max_attempts: int
    idempotency_key: str
    source: str
    files: list[dict[str, Any]]
    supplied: str | None
    options: dict[str, Any]
    target_id: int | None
    rules_text: str
    rules_version: str
    basis: str
    periods: tuple[tuple[int, bool], ...]
    """The entity's periods as (yyyymm, open)."""
    flink_job_id: str | None
    error: str | None
    submitted_at: datetime


@dataclass(frozen=True)
class Check:
    """One comparison of a reconciliation: numbers are exact decimals as text or int, `ok` is the verdict."""

    name: str
    subject: str | None
    expected: Any
    found: Any
    ok: bool
