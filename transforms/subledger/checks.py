"""What makes a row's values wrong, in a file or when it is booked: codes of column and reason."""

from __future__ import annotations

from typing import Final

import numpy as np

from transforms.jit import part
from transforms.subledger.fields import BUY, COLUMNS, FEE, FX, INCOME, REVALUE, SELL, SETTLE
from transforms.subledger.jit import NONE

(SOURCE_ID, VERSION, EVENT_CLASS, ENTITY, TRADE_DATE, SETTLE_DATE, ACCOUNT_REF, INSTRUMENT, QUANTITY, PRICE, CURRENCY,
 AMOUNT, FEE_COLUMN, FEE_CURRENCY, FX_RATE, REFERENCE) = range(len(COLUMNS))  # fmt: skip
"""Columns by their place in `COLUMNS`."""
ROW: Final = len(COLUMNS)
"""Stands for the row as a whole, in place of a column."""

REASONS: Final = (
    "",
    "is empty",
    "is longer than 128 bytes",
    "has a control character",
    "is no UTF-8",
    "is no whole number from 1 to 2147483647",
    "is no event class",
    "is another entity than the request's",
    "is no date as in 2026-01-31, from 1900 to 2199",
    "no accounting period is open on or after it",
    "is no decimal number",
    "has more decimals than it can have",
    "is too large",
    "is no currency of ISO 4217",
    "must be positive",
    "must not be negative",
    "must not be zero",
    "is missing, for the currency is not the base currency",
    "must be empty or 1, for the currency is the base currency",
    "must be another than the base currency",
    "must be the row's currency or the base currency",
    "quantity x price is too large",
    "has another number of columns than the header",
    "the instrument is held in another currency",
    "more than is held",
    "the position would be too large",
    "no rule for this class and these values",
    "no account for it in the mapping",
    "the rule that applies books no fee",
    "a line adds it to amounts of another currency",
    "no such event of its instrument or account before this one",
    "is already cancelled or corrected",
    "a cancel can be cancelled, not corrected",
    "lot partly sold",
    "the entry's amounts are too large",
)  # fmt: skip
(OK, EMPTY, LONG, CONTROL, NO_UTF8, NO_NUMBER, NO_CLASS, OTHER_ENTITY, NO_DATE, NO_PERIOD, NO_DECIMAL, DECIMALS, LARGE,
 NO_CURRENCY, NOT_POSITIVE, NEGATIVE, ZERO, NO_RATE, NOT_ONE, IS_BASE, OTHER_CURRENCY, PRODUCT, WIDTH, HELD_OTHERWISE,
 TOO_MUCH, TOO_LARGE, NO_RULE, NO_ACCOUNT, NO_FEE, MIXED_FEE, NO_EVENT, TAKEN_BACK, OF_CANCEL,
 PARTLY_SOLD, OVERFLOW) = range(len(REASONS))  # fmt: skip
"""Reasons by their place in `REASONS`."""
_SHIFT: Final = 64


def code(column: int, reason: int) -> int:
    """One number for a column and a reason."""
    return column * _SHIFT + reason


fault = part(code)
"""`code` for compiled functions."""


def column_of(number: int) -> str:
    """The column's name in a code, empty for the row as a whole."""
    place = number // _SHIFT
    return "" if place == ROW else COLUMNS[place]


def reason_of(number: int) -> str:
    """The reason in a code."""
    return REASONS[number % _SHIFT]


_BUY, _SELL, _INCOME, _FEE, _FX, _SETTLE, _REVALUE = BUY, SELL, INCOME, FEE, FX, SETTLE, REVALUE


@part
def class_fault(
    event_class: int, has_instrument: bool, quantity: int, price: int, currency: int, base: int, amount: int
) -> int:
    """What values of a class are missing or out of range, 0 if none. CANCEL and CORRECT have no values of their own.

    Quantity, price and amount may be NONE; currencies are numbers, below 0 for a missing one.
    """
    if currency < 0:
        return fault(CURRENCY, EMPTY)
    if event_class in (_BUY, _SELL, _REVALUE) and not has_instrument:
        return fault(INSTRUMENT, EMPTY)
    if event_class in (_BUY, _SELL):
        if quantity == NONE:
            return fault(QUANTITY, EMPTY)
        if quantity <= 0:
            return fault(QUANTITY, NOT_POSITIVE)
        if amount == NONE:
            return fault(AMOUNT, EMPTY)
        if amount < 0:
            return fault(AMOUNT, NEGATIVE)
    elif event_class == _REVALUE:
        if price == NONE:
            return fault(PRICE, EMPTY)
        if price < 0:
            return fault(PRICE, NEGATIVE)
    else:
        if amount == NONE:
            return fault(AMOUNT, EMPTY)
        if amount == 0:
            return fault(AMOUNT, ZERO)
        if event_class == _FX:
            if currency == base:
                return fault(CURRENCY, IS_BASE)
            if price != NONE and price <= 0:
                return fault(PRICE, NOT_POSITIVE)
    return 0


def currency_number(text: str) -> int:
    """A currency's number: its letters in base 26."""
    one, two, three = text.encode()
    return ((one - 65) * 26 + two - 65) * 26 + three - 65


CURRENCIES: Final = 26**3
"""Currency numbers are below this one."""


def currency_text(number: int) -> str:
    """The currency of a number."""
    return chr(65 + number // 676) + chr(65 + number // 26 % 26) + chr(65 + number % 26)


def units_of(digits: dict[str, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """By currency number, the smallest amount in 10^-4; 0 for what is no currency."""
    units = np.zeros(CURRENCIES, np.int64)
    for text, number in digits.items():
        units[currency_number(text)] = 10 ** (4 - number)
    return units
