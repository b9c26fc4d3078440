"""What a running shard or loop tells about itself: counts added up per batch, gauges, both published once a second.

Beam's Flink runner passes counters and gauges on to Prometheus, distributions not: a histogram is a counter per bucket.
A gauge's name carries the shard it is of, since Beam's metrics have no labels. docs/metrics.md lists all names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from apache_beam.metrics import Metrics

LATENCY_BUCKETS_MS: Final = (5, 10, 20, 30, 40, 60, 80, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 30000)
COMMIT_BUCKETS_MS: Final = (2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)

SHARD_COUNTS: Final = (
    "records", "outputs", "commits", "dead_letters", "replayed_records", "snapshots", "starts", "fenced",
    "kafka_errors",
)  # fmt: skip
LOOP_COUNTS: Final = ("records", "outputs", "commits", "dead_letters", "chain_breaks", "retries")
"""Shown as 0 from the start: Prometheus sees no rise in a counter whose first value is 1."""

_LATENCY: Final = [(bound, f"latency_ms_le_{bound}") for bound in LATENCY_BUCKETS_MS]
_COMMIT: Final = [(bound, f"commit_ms_le_{bound}") for bound in COMMIT_BUCKETS_MS]


def count_latency(counts: Counter[str], times: Sequence[int], now: int) -> None:
    """Count records by age in ms at `now`; `times` are their times of append, ascending."""
    total = len(times)
    for bound, name in _LATENCY:
        counts[name] += total - bisect_left(times, now - bound)
    counts["latency_ms_le_inf"] += total


def count_commit(counts: Counter[str], seconds: float) -> None:
    """Count one transaction and how long it took from its first record to the broker's word that it is done."""
    milliseconds = seconds * 1000
    for bound, name in _COMMIT:
        if milliseconds <= bound:
            counts[name] += 1
    counts["commit_ms_le_inf"] += 1
    counts["commit_us"] += int(seconds * 1_000_000)
    counts["commits"] += 1


class Published:
    """The Beam metrics of a namespace, made when they are first needed."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._counters: dict[str, Any] = {}
        self._gauges: dict[str, Any] = {}

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counters. Only within a call of Beam's."""
        for name, count in counts.items():
            counter = self._counters.get(name)
            if counter is None:
                counter = self._counters[name] = Metrics.counter(self._namespace, name)
            counter.inc(count)

    def begin(self, names: Sequence[str]) -> None:
        """Show counters that have not counted yet. Only within a call of Beam's."""
        self.add(dict.fromkeys(names, 0))

    def show(self, source: str, gauges: Mapping[str, int]) -> None:
        """Set gauges of `source`, topic/partition. Only within a call of Beam's."""
        topic, _, partition = source.rpartition("/")
        for name, value in gauges.items():
            full = f"{name}__{topic}__{partition}"
            gauge = self._gauges.get(full)
            if gauge is None:
                gauge = self._gauges[full] = Metrics.gauge(self._namespace, full)
            gauge.set(value)
