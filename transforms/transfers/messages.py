"""Reading records of the log: Mojaloop envelopes, credits, admin commands, ticks and pauses.

A well-formed record is decoded straight into typed structs; headers, payload and trace stay raw, so that they pass
through byte for byte. A record with members of the wrong type takes the lenient way, which builds the same structs and
marks each wrong member, so that the one set of rules in `shard` decides both.
"""

from __future__ import annotations

import binascii
import re
from hashlib import blake2b

import msgspec
from msgspec import Raw

from transforms.nesting import MAX_DEPTH, too_deep

MAX_VALUE = 900_000
"""Longest record handled, in bytes: what it causes must still fit into Kafka's 1 MB records."""

WRONG_TYPE = "\x00"
"""Starts a member that was not a string where one belongs; no valid text contains it. The JSON text follows."""

SHALLOW = 512
"""Records of up to this many bytes cannot nest deep enough to matter."""

MAX_BRACKETS = 20_000

MAX_NAME = 128
"""Longest name of a sender, in characters: what is longer is no DFSP."""

NOTHING = Raw()

_TRANSFER_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class Unreadable(ValueError):
    """A record that cannot be read at all; the message is the reason in its dead letter."""


class Event(msgspec.Struct, gc=False):
    type: str | None = None
    action: str | None = None


class Metadata(msgspec.Struct, gc=False):
    event: Event | None = None
    trace: Raw = NOTHING


class UriParams(msgspec.Struct, gc=False):
    id: str | None = None


class Content(msgspec.Struct, gc=False):
    uriParams: UriParams | None = None
    headers: Raw = NOTHING
    payload: Raw = NOTHING


class Credit(msgspec.Struct, gc=False):
    """A payee's credit, from the payer's shard: `seq` counts the credits of one origin to one shard from 1."""

    origin: int
    seq: int
    id: str
    payee: str
    currency: str
    units: str


class Envelope(msgspec.Struct, gc=False):
    """One record; `admin`, `tick` and `pause` are set in control records only."""

    id: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    content: Content | None = None
    metadata: Metadata | None = None
    credit: Credit | None = None
    admin: Raw = NOTHING
    tick: Raw = NOTHING
    pause: Raw = NOTHING


class Headers(msgspec.Struct, gc=False):
    source: str | None = msgspec.field(default=None, name="fspiop-source")
    destination: str | None = msgspec.field(default=None, name="fspiop-destination")


class Amount(msgspec.Struct, gc=False):
    currency: str | None = None
    amount: str | None = None


class Prepare(msgspec.Struct, gc=False):
    transferId: str | None = None
    payerFsp: str | None = None
    payeeFsp: str | None = None
    amount: Amount | None = None
    ilpPacket: str | None = None
    condition: str | None = None
    expiration: str | None = None
    extensionList: Raw = NOTHING


class ErrorInformation(msgspec.Struct, gc=False):
    errorCode: str | None = None
    errorDescription: str | None = None
    extensionList: Raw = NOTHING


class Fulfil(msgspec.Struct, gc=False):
    fulfilment: str | None = None
    completedTimestamp: str | None = None
    transferState: str | None = None
    extensionList: Raw = NOTHING
    errorInformation: ErrorInformation | None = None


_envelope = msgspec.json.Decoder(Envelope).decode
_headers = msgspec.json.Decoder(Headers).decode
_prepare = msgspec.json.Decoder(Prepare).decode
_fulfil = msgspec.json.Decoder(Fulfil).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_BRACE, _QUOTE = ord("{"), ord('"')
_JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(value: bytes, fast: bool = True) -> Envelope:
    """The record's envelope. Raises Unreadable. `fast` False takes the lenient way always; the result is the same."""
    if len(value) > MAX_VALUE:
        raise Unreadable(f"record of {len(value)} bytes; at most {MAX_VALUE} are handled")
    if len(value) > SHALLOW and value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"not UTF-8 at byte {error.start}") from None
    if fast:
        try:
            return _envelope(value)
        except _JSON_ERRORS:
            pass
    try:
        members = _members(value)
    except _JSON_ERRORS as error:
        raise Unreadable(f"not a JSON object: {_first_line(error)}") from None
    return _lenient_envelope(members)


