"""A past transaction with its verdict in 32 bytes: four 64-bit words, from which every character comes back.

    word 0   time 44 | digits of time 4 | rule 12 | fraud 1 | future 1 | loaded 1 | text 1
    word 1   amount 31 | digits of amount 4 | code 27 | characters of code less 5: 2
    word 2   scored 44 | rule set 16 | unused 4
    word 3   city 17 | merchant 14 | country 10 | currency 10 | response 7 | unused 6

Bits from the lowest up. The digits are kept for leading zeros; the card is that of the history the item is in; the
rule set is its number in the shard. An item with `text` set has a field that is not all digits: its word 3 is then the
index of a row of TEXT bytes in a side table (country, response, currency, merchant, city, code, NUL padded), and the
code in word 1 is 0. A row belongs to one item and is free again when that leaves the history.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from transforms.cards.base import TEXT
from transforms.cards.fields import (
    AMOUNT,
    CARD,
    CITY,
    CODE,
    COUNTRY,
    CURRENCY,
    FIELDS,
    FLAGS,
    FRAUD,
    FUTURE,
    LOADED,
    MAX_CODE,
    MERCHANT,
    MIN_CODE,
    RESPONSE,
    RULE,
    SCORED,
    TIME,
)  # fmt: skip
from transforms.cards.jit import Bytes, Longs, njit, part, whole

WORDS: Final = 4
MAX_RULE: Final = 2**12 - 1
MAX_SET: Final = 2**16 - 1

TIME_MASK: Final = 2**44 - 1
AMOUNT_MASK: Final = 2**31 - 1
_CODE_MASK: Final = 2**27 - 1
LOADED_BIT: Final = 1 << 62
_PLACES: Final = ((0, 3), (3, 2), (5, 3), (8, 4), (12, 5), (17, MAX_CODE))
"""Where country, response, currency, merchant, city and code stand in a text row."""


@part
def word0(time: int, digits: int) -> int:
    """Word 0 of a transaction without a verdict."""
    return time | digits << 44


@part
def word1(amount: int, digits: int, code: int, characters: int) -> int:
    """Word 1."""
    return amount | digits << 31 | code << 35 | (characters - 5) << 62


@part
def word3(country: int, response: int, currency: int, merchant: int, city: int) -> int:
    """Word 3 of an item whose fields are all digits."""
    return city | merchant << 17 | country << 31 | currency << 41 | response << 51


@part
def with_verdict(first: int, rule: int, flags: int) -> int:
    """Word 0 with the rule that decided and FRAUD, FUTURE and LOADED of `flags`."""
    return first | rule << 48 | (flags & FRAUD) << 60 | (flags & (FUTURE | LOADED)) << 59


@part
def rule_of(first: int) -> int:
    """The rule that decided, from word 0."""
    return first >> 48 & 0xFFF


@part
def flags_of(first: int) -> int:
    """FRAUD, FUTURE and LOADED from word 0."""
    return (first >> 60 & FRAUD) | (first >> 59 & (FUTURE | LOADED))


@part
def _text_at(row: Bytes, at: int, width: int) -> int:
    """`fields.text_value` of part of a text row."""
    number = 0
    raw = 0
    digits = True
    for i in range(at, at + width):
        character = whole(row[i])
        raw = raw << 8 | character
        number = number * 10 + character - 48
        if character < 48 or character > 57:
            digits = False
    return number if digits else -raw


@part
def unpack(item: Longs, texts: Bytes, columns: Longs, at: int) -> None:
    """Write one item (int64[4]) into column `at` of `columns` (int64[FIELDS, n]), all rows but CARD."""
    first, second, third, fourth = item[0], item[1], item[2], item[3]
    columns[TIME, at] = first & TIME_MASK
    columns[AMOUNT, at] = second & AMOUNT_MASK
    columns[SCORED, at] = third & TIME_MASK
    columns[RULE, at] = first >> 48 & 0xFFF
    columns[FLAGS, at] = (first >> 60 & FRAUD) | (first >> 59 & (FUTURE | LOADED))
    if first < 0:
        row = texts[fourth]
        columns[COUNTRY, at] = _text_at(row, 0, 3)
        columns[RESPONSE, at] = _text_at(row, 3, 2)
        columns[CURRENCY, at] = _text_at(row, 5, 3)
        columns[MERCHANT, at] = _text_at(row, 8, 4)
        columns[CITY, at] = _text_at(row, 12, 5)
        columns[CODE, at] = _text_at(row, 17, 5)
        return
    columns[CITY, at] = fourth & 0x1FFFF
    columns[MERCHANT, at] = fourth >> 17 & 0x3FFF
    columns[COUNTRY, at] = fourth >> 31 & 0x3FF
    columns[CURRENCY, at] = fourth >> 41 & 0x3FF
    columns[RESPONSE, at] = fourth >> 51 & 0x7F
    code = second >> 35 & _CODE_MASK
    longer = second >> 62 & 3
    if longer == 1:
        code //= 10
    elif longer == 2:
        code //= 100
    elif longer == 3:
        code //= 1000
    columns[CODE, at] = code


def unpack_all(items: npt.NDArray[np.uint64], texts: Bytes, card: int = 0) -> Longs:
    """Columns int64[FIELDS, n] of packed items uint64[n, 4], as rules see them."""
    columns = np.zeros((FIELDS, len(items)), np.int64)
    columns[CARD] = card
    _unpack_into(items.astype(np.int64), texts, columns)
    return columns


@njit
def _unpack_into(items: Longs, texts: Bytes, columns: Longs) -> None:
    for at in range(len(items)):
        unpack(items[at], texts, columns, at)


def pack(
    time: Longs,
    country: Longs,
    response: Longs,
    amount: Longs,
    currency: Longs,
    merchant: Longs,
    city: Longs,
    code: Longs,
    *,
    code_characters: Longs | int = MIN_CODE,
    flags: Longs | int = LOADED,
    rule: Longs | int = 0,
    scored: Longs | int = 0,
) -> npt.NDArray[np.uint64]:
    """Items uint64[n, 4] of all-digit transactions given as columns int64[n]; numbers as written, `code` the whole one.

    Times and amounts have no leading zeros. Raises ValueError for a value that does not fit its field.
    """
    for name, values, limit in (
        ("time", time, 10**13), ("country", country, 1000), ("response", response, 100), ("amount", amount, 2**31),
        ("currency", currency, 1000), ("merchant", merchant, 10_000), ("city", city, 100_000), ("code", code, 10**8),
    ):  # fmt: skip
        if len(values) and not (values.min() >= 0 and values.max() < limit):
            raise ValueError(f"{name} from {values.min()} to {values.max()}: must be 0 to {limit - 1}")
    items = np.empty((len(time), WORDS), np.int64)
    kept = np.asarray(flags, np.int64)
    items[:, 0] = time | digits_of(time) << 44 | np.asarray(rule, np.int64) << 48
    items[:, 0] |= (kept & FRAUD) << 60 | (kept & (FUTURE | LOADED)) << 59
    items[:, 1] = amount | digits_of(amount) << 31 | code << 35 | (np.asarray(code_characters, np.int64) - 5) << 62
    items[:, 2] = scored
    items[:, 3] = city | merchant << 17 | country << 31 | currency << 41 | response << 51
    return items.view(np.uint64)


def digits_of(values: Longs) -> Longs:
    """How many decimal digits each non-negative value has: int64[n]."""
    return np.maximum(np.searchsorted(10 ** np.arange(19, dtype=np.int64), values, side="right"), 1)


def text_of(card: int, item: npt.NDArray[np.uint64], texts: Bytes) -> bytes:
    """The transaction as it was written, `card,timestamp,...,code`, from its card number and its item uint64[4]."""
    first, second, _, fourth = (int(word) for word in item)
    time = b"%0*d" % (first >> 44 & 15, first & TIME_MASK)
    amount = b"%0*d" % (second >> 31 & 15, second & AMOUNT_MASK)
    if first >> 63:
        row = texts[fourth].tobytes()
        assert len(row) == TEXT
        country, response, currency, merchant, city, code = (row[at : at + width] for at, width in _PLACES)
        code = code.rstrip(b"\0")
    else:
        code = b"%0*d" % (MIN_CODE + (second >> 62 & 3), second >> 35 & _CODE_MASK)
        city, merchant = b"%05d" % (fourth & 0x1FFFF), b"%04d" % (fourth >> 17 & 0x3FFF)
        country, currency = b"%03d" % (fourth >> 31 & 0x3FF), b"%03d" % (fourth >> 41 & 0x3FF)
        response = b"%02d" % (fourth >> 51 & 0x7F)
    return b",".join((b"%014d" % card, time, country, response, amount, currency, merchant, city, code))
