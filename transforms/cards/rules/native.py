"""Numbers that the rule language should not have to say, by name: the one place where such a thing is registered.

A rule writes the name with brackets, as in `moving_window_sum() > 10000`. Each is written twice: for the kernel, and in
plain Python for `explain`; a test holds them against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import AMOUNT, COUNTRY, TIME
from transforms.cards.rules.bare import bare
from transforms.cards.rules.calendar import DAY_MS, HOUR_MS

_LOWER: Final = 80 * DAY_MS
_RAISE: Final = 80 * DAY_MS + HOUR_MS

Items = NDArray[np.int64]


@bare
def _moving_window_sum(items: Items, n: int) -> float:
    cut_off, total = items[TIME, n - 1], 0
    for i in range(n - 1):
        cut_off -= _LOWER
        if items[TIME, i] > cut_off and (items[COUNTRY, i] == 200 or items[COUNTRY, i] == 201):
            cut_off += _RAISE
            if items[TIME, i] > cut_off:
                total += items[AMOUNT, i]
    return float(total)


def _moving_window_sum_plain(items: Items, n: int) -> float:
    """Amounts of past items of country 200 or 201 in a window of which the cut-off moves both ways.

    It starts at T. Each item lowers it by 80 days; one of those countries that is later than that raises it by 80 days
    and 1 hour, and counts if it is later still. Rule 47 of the certification.
    """
    cut_off, total = int(items[TIME, n - 1]), 0
    for time, country, amount in zip(*(items[row, : n - 1].tolist() for row in (TIME, COUNTRY, AMOUNT)), strict=True):
        cut_off -= _LOWER
        if time > cut_off and country in (200, 201):
            cut_off += _RAISE
            total += amount if time > cut_off else 0
    return float(total)


@dataclass(frozen=True)
class Native:
    """A registered number: its place in `native_value`, and the same in plain Python, documented there."""

    number: int
    plain: Callable[[Items, int], float]


NATIVES: Final = {"moving_window_sum": Native(0, _moving_window_sum_plain)}


@bare
def native_value(number: int, items: Items, n: int) -> float:
    """The native with this number, for items [FIELDS, n] of which the last is the incoming transaction."""
    if number == 0:
        return _moving_window_sum(items, n)
    return np.nan
