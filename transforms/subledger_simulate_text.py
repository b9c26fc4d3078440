"""Simulated ledger rows as CSV lines: a compiled writer, since a hundred bytes a row would take Python longest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.jit import Compiler, shared
from transforms.subledger_simulate_model import (
    ACCOUNT,
    AMOUNT,
    CHARGE,
    CLASS,
    CURRENCY,
    D_ACCOUNT,
    D_CLASS,
    D_CURRENCY,
    D_DATE,
    D_DIGITS,
    D_ENTITY,
    D_FUTURE,
    D_NUMBER,
    D_RATE,
    D_VERSION,
    DATE,
    ID,
    INSTRUMENT,
    KIND,
    PRICE,
    QUANTITY,
    RATE,
    REFERENCE,
    SETTLED,
    Ints,
)

Bytes = NDArray[np.uint8]
_kernel = Compiler(Path(__file__).parent, "subledger_simulate*.py").njit

HEADER: Final = (
    b"source_id,version,event_class,entity,trade_date,settle_date,account_ref,instrument,quantity,price,currency,"
    b"amount,fee,fee_currency,fx_rate,reference\n"
)
LONGEST: Final = 320
"""Bytes that a line has at most."""
_COMMA, _POINT, _MINUS, _NEWLINE, _ZERO = 44, 46, 45, 10, 48
_CLASSES: Final = ("", "BUY", "SELL", "INCOME", "FEE", "FX", "SETTLE", "REVALUE", "CANCEL", "CORRECT")
WRONG: Final = (
    "", "2026-02-30", "TRANSFER", "1.2.3", "1.23456", "XXQ", "", "SUSPENSE", "ELSEWHERE", "", "", "2999-01-01", "v1",
)  # fmt: skip
"""By defect: what stands in the column at fault."""


class Texts(NamedTuple):
    """Tables of texts uint8[n, width], NUL padded: of classes, the entity, dates from `first_date` on, accounts,
    instruments, currencies, wrong values; digits by currency."""

    classes: Bytes
    entity: Bytes
    dates: Bytes
    first_date: int
    accounts: Bytes
    instruments: Bytes
    currencies: Bytes
    wrong: Bytes
    digits: Ints


def table(texts: list[str]) -> Bytes:
    """Texts as uint8[n, width], NUL padded."""
    width = max(map(len, texts)) + 1
    return np.array([text.encode() for text in texts], f"S{width}").view(np.uint8).reshape(len(texts), width)


def texts(
    entity: str, first: int, days: int, accounts: list[str], instruments: list[str], digits: dict[str, int]
) -> Texts:
    """The tables of a world; dates from day `first` (since 1970) on."""
    dates = [str(day) for day in np.arange(first, first + days).astype("datetime64[D]")]
    return Texts(
        table(list(_CLASSES)), table([entity]), table(dates), first, table(accounts), table(instruments),
        table(list(digits)), table(list(WRONG)), np.array(list(digits.values()), np.int64),
    )  # fmt: skip


@shared
def put_text(out: Bytes, at: int, text: Bytes) -> Any:
    """Write a text and a comma."""
    for byte in text:
        if byte == 0:
            break
        out[at] = byte
        at += 1
    out[at] = _COMMA
    return at + 1


@shared
def put_number(out: Bytes, at: int, number: int, decimals: int) -> Any:
    """Write a number of 10^-decimals and a comma."""
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    digits, rest = 1, number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    digits = max(digits, decimals + 1)
    end = at + digits + (1 if decimals else 0)
    place = end - 1
    for n in range(digits):
        if decimals and n == decimals:
            out[place] = _POINT
            place -= 1
        out[place] = _ZERO + number % 10
        number //= 10
        place -= 1
    out[end] = _COMMA
    return end + 1


@shared
def put_empty(out: Bytes, at: int) -> Any:
    """Write nothing and a comma."""
    out[at] = _COMMA
    return at + 1


@shared
def put_date(out: Bytes, at: int, texts: Texts, date: int) -> Any:
    """Write a date, or nothing for 0, and a comma."""
    return put_text(out, at, texts.dates[date - texts.first_date]) if date else put_empty(out, at)


@shared
def put_line(out: Bytes, at: int, row: Ints, texts: Texts) -> Any:
    """Write one row; where the next begins."""
    kind, currency = row[KIND], row[CURRENCY]
    wrong = texts.wrong[kind] if kind < len(texts.wrong) else texts.wrong[0]
    at = put_number(out, at, row[ID], 0)
    at = put_text(out, at, wrong) if kind == D_VERSION else put_number(out, at, 1, 0)
    at = put_text(out, at, wrong if kind == D_CLASS else texts.classes[row[CLASS]])
    at = put_text(out, at, wrong if kind == D_ENTITY else texts.entity[0])
    at = put_text(out, at, wrong) if kind in (D_DATE, D_FUTURE) else put_date(out, at, texts, row[DATE])
    at = put_date(out, at, texts, row[SETTLED])
    at = put_text(out, at, wrong if kind == D_ACCOUNT else texts.accounts[row[ACCOUNT]])
    at = put_text(out, at, texts.instruments[row[INSTRUMENT]]) if row[INSTRUMENT] >= 0 else put_empty(out, at)
    at = put_number(out, at, row[QUANTITY], 0) if row[QUANTITY] else put_empty(out, at)
    if row[PRICE] == 0:
        at = put_empty(out, at)
    elif row[PRICE] % 100:
        at = put_number(out, at, row[PRICE], 4)
    else:
        at = put_number(out, at, row[PRICE] // 100, 2)
    if kind == D_CURRENCY:
        at = put_text(out, at, wrong)
    else:
        at = put_text(out, at, texts.currencies[currency]) if currency >= 0 else put_empty(out, at)
    if kind in (D_NUMBER, D_DIGITS):
        at = put_text(out, at, wrong)
    else:
        at = put_number(out, at, row[AMOUNT], texts.digits[currency]) if row[AMOUNT] else put_empty(out, at)
    at = put_number(out, at, row[CHARGE], texts.digits[currency]) if row[CHARGE] else put_empty(out, at)
    at = put_empty(out, at)
    at = put_number(out, at, row[RATE], 6) if row[RATE] and kind != D_RATE else put_empty(out, at)
    if row[REFERENCE]:
        at = put_number(out, at, row[REFERENCE], 0) - 1
    out[at] = _NEWLINE
    return at + 1


@_kernel
def put_lines(out: Bytes, rows: Ints, texts: Texts) -> Any:
    """Write rows; the number of bytes. `out` has LONGEST bytes for each."""
    at = 0
    for n in range(len(rows)):
        at = put_line(out, at, rows[n], texts)
    return at
