"""The members of a notification that the load generator checks; the rest is skipped, not parsed."""

from __future__ import annotations

import msgspec
from msgspec import Raw

NoteError = (msgspec.DecodeError, UnicodeDecodeError)
"""What the decoders raise for bytes that are no notification."""


class Event(msgspec.Struct, gc=False):
    createdAt: str


class Http(msgspec.Struct, gc=False):
    method: str


class Metadata(msgspec.Struct, gc=False):
    event: Event
    http: Http


class Content(msgspec.Struct, gc=False):
    payload: Raw


class Note(msgspec.Struct, gc=False):
    """A notification; `createdAt` is the log time of what caused it."""

    id: str
    to: str
    content: Content
    metadata: Metadata


class Amount(msgspec.Struct, gc=False):
    amount: str


class Posted(msgspec.Struct, gc=False):
    """The payload of a POST: the prepare as the payee sees it."""

    amount: Amount
    condition: str


class Outcome(msgspec.Struct, gc=False):
    """The payload of a PUT or PATCH; a PATCH has no fulfilment."""

    transferState: str
    fulfilment: str = ""


class ErrorInformation(msgspec.Struct, gc=False):
    errorCode: str


class Failure(msgspec.Struct, gc=False):
    """The payload of a PUT error."""

    errorInformation: ErrorInformation


decode_note = msgspec.json.Decoder(Note).decode
decode_posted = msgspec.json.Decoder(Posted).decode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_error = msgspec.json.Decoder(Failure).decode