def _check_depth(value: bytes) -> None:
    """Raises Unreadable if objects and arrays are nested too deep."""
    if value.count(b"{") + value.count(b"[") > MAX_BRACKETS:
        raise Unreadable(f"more than {MAX_BRACKETS} objects and arrays")
    if too_deep(value):
        raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")


def is_transfer_id(text: str) -> bool:
    """True for 1 to 64 letters, digits and dashes: UUIDs and anything like them."""
    return _TRANSFER_ID.fullmatch(text) is not None


def transfer_id(record: Envelope) -> str | None:
    """The transfer a message is about, by its path or else its envelope; the payload of a prepare has its own."""
    content = record.content
    if content is not None and content.uriParams is not None and content.uriParams.id is not None:
        return content.uriParams.id
    return record.id


def headers(raw: Raw, fast: bool = True) -> Headers:
    """Source and destination; names in any case, None where a header is missing or no string."""
    if fast:
        try:
            found = _headers(raw)
            if found.source is not None and found.destination is not None:
                return found
        except _JSON_ERRORS:
            pass
    source = destination = None
    # A header in lower case wins over its other spellings, as in the typed way.
    for name, value in sorted(_object(raw).items(), key=lambda item: item[0].islower()):
        if name.lower() == "fspiop-source":
            source = _text_or_none(value)
        elif name.lower() == "fspiop-destination":
            destination = _text_or_none(value)
    return Headers(source, destination)


def with_route(raw: Raw, source: str, destination: str) -> bytes:
    """The headers as JSON with source and destination set, everything else as it was."""
    kept = {
        name: value
        for name, value in _object(raw).items()
        if name.lower() not in ("fspiop-source", "fspiop-destination")
    }
    return _encode({**kept, "fspiop-source": source, "fspiop-destination": destination})


def payload(raw: Raw) -> Raw:
    """The payload as a JSON object: as it stands, or decoded from a base64 data URI; NOTHING if it is neither."""
    if not raw:
        return NOTHING
    first = memoryview(raw)[0]
    if first == _BRACE:
        return raw
    uri = _text_or_none(raw) if first == _QUOTE else None
    if uri is None:
        return NOTHING
    head, comma, body = uri.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64") or not body.isascii():
        return NOTHING
    try:
        decoded = binascii.a2b_base64(body.replace("-", "+").replace("_", "/").encode(), strict_mode=True)
        decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        return NOTHING
    try:
        _members(decoded)
    except _JSON_ERRORS:
        return NOTHING
    return Raw(decoded.strip())


def prepare(raw: Raw, fast: bool = True) -> Prepare:
    """The prepare payload; members of the wrong type are marked with WRONG_TYPE."""
    if fast:
        try:
            return _prepare(raw)
        except _JSON_ERRORS:
            pass
    found = _object(raw)
    return Prepare(
        transferId=_text(found, "transferId"),
        payerFsp=_text(found, "payerFsp"),
        payeeFsp=_text(found, "payeeFsp"),
        amount=_amount(found.get("amount", NOTHING)),
        ilpPacket=_text(found, "ilpPacket"),
        condition=_text(found, "condition"),
        expiration=_text(found, "expiration"),
        extensionList=found.get("extensionList", NOTHING),
    )


