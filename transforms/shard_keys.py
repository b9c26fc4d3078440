"""Beam keys for shards such that Flink's key groups spread them evenly over the subtasks.

Flink sends a key to subtask `key_group * parallelism // max_parallelism`, and the key group is a hash of the encoded
key, so a handful of arbitrary keys usually piles up on some subtasks. The keys here are salted until each falls into
its own stretch of key groups.
"""

from __future__ import annotations

from itertools import count

import mmh3

_MASK = 0xFFFFFFFF


def balanced_keys(names: list[str], max_parallelism: int) -> list[str]:
    """One key `name#salt` per name; name i of n lies in the i-th of n equal stretches of key groups.

    Spread is then even for every parallelism that divides n or is divided by it. Raises ValueError for more names
    than key groups.
    """
    if len(names) > max_parallelism:
        raise ValueError(f"{len(names)} shards need max_parallelism of at least {len(names)}, it is {max_parallelism}")
    return [_salted(name, index, len(names), max_parallelism) for index, name in enumerate(names)]


def _salted(name: str, index: int, total: int, max_parallelism: int) -> str:
    for salt in count():
        key = f"{name}#{salt}"
        if key_group(key, max_parallelism) * total // max_parallelism == index:
            return key
    raise AssertionError("unreachable: count() does not end")


def key_group(key: str, max_parallelism: int) -> int:
    """Flink's key group of a string key as Beam encodes it (UTF-8 with a length before it).

    Beam's `FlinkKey.hashCode` is the first four bytes of Murmur3-128; Flink scrambles it once more.
    """
    text = key.encode()
    beam_hash = mmh3.hash64(_varint(len(text)) + text, 0, x64arch=True, signed=False)[0] & _MASK
    return _murmur(beam_hash) % max_parallelism


def subtask(key: str, parallelism: int, max_parallelism: int) -> int:
    """Index of the subtask that Flink gives the key to."""
    return key_group(key, max_parallelism) * parallelism // max_parallelism


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _murmur(code: int) -> int:
    """org.apache.flink.util.MathUtils.murmurHash, as a number that is not negative."""
    code = code * 0xCC9E2D51 & _MASK
    code = _rotate(code, 15) * 0x1B873593 & _MASK
    code = (_rotate(code, 13) * 5 + 0xE6546B64) & _MASK
    code ^= 4
    code = (code ^ code >> 16) * 0x85EBCA6B & _MASK
    code = (code ^ code >> 13) * 0xC2B2AE35 & _MASK
    code ^= code >> 16
    if code < 0x80000000:
        return code
    return 0 if code == 0x80000000 else 0x100000000 - code
