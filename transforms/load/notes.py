"""The members of a notification that the load generator checks; the rest is skipped, not parsed."""

from __future__ import annotations

import msgspec

NoteError = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for bytes that are no notification."""


class Event(msgspec.Struct, gc=False):
    createdAt: str


class Http(msgspec.Struct, gc=False):
    method: str


class Metadata(msgspec.Struct, gc=False):
    event: Event
    http: Http


class Amount(msgspec.Struct, gc=False):
    amount: str = ""


class ErrorInformation(msgspec.Struct, gc=False):
    errorCode: str = ""


class Payload(msgspec.Struct, gc=False):
    """Of a POST the prepare as the payee sees it; of a PUT or PATCH the outcome; of a PUT error the error."""

    amount: Amount | None = None
    condition: str = ""
    transferState: str = ""
    fulfilment: str = ""
    errorInformation: ErrorInformation | None = None


class Content(msgspec.Struct, gc=False):
    payload: Payload


class Note(msgspec.Struct, gc=False):
    """A notification; `createdAt` is the log time of what caused it."""

    id: str
    to: str
    content: Content
    metadata: Metadata


decode_note = msgspec.json.Decoder(Note).decode
