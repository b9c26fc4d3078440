"""Encoders of what a shard tells DFSPs: Mojaloop envelopes on topic-notification-event.

Text goes into templates, so every argument named id, sender or receiver is JSON-escaped text (see `escape`) or
validated so that nothing in it needs escaping.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from msgspec import Raw

HUB = "hub"
_CONTENT_TYPE = "application/vnd.interoperability.transfers+json;version=1.0"
Bytes = bytes | Raw

_encode = msgspec.json.Encoder().encode


@lru_cache(4096)
def escape(text: str) -> str:
    """`text` as it stands between the quotes of a JSON string."""
    return _encode(text)[1:-1].decode()


def clip(text: str | None, length: int = 128) -> str:
    """At most `length` characters of what a DFSP sent, for echoing it back."""
    return "" if text is None else text[:length]


def hub_headers(receiver: str) -> bytes:
    """Headers of a notification that the hub itself sends."""
    return f'{{"content-type":"{_CONTENT_TYPE}","fspiop-source":"{HUB}","fspiop-destination":"{receiver}"}}'.encode()


def success(
    id: str, sender: str, receiver: str, headers: Bytes, payload: Bytes, action: str, at: str, method: str, trace: Raw
) -> bytes:
    """A POST, PUT or PATCH; `headers`, `payload` and `trace` are JSON."""
    head = (
        f'{{"id":"{id}","from":"{sender}","to":"{receiver}","type":"application/json",'
        f'"content":{{"uriParams":{{"id":"{id}"}},"headers":'
    )
    tail = (
        f',"metadata":{{"correlationId":"{id}","event":{{"type":"notification","action":"{action}","createdAt":"{at}",'
        f'"state":{{"status":"success","code":0}}}},"http":{{"method":"{method}"}}'
    )
    if trace:
        return b"".join(
            (head.encode(), headers, b',"payload":', payload, b"}", tail.encode(), b',"trace":', trace, b"}}")
        )
    return b"".join((head.encode(), headers, b',"payload":', payload, b"}", tail.encode(), b"}}"))


def failure(id: str, receiver: str, code: str, description: str, action: str, at: str, trace: Raw) -> bytes:
    """A PUT error from the hub; `description` is escaped text."""
    text = (
        f'{{"id":"{id}","from":"{HUB}","to":"{receiver}","type":"application/json","content":{{"uriParams":{{"id":"{id}"}},'
        f'"headers":{{"content-type":"{_CONTENT_TYPE}","fspiop-source":"{HUB}","fspiop-destination":"{receiver}"}},'
        f'"payload":{{"errorInformation":{{"errorCode":"{code}","errorDescription":"{description}"}}}}}},'
        f'"metadata":{{"correlationId":"{id}","event":{{"type":"notification","action":"{action}","createdAt":"{at}",'
        f'"state":{{"status":"error","code":{int(code)}}}}},"http":{{"method":"PUT error"}}'
    )
    if trace:
        return b"".join((text.encode(), b',"trace":', trace, b"}}"))
    return (text + "}}").encode()


def outcome_payload(fulfilment: str, completed: str) -> bytes:
    """What a payer is told of a committed transfer."""
    return f'{{"fulfilment":"{fulfilment}","completedTimestamp":"{completed}","transferState":"COMMITTED"}}'.encode()


def patch_payload(completed: str) -> bytes:
    """What a payee that answered RESERVED is told."""
    return f'{{"completedTimestamp":"{completed}","transferState":"COMMITTED"}}'.encode()
