"""The 100-byte packet of a transaction: parsed into packed items for whole batches at once, and written."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.cards.base import TEXT
from transforms.cards.fields import FUTURE, LOADED, MAX_AMOUNT, MAX_TIME_DIGITS, PACKET
from transforms.cards.jit import Bytes, Longs, njit, part, whole
from transforms.cards.packed import LOADED_BIT, WORDS, word0, word1, word3

OK: Final = 0
REASONS: Final = (
    ("", ""),
    ("not a packet of 100 bytes that ends with a newline", "send one packet per record, NUL padded to byte 99"),
    ("the card is not 14 digits", "send 14 digits with leading zeros"),
    ("the timestamp is not 1 to 13 digits", "send milliseconds since the epoch"),
    ("the amount is not digits below 2^31", "send minor units, 1 to 10 digits"),
    (
        "country, response, currency, merchant or city is not 3, 2, 3, 4 or 5 characters of printable ASCII",
        "send each field at its width, digits with leading zeros",
    ),
    ("the code is not 5 to 8 characters of printable ASCII", "send 5 to 8 characters and NUL bytes after them"),
    ("the card belongs to another partition", "choose the partition with transforms.cards.routing.partitions_of"),
)
"""By status: why a record was not taken, and what to do."""
SIZE, BAD_CARD, BAD_TIME, BAD_AMOUNT, BAD_FIELD, BAD_CODE, ELSEWHERE = range(1, 8)

_COMMA: Final = 44
_TEXT_BIT: Final = -(1 << 63)


@part
def _number(buffer: Bytes, at: int, width: int) -> int:
    """The number of `width` digits at `at`; -1 if another character is among them."""
    value = 0
    for i in range(at, at + width):
        digit = whole(buffer[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@part
def _digits(buffer: Bytes, at: int, most: int) -> tuple[int, int]:
    """Number and count of the digits before the comma; count -1 if there are none, too many, or others."""
    value = 0
    for i in range(most + 1):
        character = whole(buffer[at + i])
        if character == _COMMA:
            return value, i if i > 0 else -1
        if character < 48 or character > 57:
            return 0, -1
        value = value * 10 + character - 48
    return 0, -1


@part
def _plain(buffer: Bytes, at: int, width: int) -> bool:
    """Whether these are printable ASCII characters other than a comma."""
    plain = True
    for i in range(at, at + width):
        if buffer[i] < 32 or buffer[i] > 126 or buffer[i] == _COMMA:
            plain = False
    return plain


@part
def _code(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Number (-1: not digits) and characters (0: not a code) of the code at `at`, NUL padded to `end`."""
    last = at
    while last < end and buffer[last] != 0:
        last += 1
    size = last - at
    if size < 5 or size > 8 or not _plain(buffer, at, size):
        return 0, 0
    for i in range(last, end):
        if buffer[i] != 0:
            return 0, 0
    return _number(buffer, at, size), size


@part
def parse_packet(buffer: Bytes, at: int, item: Longs) -> tuple[int, int, int]:
    """Parse the packet at `at`, PACKET bytes long, into `item` (int64[4], no verdict): status, card, characters.

    An item with text has its bit set and 0 for the row: `copy_text` makes the row.
    """
    end = at + PACKET - 1
    if buffer[end] != 10:
        return SIZE, 0, 0
    card = _number(buffer, at, 14)
    if card < 0 or buffer[at + 14] != _COMMA:
        return BAD_CARD, 0, 0
    time, time_digits = _digits(buffer, at + 15, MAX_TIME_DIGITS)
    if time_digits < 0:
        return BAD_TIME, 0, 0
    place = at + 16 + time_digits
    amount, amount_digits = _digits(buffer, place + 7, 10)
    if buffer[place + 3] != _COMMA or buffer[place + 6] != _COMMA:
        return BAD_FIELD, 0, 0
    if amount_digits < 0 or amount > MAX_AMOUNT:
        return BAD_AMOUNT, 0, 0
    rest = place + 8 + amount_digits
    if buffer[rest + 3] != _COMMA or buffer[rest + 8] != _COMMA or buffer[rest + 14] != _COMMA:
        return BAD_FIELD, 0, 0
    code, size = _code(buffer, rest + 15, end)
    if size == 0:
        return BAD_CODE, 0, 0
    country, response = _number(buffer, place, 3), _number(buffer, place + 4, 2)
    currency, merchant, city = _number(buffer, rest, 3), _number(buffer, rest + 4, 4), _number(buffer, rest + 9, 5)
    item[0] = word0(time, time_digits)
    item[1] = word1(amount, amount_digits, max(code, 0), size)
    item[2] = 0
    if (country | response | currency | merchant | city | code) >= 0:
        item[3] = word3(country, response, currency, merchant, city)
    else:
        if not (_plain(buffer, place, 3) and _plain(buffer, place + 4, 2) and _plain(buffer, rest, 3)
                and _plain(buffer, rest + 4, 4) and _plain(buffer, rest + 9, 5)):  # fmt: skip
            return BAD_FIELD, 0, 0
        item[0] |= _TEXT_BIT
        item[1] = word1(amount, amount_digits, 0, size)
        item[3] = 0
    return OK, card, rest + 15 + size - at


