"""Hour, day and month of a timestamp in a rule set's zone, for the kernel: a zone is a table of its offset changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from transforms.cards.rules.bare import bare

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_FIRST_YEAR, _LAST_YEAR = 1970, 2290
_REGULAR_YEAR = 2038

Table = tuple[NDArray[np.int64], NDArray[np.int64]]


def _offset_ms(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second at which the offset of `low` gives way to that of `high`, which differs."""
    before = _offset_ms(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // timedelta(seconds=2) * timedelta(seconds=1)
        low, high = (middle, high) if _offset_ms(zone, middle) == before else (low, middle)
    return high


@lru_cache(maxsize=8)
def zone_table(name: str) -> Table:
    """When a zone's offset from UTC changes (ms since the epoch, ascending) and to what (ms).

    The first row holds for everything before it. Covers all timestamps of 13 digits. The changes
    are those of the time zone data of this machine. Raises ZoneInfoNotFoundError.
    """
    zone = ZoneInfo(name)
    at = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    starts, offsets = [np.iinfo(np.int64).min], [_offset_ms(zone, at)]
    if name != "UTC":
        while at.year < _LAST_YEAR:
            # The past had changes days apart; from 2038 on, zones have but the yearly rule of their last one.
            later = at + timedelta(days=1 if at.year < _REGULAR_YEAR else 14)
            offset = _offset_ms(zone, later)
            if offset != offsets[-1]:
                starts.append(_epoch_ms(_change(zone, at, later)))
                offsets.append(offset)
            at = later
    return np.array(starts, np.int64), np.array(offsets, np.int64)


def _epoch_ms(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@bare
def local_ms(starts: NDArray[np.int64], offsets: NDArray[np.int64], time: int) -> Any:
    """A timestamp (int64) moved by the zone's offset at that time."""
    low, high = 0, starts.size
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= time:
            low = middle
        else:
            high = middle
    return time + offsets[low]


@bare
def month_and_day(local: int) -> tuple[int, int]:
    """Month (1 to 12) and day (1 to 31) of a local timestamp in ms, by the Gregorian calendar."""
    # Howard Hinnant's civil_from_days: years start in March, so that the leap day is the last of its year.
    days = local // 86_400_000 + 719_468
    of_era = days % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return month, of_year - (153 * shifted + 2) // 5 + 1
