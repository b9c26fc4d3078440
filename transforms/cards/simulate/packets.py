"""Packets of 100 bytes from numbers, all rows at once: digits come from tables, not from text formatting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import PACKET
from transforms.cards.simulate.people import Population
from transforms.cards.simulate.rows import (
    AMOUNT,
    CARD,
    CITY,
    CODE,
    COUNTRY,
    CURRENCY,
    MERCHANT,
    RESPONSE,
    TIME,
    Bools,
    Ints,
    Rows,
)

Packets = NDArray[np.uint8]
"""uint8[n, 100]."""

_AMOUNT_AT = 36
_TAIL = 24
_WIDEST = 12
_LONG, _LETTER = 31, 1023


def _table(digits: int, end: str = "") -> NDArray[np.uint32]:
    """Texts of all numbers of so many digits with what follows, four bytes each as one little-endian word."""
    texts = [f"{number:0{digits}d}{end}".ljust(4, "\0").encode() for number in range(10**digits)]
    return np.frombuffer(b"".join(texts), "<u4")


_FOUR, _THREE, _TWO, _ONE = _table(4), _table(3, ","), _table(2, ","), _table(1)
# A word that is written first and overlaps the next loses its padding to it, so parts go left to right.
_HEAD = np.dtype(
    {
        "names": ["c0", "c1", "c2", "c3", "m0", "t0", "t1", "t2", "t3", "m1", "country", "response"],
        "formats": ["<u4"] * 4 + ["u1"] + ["<u4"] * 4 + ["u1"] + ["<u4"] * 2,
        "offsets": [0, 2, 6, 10, 14, 15, 16, 20, 24, 28, 29, 33],
        "itemsize": PACKET,
    }
)
_REST = np.dtype(
    {
        "names": ["a0", "a1", "a2", "m0", "currency", "merchant", "m1", "d0", "d1", "m2", "k0", "k1"],
        "formats": ["<u4"] * 3 + ["u1"] + ["<u4"] * 2 + ["u1"] + ["<u4"] * 2 + ["u1"] + ["<u4"] * 2,
        "offsets": [0, 4, 8, 12, 13, 17, 21, 22, 23, 27, 28, 29],
        "itemsize": _WIDEST + _TAIL,
    }
)
_SUFFIX = np.dtype({"names": ["s"], "formats": ["V3"], "offsets": [33], "itemsize": _WIDEST + _TAIL})
_COMMA = ord(",")


def packets(people: Population, rows: Rows) -> Packets:
    """The wire records of simulated transactions."""
    count = rows.shape[1]
    made = np.zeros((count, PACKET), np.uint8)
    head = made.reshape(-1).view(_HEAD)
    numbers = people.numbers(rows[CARD]).astype(np.int64)
    upper, lower = numbers // 100_000_000, numbers % 100_000_000
    head["c0"], head["c1"] = _TWO[upper // 10_000], _FOUR[upper % 10_000]
    head["c2"], head["c3"] = _FOUR[lower // 10_000], _FOUR[lower % 10_000]
    upper, lower = rows[TIME] // 100_000_000, rows[TIME] % 100_000_000
    head["m0"] = head["m1"] = _COMMA
    head["t0"], head["t1"] = _ONE[upper // 10_000], _FOUR[upper % 10_000]
    head["t2"], head["t3"] = _FOUR[lower // 10_000], _FOUR[lower % 10_000]
    head["country"], head["response"] = _THREE[rows[COUNTRY]], _TWO[rows[RESPONSE]]
    _place_rest(made, rows[AMOUNT], _rest(rows))
    made[:, PACKET - 1] = ord("\n")
    return made


def code_suffix(cards: Ints) -> tuple[Ints, Ints]:
    """How many digits (0 to 3) follow the first five of the cards' transaction codes, and which number they are."""
    return np.where((cards & _LONG) == 5, 1 + cards % 3, 0), cards % 10


def lettered(cards: Ints) -> Bools:
    """Cards whose transaction codes begin with W: a wallet."""
    return np.asarray((cards & _LETTER) == 9)


def _rest(rows: Rows) -> NDArray[np.void]:
    """Everything from the amount on, the amount as 12 digits."""
    rest = np.zeros(rows.shape[1], _REST)
    amount = rows[AMOUNT]
    upper, lower = amount // 100_000_000, amount % 100_000_000
    rest["a0"], rest["a1"], rest["a2"] = _FOUR[upper], _FOUR[lower // 10_000], _FOUR[lower % 10_000]
    rest["m0"] = rest["m1"] = rest["m2"] = _COMMA
    rest["currency"], rest["merchant"] = _THREE[rows[CURRENCY]], _FOUR[rows[MERCHANT]]
    rest["d0"], rest["d1"] = _ONE[rows[CITY] // 10_000], _FOUR[rows[CITY] % 10_000]
    rest["k0"], rest["k1"] = _ONE[rows[CODE] // 10_000], _FOUR[rows[CODE] % 10_000]
    raw = rest.view(np.uint8).reshape(-1, _WIDEST + _TAIL)
    raw[lettered(rows[CARD]), 28] = ord("W")
    lengths, digit = code_suffix(rows[CARD])
    longer = np.flatnonzero(lengths)
    for place in range(3):
        some = longer[lengths[longer] > place]
        raw[some, 33 + place] = ord("0") + digit[some]
    return rest


def _place_rest(made: Packets, amounts: Ints, rest: NDArray[np.void]) -> None:
    """Copy the rest behind the head, the amount without its leading zeros."""
    raw, flat = rest.view(np.uint8), made.reshape(-1)
    digits = np.searchsorted(10 ** np.arange(1, 10, dtype=np.int64), amounts, side="right") + 1
    for count in np.unique(digits):
        size = int(count) + _TAIL
        source = np.dtype({"names": ["x"], "formats": [f"V{size}"], "offsets": [_WIDEST - int(count)],
                           "itemsize": _WIDEST + _TAIL})  # fmt: skip
        target = np.dtype({"names": ["x"], "formats": [f"V{size}"], "offsets": [_AMOUNT_AT], "itemsize": PACKET})
        some = np.flatnonzero(digits == count)
        flat.view(target)["x"][some] = raw.view(source)["x"][some]
