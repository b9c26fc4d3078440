"""The line that a scored transaction leaves as, and how to read it.

`<the transaction's own text>,<scored>,<fraud>,<rule>,<name>,<version>,<score>,<flags>` in ASCII without a newline:
scored is the log time in ms of the verdict (0 for loaded history), fraud 0 or 1, rule the place in its set, from 1, of
the rule that decided (0: none), name the rule's (`-`: none), version that of the rule set (`-`: it came with the
loaded history), score the rule's, flags the sum of FRAUD, DUPLICATE, FUTURE and LOADED (`transforms.cards.fields`).
A job that explains appends `,` and the hits of a fraud's rules as a JSON array to its alert.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from transforms.cards.fields import DUPLICATE, FUTURE
from transforms.cards.jit import Bytes, Longs, copy_bytes, part

_OWN: Final = 9
_FIELDS: Final = _OWN + 7
UNKNOWN: Final = b",-,-,0,"
"""What stands after the number of a rule whose set is not known."""
LINE: Final = 99 + 1 + 19 + 2 + 1 + 4 + len(UNKNOWN) + 3
"""Most bytes of a line with its newline, but for the label."""


class Scored(NamedTuple):
    """A scored transaction. `text` is the transaction as it was sent; times in ms since the epoch."""

    text: bytes
    card: int
    time: int
    amount: int
    scored: int
    fraud: bool
    rule: int
    name: str
    version: str
    score: int
    flags: int
    hits: list[Any] | None
    """Every rule that hit, with the numbers that made it hit; None if the job does not explain."""

    @property
    def duplicate(self) -> bool:
        """An exact copy of a transaction the card remembers; the verdict is that one's."""
        return bool(self.flags & DUPLICATE)

    @property
    def future(self) -> bool:
        """Its timestamp lay more than five minutes after log time."""
        return bool(self.flags & FUTURE)


def decode_scored(value: bytes) -> Scored:
    """Read a record of scored-transactions or card-alerts. Raises ValueError for another one."""
    parts = value.split(b",", _FIELDS)
    if len(parts) < _FIELDS:
        raise ValueError(f"a scored transaction has {_FIELDS} fields, this has {len(parts)} in {len(value)} bytes")
    scored, fraud, rule, name, version, score, flags = parts[_OWN:_FIELDS]
    return Scored(
        text=b",".join(parts[:_OWN]),
        card=int(parts[0]),
        time=int(parts[1]),
        amount=int(parts[4]),
        scored=int(scored),
        fraud=fraud == b"1",
        rule=int(rule),
        name=name.decode(),
        version=version.decode(),
        score=int(score),
        flags=int(flags),
        hits=json.loads(parts[_FIELDS]) if len(parts) > _FIELDS else None,
    )


class Labels(NamedTuple):
    """What a verdict looks like in a line, for the rules of every set by its number (0: no set is known).

    `starts` int64[sets + 1]: the rows of each set, first the one for no rule; `rows` uint8[n, most bytes] hold
    `,<rule>,<name>,<version>,<score>,` and `sizes` int64[n] their lengths.
    """

    starts: Longs
    rows: Bytes
    sizes: Longs


def make_labels(sets: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> Labels:
    """Labels of sets 1 and on, given as (version, [(rule name, score)])."""
    texts = [b",0,-,-,0,"]
    starts = [0, 1]
    for version, rules in sets:
        texts.append(f",0,-,{version},0,".encode())
        texts += [f",{at},{name},{version},{score},".encode() for at, (name, score) in enumerate(rules, 1)]
        starts.append(len(texts))
    width = max(map(len, texts))
    rows = np.frombuffer(b"".join(text.ljust(width) for text in texts), np.uint8).reshape(-1, width)
    return Labels(np.array(starts, np.int64), rows.copy(), np.array([len(text) for text in texts], np.int64))


@part
def write_number(out: Bytes, at: int, number: int) -> int:
    """Write a non-negative number in decimal; returns where it ends."""
    size = 1
    rest = number // 10
    while rest > 0:
        size += 1
        rest //= 10
    for i in range(at + size - 1, at - 1, -1):
        out[i] = 48 + number % 10
        number //= 10
    return at + size


@part
def write_time(out: Bytes, at: int, time: int) -> int:
    """Write a time in ms, which most often has 13 digits; returns where it ends."""
    if time < 1_000_000_000_000 or time >= 10_000_000_000_000:
        return write_number(out, at, time)
    seconds, ms = time // 1000, time % 1000
    for i in range(at + 9, at - 1, -1):
        out[i] = 48 + seconds % 10
        seconds //= 10
    out[at + 10] = 48 + ms // 100
    out[at + 11] = 48 + ms // 10 % 10
    out[at + 12] = 48 + ms % 10
    return at + 13


@part
def write_line(
    out: Bytes, at: int, text: Bytes, labels: Labels, number: int, rule: int, scored: int, flags: int
) -> int:
    """Write a line and its newline at `at`; `number` is that of the rule set. Returns where it ends."""
    size = len(text)
    copy_bytes(out, at, text, size)
    at += size
    out[at] = 44
    at = write_time(out, at + 1, scored)
    out[at] = 44
    out[at + 1] = 48 + (flags & 1)
    at += 2
    label = labels.starts[number] + rule if number + 1 < len(labels.starts) else len(labels.sizes)
    if label < len(labels.sizes) and label < labels.starts[number + 1]:
        size = labels.sizes[label]
        copy_bytes(out, at, labels.rows[label], size)
        at += size
    else:
        out[at] = 44
        at = write_number(out, at + 1, rule)
        for character in UNKNOWN:
            out[at] = character
            at += 1
    at = write_number(out, at, flags)
    out[at] = 10
    return at + 1
