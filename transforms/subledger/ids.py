"""Ids of events and entries: MurmurHash3 x64 of 128 bits over what names them, so the same input gives the same ids."""

from __future__ import annotations

from typing import Final

import numpy as np

from transforms.jit import part, shared
from transforms.subledger.jit import Bytes, Words, njit

MAX_KEY: Final = 512
"""Bytes that a key may have."""
VERSION_BYTES: Final = 16
"""Characters of a rule set's version that an entry's id is made of."""

_C1: Final = np.uint64(0x87C37B91114253D5)
_C2: Final = np.uint64(0x4CF5AD432745937F)
_FIVE: Final = np.uint64(5)
_ADD1: Final = np.uint64(0x52DCE729)
_ADD2: Final = np.uint64(0x38495AB5)
_MIX1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_ZERO: Final = np.uint64(0)


@part
def _rotate(word: np.uint64, by: int) -> np.uint64:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@part
def _finish(word: np.uint64) -> np.uint64:
    word ^= word >> np.uint64(33)
    word *= _MIX1
    word ^= word >> np.uint64(33)
    word *= _MIX2
    return word ^ (word >> np.uint64(33))


@part
def _word(data: Bytes, at: int, count: int) -> np.uint64:
    """So many bytes from a place on, at most 8, the first one the lowest."""
    found = _ZERO
    for i in range(count):
        found |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return found


@shared
def murmur(data: Bytes, start: int, length: int) -> tuple[np.uint64, np.uint64]:
    """The two words of the hash of data[start : start + length], with seed 0."""
    one = two = _ZERO
    at = start
    stop = start + (length & ~15)
    while at < stop:
        one ^= _rotate(_word(data, at, 8) * _C1, 31) * _C2
        one = (_rotate(one, 27) + two) * _FIVE + _ADD1
        two ^= _rotate(_word(data, at + 8, 8) * _C2, 33) * _C1
        two = (_rotate(two, 31) + one) * _FIVE + _ADD2
        at += 16
    rest = length & 15
    if rest > 8:
        two ^= _rotate(_word(data, at + 8, rest - 8) * _C2, 33) * _C1
    if rest > 0:
        one ^= _rotate(_word(data, at, min(rest, 8)) * _C1, 31) * _C2
    size = np.uint64(length)
    one ^= size
    two ^= size
    one += two
    two += one
    one, two = _finish(one), _finish(two)
    one += two
    return one, two + one


@part
def put_number(target: Bytes, at: int, number: int) -> int:
    """Write a number that is not negative in decimal digits; where they end."""
    size, rest = 1, number
    while rest >= 10:
        rest //= 10
        size += 1
    for i in range(size):
        target[at + size - 1 - i] = 48 + number % 10
        number //= 10
    return at + size


@part
def put_word(target: Bytes, at: int, word: np.uint64) -> int:
    """Write 8 bytes, the most significant one first; where they end."""
    for i in range(8):
        target[at + i] = np.uint8((word >> np.uint64(56 - 8 * i)) & np.uint64(255))
    return at + 8


@njit
def _hash_one(data: Bytes, out: Words) -> None:
    out[0], out[1] = murmur(data, 0, len(data))


def digest(key: bytes) -> bytes:
    """The hash of a key as 16 bytes."""
    out = np.zeros(2, np.uint64)
    _hash_one(np.frombuffer(key, np.uint8), out)
    return bytes(out.astype(">u8").tobytes())


def event_prefix(tenant: str, source: str) -> bytes:
    """What the keys of all events of a source start with."""
    return f"{tenant}\0{source}\0".encode()


def event_id(tenant: str, source: str, source_id: str, version: int) -> bytes:
    """The id of an event, 16 bytes."""
    return digest(event_prefix(tenant, source) + f"{source_id}\0{version}".encode())


def entry_suffix(rules_version: str, basis: str) -> bytes:
    """What the keys of all entries of a rule set end with, before their kind."""
    return f"{rules_version[:VERSION_BYTES]}\0{basis}\0".encode()


def je_id(event: bytes, rules_version: str, basis: str, kind: int) -> bytes:
    """The id of an event's entry of a kind, 16 bytes."""
    return digest(event + entry_suffix(rules_version, basis) + bytes([kind]))
