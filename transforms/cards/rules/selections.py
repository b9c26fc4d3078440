"""Selections of a card's items as bits of one number, the oldest lowest, and what is worked out over a selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.cards.rules.bare import bare
from transforms.cards.rules.program import COUNT, DISTINCT, GREATEST, LAST, SUM

Row = NDArray[np.int64]


@bare
def first(n: int) -> Any:
    """The oldest n items, 0 to 64, as uint64."""
    return np.uint64(0) if n == 0 else np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - n)


@bare
def equal(row: Row, n: int, value: int) -> Any:
    """Items of which the field equals a number."""
    found = np.uint64(0)
    for i in range(n):
        found |= np.uint64(row[i] == value) << np.uint64(i)
    return found


@bare
def above(row: Row, n: int, value: int) -> Any:
    """Items of which the field is more than a number."""
    found = np.uint64(0)
    for i in range(n):
        found |= np.uint64(row[i] > value) << np.uint64(i)
    return found


@bare
def below(row: Row, n: int, value: int) -> Any:
    """Items of which the field is less than a number."""
    found = np.uint64(0)
    for i in range(n):
        found |= np.uint64(row[i] < value) << np.uint64(i)
    return found


@bare
def ladder(times: Row, n: int, step: int) -> Any:
    """Items later than a cut-off that is one step lower for each item: T - step * (position + 1)."""
    found = np.uint64(0)
    cut_off = times[n - 1]
    for i in range(n):
        cut_off -= step
        found |= np.uint64(times[i] > cut_off) << np.uint64(i)
    return found


@bare
def among(row: Row, n: int, values: Row, first: int, stop: int) -> Any:
    """Items of which the field is one of values[first:stop]."""
    found = np.uint64(0)
    for place in range(first, stop):
        found |= equal(row, n, values[place])
    return found


@bare
def count(selection: Any) -> int:
    """How many items are selected."""
    left, found = selection, 0
    while left != np.uint64(0):
        left &= left - np.uint64(1)
        found += 1
    return found


@bare
def _sum(row: Row, n: int, selection: Any) -> int:
    total = 0
    for i in range(n):
        total += row[i] & -np.int64((selection >> np.uint64(i)) & np.uint64(1))
    return total


@bare
def _extreme(row: Row, n: int, selection: Any, greatest: bool) -> float:
    found, best = False, 0
    for i in range(n):
        if (selection >> np.uint64(i)) & np.uint64(1) and (not found or (row[i] > best) == greatest):
            found, best = True, row[i]
    return float(best) if found else np.nan


@bare
def _distinct(row: Row, n: int, selection: Any) -> int:
    left, found = selection, 0
    for i in range(n):
        if (left >> np.uint64(i)) & np.uint64(1):
            found += 1
            left &= ~equal(row, n, row[i])
    return found


@bare
def _last(row: Row, n: int, selection: Any) -> float:
    for i in range(n - 1, -1, -1):
        if (selection >> np.uint64(i)) & np.uint64(1):
            return float(row[i])
    return np.nan


@bare
def aggregate(kind: int, row: Row, n: int, selection: Any) -> float:
    """COUNT, SUM, LEAST, GREATEST, DISTINCT or LAST of a field over a selection of the n items.

    Without an item count, sum and distinct are 0, and the others NaN: there is no such number.
    """
    if kind == COUNT:
        return float(count(selection))
    if kind == SUM:
        return float(_sum(row, n, selection))
    if kind == DISTINCT:
        return float(_distinct(row, n, selection))
    if kind == LAST:
        return _last(row, n, selection)
    return _extreme(row, n, selection, kind == GREATEST)