def fulfil(raw: Raw, fast: bool = True) -> Fulfil:
    """The payload of a fulfil, reject or error; members of the wrong type are marked with WRONG_TYPE."""
    if fast:
        try:
            return _fulfil(raw)
        except _JSON_ERRORS:
            pass
    found = _object(raw)
    return Fulfil(
        fulfilment=_text(found, "fulfilment"),
        completedTimestamp=_text(found, "completedTimestamp"),
        transferState=_text(found, "transferState"),
        extensionList=found.get("extensionList", NOTHING),
        errorInformation=_error_information(found.get("errorInformation", NOTHING)),
    )


def prepare_digest(found: Prepare) -> bytes:
    """16 bytes that tell one prepare's content from another's. extensionList counts as it is spelled."""
    amount = found.amount
    currency, units = (amount.currency, amount.amount) if amount is not None else (None, None)
    content = (
        found.transferId,
        found.payerFsp,
        found.payeeFsp,
        currency,
        units,
        found.ilpPacket,
        found.condition,
        found.expiration,
        found.extensionList or None,
    )
    return blake2b(_encode(content), digest_size=16).digest()


def fulfil_digest(action: str, found: Fulfil) -> bytes:
    """16 bytes that tell one answer of the payee from another."""
    error = found.errorInformation
    content = (
        action,
        found.fulfilment,
        found.completedTimestamp,
        found.transferState,
        found.extensionList or None,
        (error.errorCode, error.errorDescription, error.extensionList or None) if error is not None else None,
    )
    return blake2b(_encode(content), digest_size=16).digest()


def _object(raw: Raw) -> dict[str, Raw]:
    """The members of a JSON object, none if it is something else."""
    try:
        return _members(raw)
    except _JSON_ERRORS:
        return {}


def _text_or_none(raw: Raw) -> str | None:
    try:
        return _string(raw)
    except _JSON_ERRORS:
        return None


def _text(members: dict[str, Raw], name: str) -> str | None:
    """The string member `name`; None if missing or null; anything else as WRONG_TYPE and its JSON text."""
    raw = members.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    text = _text_or_none(raw)
    return WRONG_TYPE + bytes(raw).decode() if text is None else text


def _amount(raw: Raw) -> Amount | None:
    if not raw or bytes(raw) == b"null":
        return None
    if memoryview(raw)[0] != _BRACE:
        return Amount(amount=WRONG_TYPE + bytes(raw).decode())
    parts = _object(raw)
    return Amount(_text(parts, "currency"), _text(parts, "amount"))


def _error_information(raw: Raw) -> ErrorInformation | None:
    if not raw or memoryview(raw)[0] != _BRACE:
        return None
    parts = _object(raw)
    return ErrorInformation(
        _text(parts, "errorCode"), _text(parts, "errorDescription"), parts.get("extensionList", NOTHING)
    )


def _lenient_envelope(members: dict[str, Raw]) -> Envelope:
    metadata = _object(members.get("metadata", NOTHING))
    event = _object(metadata.get("event", NOTHING))
    return Envelope(
        id=_text(members, "id"),
        from_=_text_or_none(members.get("from", NOTHING)),
        to=_text_or_none(members.get("to", NOTHING)),
        content=_lenient_content(members.get("content", NOTHING)),
        metadata=Metadata(Event(_text(event, "type"), _text(event, "action")), metadata.get("trace", NOTHING)),
        credit=_credit(members.get("credit", NOTHING)),
        admin=members.get("admin", NOTHING),
        tick=members.get("tick", NOTHING),
        pause=members.get("pause", NOTHING),
    )


def _lenient_content(raw: Raw) -> Content | None:
    if not raw or bytes(raw) == b"null":
        return None
    found = _object(raw)
    return Content(
        UriParams(_text(_object(found.get("uriParams", NOTHING)), "id")),
        found.get("headers", NOTHING),
        found.get("payload", NOTHING),
    )


def _credit(raw: Raw) -> Credit | None:
    if not raw or bytes(raw) == b"null":
        return None
    try:
        return msgspec.json.decode(raw, type=Credit)
    except _JSON_ERRORS as error:
        raise Unreadable(f"not a credit: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200]
