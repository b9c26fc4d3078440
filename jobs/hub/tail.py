"""Reads topics of the job as people do: the latest, as it comes, one line a record."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from florin_io.kafka.log import TopicReader
from jobs.hub.shell import Kafka
from jobs.hub.topics import partitions_of
from transforms.transfers.timestamps import iso

Record = dict[str, Any]


def records(kafka: Kafka, topic: str, *, from_start: bool, follow: bool) -> Iterator[Record]:
    """JSON objects of a topic, from its start or from now on; without `follow` up to where it ends now.

    Bytes that are no JSON object come as {"unreadable": text}. Raises KafkaUnreachable, TopicsMissing, KafkaException.
    """
    count = partitions_of(kafka.bootstrap, kafka.topics.prefix, [topic])[topic]
    reader = TopicReader(kafka.bootstrap, topic, count, "florin-hub", from_start=from_start, bounded=not follow)
    try:
        while not reader.ended:
            yield from (_object(message.value() or b"") for message in reader.poll(1000, 0.2))
    finally:
        reader.close()


def _object(value: bytes) -> Record:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"unreadable": value[:500].decode(errors="replace")}


def notification_line(note: Record) -> str:
    """Time, method, receiver, transfer and outcome of a notification."""
    metadata = _member(note, "metadata")
    event, http = _member(metadata, "event"), _member(metadata, "http")
    payload = _member(_member(note, "content"), "payload")
    error = _member(payload, "errorInformation")
    amount = _member(payload, "amount")
    if error:
        outcome = f"{error.get('errorCode', '')} {error.get('errorDescription', '')}"
    elif amount:
        outcome = f"{amount.get('amount', '')} {amount.get('currency', '')}"
    else:
        outcome = str(payload.get("transferState", ""))
    return (
        f"{event.get('createdAt', '')!s:24}  {http.get('method', '')!s:9}  {note.get('from', '')!s:>10} -> "
        f"{note.get('to', '')!s:10}  {note.get('id', '')}  {outcome}".rstrip()
    )


def event_line(event: Record) -> str:
    """Time, account, sequence number, kind, change and balances of an event."""
    at = event.get("at")
    about = event.get("transferId") or event.get("commandId") or ""
    parts = [
        f"{name} {event[name]}"
        for name in ("change", "position", "reserved", "state", "code", "result")
        if event.get(name)
    ]
    return (
        f"{iso(at) if isinstance(at, int) else '':24}  {event.get('account', '')!s:16} #{event.get('seq', '')}  "
        f"{event.get('kind', '')!s:10}  {about}  {', '.join(parts)}".rstrip()
    )


def dead_letter_line(letter: Record) -> str:
    """Place, reason, remedy and first bytes of a dead letter."""
    try:
        start = base64.b64decode(str(letter.get("bytes", "")))[:120].decode(errors="replace")
    except ValueError:
        start = ""
    return (
        f"{letter.get('topic', '')}/{letter.get('partition', '')} offset {letter.get('offset', '')}: "
        f"{letter.get('reason', '')}; {letter.get('remedy', '')}  {start!r}"
    )


def is_about(fsp: str | None) -> Callable[[Record], bool]:
    """Whether a notification is from or to the DFSP (True for all without one)."""
    return lambda note: fsp is None or fsp in (note.get("to"), note.get("from"))


def _member(found: object, name: str) -> Record:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, dict) else {}
