"""The memory of finished transfers: what became of a transfer id, for as long as a copy of it could still be accepted.

Records are packed bytes in slices of log time. The open slice is a dict; a full one is sealed into sorted arrays and
one blob, written once as a snapshot cell, and forgotten as a whole. One byte table says which slice may hold an id,
so that a new id costs one look, however long the memory.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.core import SnapshotError
from transforms.transfers.crypto import encode_32

CELLS = 64
"""Cell 0 is the shard's main cell, the others hold sealed slices (in the table 255 means: several slices)."""
SLICES = 24
"""Slices to a horizon."""
SEAL_BYTES = 4_000_000
_SPARE = 30
"""Cells kept for slices sealed by time; the rest may be used by slices sealed by size."""
_MANY = 255
NEVER = 1 << 62

_HEAD = struct.Struct(">BHHHH16s")
_ANSWER = struct.Struct(">16s32sQ")
_CELL = struct.Struct(">4sBIQ")
_MAGIC = b"FLTD"
_FORMAT = 1
_STATES = ("COMMITTED", "ABORTED", "INVALID")


class Finished(NamedTuple):
    """A finished transfer. `answer` is the digest of the fulfil, reject or error that decided it, if one did."""

    state: str
    code: str
    description: str
    payer: str
    payee: str
    content: bytes
    answer: bytes | None = None
    fulfilment: bytes = bytes(32)
    completed: int = 0
    patched: bool = False

    @property
    def fulfilment_text(self) -> str:
        """The fulfilment as base64url."""
        return encode_32(self.fulfilment)


def pack(found: Finished) -> bytes:
    """The bytes of a finished transfer; `unpack` undoes it."""
    kind = _STATES.index(found.state) | (0 if found.answer is None else 8) | (16 if found.patched else 0)
    payer, payee = found.payer.encode(), found.payee.encode()
    description = found.description.encode()
    head = _HEAD.pack(kind, int(found.code or 0), len(payer), len(payee), len(description), found.content)
    answer = b"" if found.answer is None else _ANSWER.pack(found.answer, found.fulfilment, found.completed)
    return b"".join((head, answer, payer, payee, description))


def pack_commit(
    payer: str, payee: str, content: bytes, answer: bytes, fulfilment: bytes, completed: int, patched: bool
) -> bytes:
    """`pack` of a committed transfer, which is nearly all of them."""
    names = (payer + payee).encode()
    head = _HEAD.pack(24 if patched else 8, 0, len(payer), len(names) - len(payer), 0, content)
    return head + _ANSWER.pack(answer, fulfilment, completed) + names


def unpack(record: bytes) -> Finished:
    """The finished transfer of packed bytes."""
    kind, code, payer, payee, description, content = _HEAD.unpack_from(record)
    at = _HEAD.size
    answer: tuple[bytes | None, bytes, int] = (None, bytes(32), 0)
    if kind & 8:
        answer = _ANSWER.unpack_from(record, at)
        at += _ANSWER.size
    texts = []
    for length in (payer, payee, description):
        texts.append(record[at : at + length].decode())
        at += length
    return Finished(
        _STATES[kind & 7],
        f"{code:04d}" if code else "",
        texts[2],
        texts[0],
        texts[1],
        content,
        *answer,
        bool(kind & 16),
    )


@dataclass(slots=True)
class Slice:
    """A sealed slice: entry i has key keys[i] (first 8 bytes of the id's digest) and lies at starts[i] in the blob."""

    keep_until: int
    keys: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.uint16]
    blob: bytes

    def find(self, digest: bytes) -> bytes | None:
        """The record of the id with this 16-byte digest."""
        key = int.from_bytes(digest[:8], "big")
        # numpy's searchsorted lets go of the GIL, which costs more than the search where threads wait for it.
        keys = self.keys.data
        at = bisect_left(keys, key)
        while at < len(keys) and keys[at] == key:
            start = int(self.starts[at])
            if self.blob[start : start + 16] == digest:
                return self.blob[start + 16 : start + int(self.lengths[at])]
            at += 1
        return None

    def encode(self) -> bytes:
        """The slice as the payload of a cell."""
        head = _CELL.pack(_MAGIC, _FORMAT, len(self.keys), self.keep_until)
        return b"".join((head, self.keys.tobytes(), self.starts.tobytes(), self.lengths.tobytes(), self.blob))


def seal(records: dict[bytes, bytes], keep_until: int) -> Slice:
    """The sealed form of an open slice."""
    blob = b"".join([part for item in records.items() for part in item])
    keys = np.frombuffer(b"".join([digest[:8] for digest in records]), dtype=">u8").astype(np.uint64)
    lengths = np.fromiter((16 + len(record) for record in records.values()), dtype=np.int64, count=len(records))
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(keys, kind="stable")
    return Slice(keep_until, keys[order], starts[order].astype(np.uint32), lengths[order].astype(np.uint16), blob)


