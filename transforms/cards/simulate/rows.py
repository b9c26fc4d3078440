"""Simulated transactions as rows of one int64 matrix [COLUMNS, n], so that all columns move in one step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ARRIVAL, TIME, CARD, COUNTRY, RESPONSE, AMOUNT, CURRENCY, MERCHANT, CITY, CODE, LABEL, COPY = range(12)
"""ARRIVAL and TIME in ms since the epoch (order on the wire, and the timestamp written); CARD is the card's position in
the population; COUNTRY to CODE are the numbers of the text fields; LABEL of labels.py; COPY is 1 for a duplicate."""
COLUMNS = 12

Rows = NDArray[np.int64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def empty(count: int = 0) -> Rows:
    """Rows of zeros."""
    return np.zeros((COLUMNS, count), np.int64)


def repeat(rows: Rows, sizes: Ints) -> tuple[Rows, Ints]:
    """Each row `sizes` times, and for each of the new rows its number among its siblings, from 0."""
    taken = np.repeat(np.arange(rows.shape[1]), sizes)
    starts = np.cumsum(sizes) - sizes
    return rows[:, taken], np.arange(len(taken)) - np.repeat(starts, sizes)


def running(steps: Ints, gaps: Floats) -> Ints:
    """Sum of `gaps` from a sibling's first row (step 0, whose gap counts too) to each row, as whole numbers."""
    total = np.cumsum(gaps)
    firsts = np.flatnonzero(steps == 0)
    before = total[firsts] - gaps[firsts]
    lengths = np.diff(np.append(firsts, len(steps)))
    return (total - np.repeat(before, lengths)).astype(np.int64)
