"""Cell 0 of a card shard: what is not a card, and where in the log each cell of cards stands.

Cells are written one by one, so the snapshot is not of one offset. A cell that changed since it was written stands,
in effect, at its first change: nothing between its writing and that touched it. One that did not change stands where
cell 0 does, which is written with every part. A restore reads the log from the lowest of these offsets on, applies to
each cell only what it does not hold yet, and decides by the rules as they were at that lowest offset: control records
from there on come again from the log.

A cell that was never written starts from the loaded history, so cell 0 names it by its digest.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from transforms.cards.rulebook import BookState
from transforms.core import SnapshotError

HERE: Final = -1
"""Effective offset of a cell that stands where cell 0 does."""

_MAGIC: Final = b"FLCM"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sH")


class Main(msgspec.Struct):
    """What cell 0 holds."""

    digest: str
    """Of the loaded history; empty without one."""
    effective: list[int]
    """By cell: records from this offset on are not in it, or HERE."""
    book: BookState
    """The rules as they were at the lowest effective offset."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Main).decode


def encode_main(main: Main) -> bytes:
    """The bytes of cell 0."""
    return _HEAD.pack(_MAGIC, _VERSION) + _encode(main)


def decode_main(payload: bytes, digest: str) -> Main:
    """Cell 0 from its bytes, for a job whose loaded history has this digest. Raises SnapshotError."""
    if len(payload) < _HEAD.size or _HEAD.unpack_from(payload) != (_MAGIC, _VERSION):
        raise SnapshotError(f"cell 0: not of card scoring in format {_VERSION}; restore another savepoint")
    try:
        main = _decode(memoryview(payload)[_HEAD.size :])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"cell 0: {error}; restore another savepoint") from error
    if main.digest != digest:
        raise SnapshotError(
            f"the snapshot began with card history {main.digest or 'none'!r}, the job is given {digest or 'none'!r}: "
            "cards not written to the snapshot yet would begin with others' transactions. Start with the history of "
            "the first start"
        )
    return main