def decode(payload: bytes, cell: int) -> Slice:
    """The slice of a cell's payload. Raises SnapshotError."""
    try:
        magic, version, count, keep_until = _CELL.unpack_from(payload)
    except struct.error:
        raise SnapshotError(f"cell {cell}: {len(payload)} bytes are no slice of finished transfers") from None
    if magic != _MAGIC or version != _FORMAT:
        raise SnapshotError(
            f"cell {cell}: format {magic!r} version {version}, this program reads {_MAGIC!r} version {_FORMAT}; "
            "restore it with the release that wrote it"
        )
    at = _CELL.size
    if len(payload) < at + 14 * count:
        raise SnapshotError(f"cell {cell}: {len(payload)} bytes are too few for {count} finished transfers")
    keys = np.frombuffer(payload[at : at + 8 * count], np.uint64)  # a copy, so that it is aligned
    starts = np.frombuffer(payload, np.uint32, count, at + 8 * count)
    lengths = np.frombuffer(payload, np.uint16, count, at + 12 * count)
    return Slice(keep_until, keys, starts, lengths, payload[at + 14 * count :])


class Memory:
    """All finished transfers a shard remembers. `wake` is the log time in ms at which `advance` has work."""

    def __init__(self) -> None:
        self.open: dict[bytes, bytes] = {}
        self.open_end = NEVER
        self.open_expiration = 0
        self.open_size = 0
        self.sealed: dict[int, Slice] = {}
        self.checks: dict[int, int] = {}
        self.wake = NEVER
        self._dirty: dict[int, bytes] = {}
        self._table = bytearray(1)
        self._mask = 0

    def __len__(self) -> int:
        return len(self.open) + sum(len(part.keys) for part in self.sealed.values())

    def find(self, digest: bytes) -> bytes | None:
        """The packed record of the id with this digest, None if it is not remembered."""
        record = self.open.get(digest)
        if record is not None:
            return record
        slot = self._table[int.from_bytes(digest[:8], "big") & self._mask]
        if slot == 0:
            return None
        if slot != _MANY:
            return self.sealed[slot].find(digest)
        for part in self.sealed.values():
            record = part.find(digest)
            if record is not None:
                return record
        return None

    def add(self, digest: bytes, record: bytes, expiration: int, now: int, horizon: int) -> None:
        """Remember a transfer that finished at log time `now` (ms) for at least `horizon` ms and past `expiration`."""
        if not self.open:
            length = max(horizon // SLICES, 1000)
            self.open_end = (now // length + 1) * length
            self.wake = min(self.wake, self.open_end)
        self.open[digest] = record
        self.open_size += 16 + len(record)
        if expiration > self.open_expiration:
            self.open_expiration = expiration
        if self.open_size >= SEAL_BYTES and len(self.sealed) + _SPARE < CELLS:
            self._seal(horizon)

    def advance(self, now: int, horizon: int) -> None:
        """Seal the open slice and forget slices whose time has come."""
        if self.open and now >= self.open_end:
            self._seal(horizon)
        gone = [slot for slot, part in self.sealed.items() if part.keep_until <= now]
        for slot in gone:
            del self.sealed[slot]
            del self.checks[slot]
            self._dirty[slot] = b""
        if gone:
            self._index()
        self._set_wake()

    def _seal(self, horizon: int) -> None:
        slot = next((slot for slot in range(1, CELLS) if slot not in self.sealed), 0)
        if slot == 0:
            # Every cell is in use: the slice stays open and grows, nothing is forgotten early.
            self.open_end += max(horizon // SLICES, 1000)
            return
        part = seal(self.open, max(self.open_end + horizon, self.open_expiration))
        self.sealed[slot] = part
        self._dirty[slot] = part.encode()
        self.checks[slot] = zlib.crc32(self._dirty[slot])
        self.open = {}
        self.open_end, self.open_expiration, self.open_size = NEVER, 0, 0
        self._index()
        self._set_wake()

    def _set_wake(self) -> None:
        self.wake = min([self.open_end, *(part.keep_until for part in self.sealed.values())])

    def _index(self) -> None:
        """Make the byte table anew: at least 8 bytes an entry, so that most new ids meet a zero."""
        count = sum(len(part.keys) for part in self.sealed.values())
        size = 1 << max(count * 8 - 1, 1).bit_length()
        table = np.zeros(size, dtype=np.uint8)
        mask = np.uint64(size - 1)
        for slot, part in self.sealed.items():
            at = (part.keys & mask).astype(np.int64)
            before = table[at]
            table[at] = np.where(before == 0, slot, _MANY).astype(np.uint8)
        self._table = bytearray(table.tobytes())
        self._mask = size - 1

    def dump(self) -> list[tuple[int, bytes]]:
        """Cells sealed or freed since the last dump."""
        cells = sorted(self._dirty.items())
        self._dirty = {}
        return cells

    def load(self, slots: dict[int, int], cells: dict[int, bytes]) -> None:
        """Take over the sealed slices: `slots` is {cell: CRC-32 its payload must have}. Raises SnapshotError."""
        for slot, check in slots.items():
            payload = cells.get(slot, b"") if 0 < slot < CELLS else b""
            if zlib.crc32(payload) != check or not payload:
                raise SnapshotError(
                    f"cell {slot}: the finished transfers the main cell refers to are missing or of another snapshot; "
                    "restore another savepoint"
                )
            self.sealed[slot] = decode(payload, slot)
        self.checks = dict(slots)
        self._index()
        self._set_wake()
