"""Fields of a line of CSV: decimals, dates, numbers and names, from bytes and with the reason where they are none."""

from __future__ import annotations

from typing import Final

from transforms.jit import part, shared
from transforms.subledger import checks as c
from transforms.subledger.fields import CLASSES
from transforms.subledger.jit import NONE, Bytes, long

_LONGEST_NAME: Final = 128
_DIGITS: Final = 18
_CLASS_WORDS: Final = tuple(int.from_bytes(name.encode(), "little") for name in CLASSES)
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199
MONTHS: Final = (_LAST_YEAR - _FIRST_YEAR + 1) * 12
"""Months that a date can be in."""


def month_number(period: int) -> int:
    """The place of a period (yyyymm) among the `MONTHS`; outside of them where it is in none."""
    return (period // 100 - _FIRST_YEAR) * 12 + period % 100 - 1


@shared
def decimal(data: Bytes, start: int, stop: int, scale: int, allowed: int) -> tuple[int, int]:
    """The number in 10^-scale and 0, or any and the reason; NONE for an empty field.

    Decimals after the `allowed` ones must be zeros; with those of the scale, a number has at most 18 digits.
    """
    if start == stop:
        return NONE, c.OK
    negative = data[start] == 45
    at = start + 1 if negative else start
    value, digits, decimals = long(0), 0, -1
    if at == stop or data[at] == 46 or data[stop - 1] == 46:
        return NONE, c.NO_DECIMAL
    while at < stop:
        sign = long(data[at]) - 48
        if 0 <= sign <= 9:
            if decimals >= allowed:
                if sign != 0:
                    return NONE, _decimals_reason(data, at, stop)
            else:
                value = value * 10 + sign
                digits += value > 0
                decimals += decimals >= 0
                if digits > _DIGITS:
                    return NONE, c.LARGE
        elif sign == -2 and decimals < 0:
            decimals = 0
        else:
            return NONE, c.NO_DECIMAL
        at += 1
    missing = scale - max(decimals, 0)
    if value > 0 and digits + missing > _DIGITS:
        return NONE, c.LARGE
    for _ in range(missing):
        value *= 10
    return -value if negative else value, c.OK


@part
def _decimals_reason(data: Bytes, start: int, stop: int) -> int:
    for at in range(start, stop):
        if not 48 <= data[at] <= 57:
            return c.NO_DECIMAL
    return c.DECIMALS


@part
def date(data: Bytes, start: int, stop: int) -> tuple[int, int]:
    """Days since 1970 and the place of its month among the `MONTHS`; NONE if it is no date."""
    if stop - start != 10 or data[start + 4] != 45 or data[start + 7] != 45:
        return NONE, 0
    year, month, day = long(0), long(0), long(0)
    for i in range(10):
        digit = long(data[start + i]) - 48
        if i in (4, 7):
            continue
        if not 0 <= digit <= 9:
            return NONE, 0
        if i < 4:
            year = year * 10 + digit
        elif i < 7:
            month = month * 10 + digit
        else:
            day = day * 10 + digit
    if not (_FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12 and 1 <= day <= _month_days(year, month)):
        return NONE, 0
    return days(year, month, day), (year - _FIRST_YEAR) * 12 + month - 1


@part
def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@part
def days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date after 1600. Counted from March on, so that the leap day comes last in its year."""
    year -= month <= 2
    in_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + in_year - 719468


@part
def whole(data: Bytes, start: int, stop: int) -> int:
    """A number from 1 to 2^31 - 1 without leading zeros, 0 if it is none."""
    if stop == start or stop - start > 10 or data[start] == 48:
        return 0
    value = long(0)
    for at in range(start, stop):
        digit = long(data[at]) - 48
        if not 0 <= digit <= 9:
            return 0
        value = value * 10 + digit
    return value if value < 2**31 else 0


@part
def event_class(data: Bytes, start: int, stop: int) -> int:
    """The number of an event class, 0 if it is none."""
    if stop - start > 7:
        return 0
    word = long(0)
    for i in range(stop - start):
        word |= long(data[start + i]) << (8 * i)
    for i in range(len(_CLASS_WORDS)):
        if word == _CLASS_WORDS[i]:
            return i + 1
    return 0


@part
def currency(data: Bytes, start: int, stop: int) -> int:
    """The number of three capital letters, -1 if it is something else."""
    if stop - start != 3:
        return -1
    found = long(0)
    for at in range(start, stop):
        if not 65 <= data[at] <= 90:
            return -1
        found = found * 26 + long(data[at]) - 65
    return found


@part
def name_reason(data: Bytes, start: int, stop: int) -> int:
    """What is wrong with a name: its length, or a character that is none."""
    if stop - start > _LONGEST_NAME:
        return c.LONG
    for at in range(start, stop):
        if data[at] < 32 or data[at] == 127:
            return c.CONTROL
    return c.OK


@part
def same(data: Bytes, start: int, stop: int, text: Bytes) -> bool:
    """Whether a field is this text."""
    if stop - start != len(text):
        return False
    for i in range(len(text)):  # noqa: SIM110 - compiled, and it cannot compile a generator
        if data[start + i] != text[i]:
            return False
    return True