@part
def copy_text(buffer: Bytes, at: int, item: Longs, row: Bytes) -> None:
    """Copy the text fields of the parsed packet at `at` into a text row uint8[TEXT]."""
    place = at + 16 + (item[0] >> 44 & 15)
    rest = place + 8 + (item[1] >> 31 & 15)
    size = 5 + (item[1] >> 62 & 3)
    for i in range(3):
        row[i] = buffer[place + i]
        row[5 + i] = buffer[rest + i]
    for i in range(2):
        row[3 + i] = buffer[place + 4 + i]
    for i in range(4):
        row[8 + i] = buffer[rest + 4 + i]
    for i in range(5):
        row[12 + i] = buffer[rest + 9 + i]
    for i in range(8):
        row[17 + i] = buffer[rest + 15 + i] if i < size else 0


@njit
def parse_into(
    buffer: Bytes,
    starts: Longs,
    lengths: Longs,
    statuses: Bytes,
    cards: Longs,
    items: Longs,
    sizes: Longs,
) -> int:
    """Parse n records of `buffer` at `starts` into columns of n; returns how many items have text."""
    texts = 0
    for i in range(len(starts)):
        if lengths[i] != PACKET:
            statuses[i] = SIZE
            continue
        status, cards[i], sizes[i] = parse_packet(buffer, starts[i], items[i])
        statuses[i] = status
        if status == OK and items[i, 0] < 0:
            texts += 1
    return texts


@njit
def _rows_into(
    buffer: Bytes,
    statuses: Bytes,
    items: Longs,
    texts: Bytes,
) -> None:
    row = 0
    for i in range(len(items)):
        if statuses[i] == OK and items[i, 0] < 0:
            copy_text(buffer, i * PACKET, items[i], texts[row])
            items[i, 3] = row
            row += 1


class Packets(NamedTuple):
    """Parsed packets as columns: `statuses` uint8[n] (index of REASONS), `cards` uint64[n], `items` uint64[n, 4] and
    the text rows uint8[m, TEXT] that items with text point to. What stands where a status is not OK means nothing."""

    statuses: Bytes
    cards: npt.NDArray[np.uint64]
    items: npt.NDArray[np.uint64]
    texts: Bytes


def parse(packets: bytes | Bytes, *, loaded: bool = False) -> Packets:
    """Parse packets that stand one after the other. `loaded` marks the items as loaded history.

    Raises ValueError if the bytes are not whole packets.
    """
    # Kernels are compiled for arrays that may be written to.
    buffer = np.frombuffer(bytearray(packets), np.uint8)
    count, rest = divmod(len(buffer), PACKET)
    if rest:
        raise ValueError(f"{len(buffer)} bytes are not whole packets of {PACKET}")
    starts = np.arange(count, dtype=np.int64) * PACKET
    statuses, cards, sizes = np.zeros(count, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.int64)
    items = np.zeros((count, WORDS), np.int64)
    found = parse_into(buffer, starts, np.full(count, PACKET, np.int64), statuses, cards, items, sizes)
    texts = np.zeros((found, TEXT), np.uint8)
    if found:
        _rows_into(buffer, statuses, items, texts)
    if loaded:
        items[:, 0] |= LOADED_BIT
    return Packets(statuses, cards.view(np.uint64), items.view(np.uint64), texts)


def packet(text: bytes) -> bytes:
    """The packet of a transaction's text. Raises ValueError if it is longer than fits."""
    if len(text) >= PACKET:
        raise ValueError(f"{len(text)} characters do not fit a packet of {PACKET} bytes")
    return text.ljust(PACKET - 1, b"\0") + b"\n"


assert LOADED_BIT == (LOADED & (FUTURE | LOADED)) << 59
