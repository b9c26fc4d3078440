"""One record of `transfer-events`, typed (written by `transforms.transfers.events`)."""

from __future__ import annotations

import msgspec

FIRST_HASH = "0" * 64
"""`prevHash` of the first record of an account."""


class Event(msgspec.Struct, gc=False, rename="camel"):
    """A change of one account, or of a shard's journal ("shard/<s>").

    Members that only repeat what a participant sent (`payer` to `expiration`) may be of any JSON type: an INVALID
    transfer is recorded as it was given.
    """

    account: str
    seq: int
    kind: str
    at: int
    prev_hash: str
    hash: str
    offset: int | None = None
    transfer_id: str | None = None
    change: str | None = None
    position: str | None = None
    reserved: str | None = None
    cover: str | None = None
    ndc: str | None = None
    state: str | None = None
    code: str | int | None = None
    description: str | None = None
    payer: object = None
    payee: object = None
    amount: object = None
    currency: object = None
    expiration: object = None
    completed_timestamp: object = None
    fulfilment: object = None
    command_id: str | None = None
    result: str | None = None
    active: bool | None = None
    participant: str | None = None
    action: str | None = None


decode = msgspec.json.Decoder(Event).decode
"""Bytes of a record to an Event; raises msgspec.DecodeError (with ValidationError as its subclass)."""
