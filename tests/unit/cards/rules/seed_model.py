"""The certification's 49 rules written out one by one in plain Python, from its description and not from our engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import WIDTHS

HOUR = 3_600_000
DAY = 24 * HOUR


class Txn(NamedTuple):
    """A transaction as it is on the wire; of the code, the first 5 characters."""

    card: str
    time: int
    country: str
    response: str
    amount: int
    currency: str
    merchant: str
    city: str
    code: str

    @property
    def text(self) -> str:
        return ",".join(str(value) for value in self)


Items = list[Txn]
"""Oldest arrival first; the incoming transaction is the last."""


def transactions_of(items: NDArray[np.int64]) -> Items:
    """Columns back as transactions (texts of digits only)."""
    names = Txn._fields
    return [
        Txn(*(int(value) if name in ("time", "amount") else f"{value:0{WIDTHS[name]}d}"
              for name, value in zip(names, column, strict=False)))
        for column in items[: len(names)].T.tolist()
    ]  # fmt: skip


def fixed(items: Items, length: int) -> Items:
    """Items in a window with one cut-off."""
    now = items[-1].time
    return [item for item in items if item.time > now - length]


def ladder(items: Items, step: int, *, without_current: bool = False) -> Items:
    """Items in a window whose cut-off is lowered before each item is looked at."""
    cut_off, found = items[-1].time, []
    for item in items[:-1] if without_current else items:
        cut_off -= step
        if item.time > cut_off:
            found.append(item)
    return found


def total(items: Items) -> int:
    return sum(item.amount for item in items)


def merchant_0011(items: Items, step: int) -> bool:
    c, amount = items[-1], total(ladder(items, step))
    return c.merchant == "0011" and (
        (c.currency == "011" and amount > 10_000) or (c.currency == "022" and amount > 20_000)
    )


def above_average(window: Items, amount: int, limit: int) -> bool:
    return bool(window) and (amount > total(window) // len(window) or total(window) > limit)


def small_hours(items: Items) -> bool:
    hour = datetime.fromtimestamp(items[-1].time // 1000, UTC).hour
    return hour in (1, 2, 3) and items[-1].amount >= 10_000


def rule_18(items: Items) -> bool:
    c = items[-1]
    day = datetime.fromtimestamp(c.time // 1000, UTC)
    return (day.month, day.day) == (3, 25) and c.merchant == "2222" and c.amount >= 10_000


def rule_47(items: Items) -> bool:
    c = items[-1]
    cut_off, found = c.time, 0
    for item in items[:-1]:
        cut_off -= 80 * DAY
        if item.time > cut_off and item.country in ("200", "201"):
            cut_off += 80 * DAY + HOUR
            if item.time > cut_off:
                found += item.amount
    return c.country == "122" and found > 10_000


def country_002(items: Items) -> bool:
    return items[-1].country == "002" and items[-1].amount > 1_000


RULES: dict[int, Callable[[Items], bool]] = {
    1: lambda t: t[-1].country == "111" and t[-1].amount > 200_000 and t[-1].merchant == "0022",
    2: lambda t: t[-1].country == "121" and t[-1].response != "00",
    3: lambda t: t[-1].merchant == "0011" and t[-1].currency == "011" and t[-1].amount > 1_000,
    5: lambda t: t[-1].card == "00004000222100" and t[-1].amount > 100_000,
    7: lambda t: t[-1].merchant in ("0001", "2222") and t[-1].country == "221",
    9: small_hours,
    11: lambda t: t[-1].merchant in ("0001", "2222") and t[-1].country in ("444", "221"),
    12: lambda t: t[-1].card == "00004000222333" and t[-1].amount > 50_000,
    18: rule_18,
    21: lambda t: t[-1].card == "00004000222333" and total(fixed(t, HOUR)) > 500_000,
    25: lambda t: merchant_0011(t, 8 * HOUR),
    26: lambda t: t[-1].card == "00004000222333" and total(ladder(t, DAY)) >= 500_000,
    30: lambda t: merchant_0011(t, DAY),
    31: lambda t: t[-1].card == "00004000222333" and total(ladder(t, 10 * DAY)) > 500_000,
    35: lambda t: merchant_0011(t, 14 * DAY),
    36: lambda t: above_average(fixed(t, 60 * DAY), t[-1].amount, 20_000),
    37: lambda t: above_average(fixed(t, 70 * DAY), t[-1].amount, 100_000),
    38: lambda t: above_average(ladder(t, 70 * DAY), t[-1].amount, 200_000),
    39: lambda t: above_average(ladder(t, 90 * DAY), t[-1].amount, 330_000),
    41: lambda t: country_002(t) and any(i.country == "001" and i.amount > 10_000 for i in ladder(t, 10 * DAY)),
    42: lambda t: country_002(t) and any(
        i.country != "001" and i.amount > 10_000 for i in ladder(t, 10 * DAY, without_current=True)),
    43: lambda t: len(t) > 1 and t[1].amount <= 100 and t[-1].amount >= 10_000,
    44: lambda t: t[-1].amount > 10_000 and any(i.country in ("000", "001") for i in ladder(t, 10 * HOUR)),
    45: lambda t: t[-1].merchant == "0033" and t[-1].amount > 1_000 and sum(
        i.merchant == "0022" for i in ladder(t, DAY, without_current=True)) > 10,
    47: rule_47,
}  # fmt: skip
"""The 25 rules that can fire. The other 24 cannot: a code, card or country of another width never matches (4, 6, 8, 13,
14, 16, 17, 19, 20, 22, 24, 27, 29, 32, 34, 48, 49), an earlier rule always fires first (10, 15, 40), or more items are
needed than the 20 there are (23, 28, 33, 46)."""


def fires(items: Items) -> list[int]:
    """Numbers of all rules that fire, of those that can."""
    return [number for number, rule in RULES.items() if rule(items)]


def first_rule(items: Items) -> int:
    """Number of the first rule that fires, 0 if none does."""
    return next((number for number, rule in RULES.items() if rule(items)), 0)
