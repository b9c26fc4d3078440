"""Latencies in whole milliseconds: one second's samples, and a histogram of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST_MS = 600_000
"""Samples above are counted as this."""


class Histogram:
    """Counts by millisecond; memory does not grow with the number of samples."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.count = 0
        self.max_ms = 0

    def add(self, samples: Sequence[int]) -> None:
        """Count the samples (ms); clocks of two machines may make one negative, which counts as 0."""
        if not samples:
            return
        values = np.clip(np.asarray(samples, np.int64), 0, LONGEST_MS)
        self.max_ms = max(self.max_ms, int(values.max()))
        counts: NDArray[np.int64] = np.bincount(values, minlength=len(self._counts)).astype(np.int64)
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        self.count += len(values)

    def merge(self, other: Histogram) -> None:
        """Count what another has counted."""
        counts = np.zeros(max(len(self._counts), len(other._counts)), np.int64)
        counts[: len(self._counts)] += self._counts
        counts[: len(other._counts)] += other._counts
        self._counts, self.count = counts, self.count + other.count
        self.max_ms = max(self.max_ms, other.max_ms)

    def percentile(self, percent: float) -> int | None:
        """The least ms that `percent` of the samples do not exceed; None without samples."""
        if self.count == 0:
            return None
        rank = max(1, int(np.ceil(self.count * percent / 100)))
        return int(np.searchsorted(np.cumsum(self._counts), rank))

    def summary(self) -> dict[str, int | None]:
        """count, p50_ms, p95_ms, p99_ms, max_ms."""
        return {
            "count": self.count,
            "p50_ms": self.percentile(50),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "max_ms": self.max_ms if self.count else None,
        }
