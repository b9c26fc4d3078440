"""Reads topics of the job as people do: the latest, as it comes, one line a record."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from florin_io.kafka.client import client_config, is_passing
from jobs.hub.shell import Kafka
from jobs.hub.topics import partitions_of
from transforms.transfers.timestamps import iso

_TIMEOUT_S = 20.0
Record = dict[str, Any]


def records(kafka: Kafka, topic: str, *, from_start: bool, follow: bool) -> Iterator[Record]:
    """JSON objects of a topic, from its start or from now on; without `follow` up to where it ends now.

    Bytes that are no JSON object come as {"unreadable": text}. Raises KafkaUnreachable, TopicsMissing, KafkaException.
    """
    count = partitions_of(kafka.bootstrap, kafka.topics.prefix, [topic])[topic]
    consumer = Consumer(
        client_config(
            kafka.bootstrap,
            **{
                "group.id": "florin-hub",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": not follow,
            },
        )
    )
    try:
        places = [TopicPartition(topic, number) for number in range(count)]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[0 if from_start else 1]
        consumer.assign(places)
        yield from _read(consumer, count, follow)
    finally:
        consumer.close()


def _read(consumer: Consumer, partitions: int, follow: bool) -> Iterator[Record]:
    ended: set[int | None] = set()
    while follow or len(ended) < partitions:
        for message in consumer.consume(1000, 0.2):
            error = message.error()
            if error is None:
                yield _object(message.value() or b"")
            elif error.code() == error._PARTITION_EOF:
                ended.add(message.partition())
            elif not is_passing(error):
                raise KafkaException(error)


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
