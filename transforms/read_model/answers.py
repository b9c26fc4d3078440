"""The answer to GET /transfers/{id}: pure, from what the read model holds. Rules: FSPIOP API, "Get Transfer"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from transforms.transfers import messages, notifications
from transforms.transfers.notifications import HUB
from transforms.transfers.timestamps import iso

UNKNOWN_TRANSFER = "3208"
NOT_A_PARTY = "3000"

_DESCRIPTIONS = {
    UNKNOWN_TRANSFER: "Transfer ID not found",
    NOT_A_PARTY: "Generic client error - the transfer is between other FSPs",
}
# The API has four transfer states; INVALID is the hub's own.
_API_STATE = {"INVALID": "ABORTED"}


@dataclass(frozen=True, slots=True)
class Known:
    """A transfer as the read model holds it; `at_ms` is the log time of its last change."""

    payer: str | None
    payee: str | None
    state: str
    completed: str | None
    fulfilment: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Question:
    """A GET that can be answered."""

    transfer_id: str
    asker: str
    trace: msgspec.Raw


class NotAQuestion(ValueError):
    """A record of the topic that nobody can be answered to; the message is the dead letter's reason."""


def question(value: bytes) -> Question:
    """Read a record of topic-transfer-get. Raises NotAQuestion."""
    try:
        envelope = messages.read(value)
    except messages.Unreadable as error:
        raise NotAQuestion(str(error)) from error
    event = envelope.metadata.event if envelope.metadata is not None else None
    if event is None or "get" not in (event.type, event.action):
        raise NotAQuestion("not a GET: metadata.event.action must be get")
    content = envelope.content
    transfer_id = content.uriParams.id if content is not None and content.uriParams is not None else None
    if not transfer_id or transfer_id.startswith(messages.WRONG_TYPE):
        raise NotAQuestion("content.uriParams.id must name the transfer")
    asker = messages.headers(content.headers).source if content is not None else None
    if not asker:
        raise NotAQuestion("header fspiop-source is missing: nobody to answer")
    return Question(transfer_id, asker, envelope.metadata.trace if envelope.metadata is not None else messages.NOTHING)


def answer(asked: Question, found: Sequence[Known], at_ms: int) -> bytes:
    """The notification for the asker. `found` are all transfers with the id; `at_ms` is the question's log time."""
    own = next((known for known in found if asked.asker in (known.payer, known.payee)), None)
    if own is None:
        return _error(asked, NOT_A_PARTY if found else UNKNOWN_TRANSFER, at_ms)
    payload = {"transferState": _API_STATE.get(own.state, own.state)}
    if own.state not in ("RECEIVED", "RESERVED"):
        payload["completedTimestamp"] = own.completed or iso(own.at_ms)
    if own.state == "COMMITTED" and own.fulfilment:
        payload["fulfilment"] = own.fulfilment
    receiver = notifications.escape(asked.asker)
    return notifications.success(
        notifications.escape(asked.transfer_id), HUB, receiver, notifications.hub_headers(receiver),
        msgspec.json.encode(payload), "get", iso(at_ms), "PUT", asked.trace,
    )  # fmt: skip


def _error(asked: Question, code: str, at_ms: int) -> bytes:
    escape = notifications.escape
    return notifications.failure(
        escape(asked.transfer_id), escape(asked.asker), code, _DESCRIPTIONS[code], "get", iso(at_ms), asked.trace
    )
