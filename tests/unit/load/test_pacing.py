"""Rates are even, and latencies come out of the histogram as they went in."""

from __future__ import annotations

import random

import pytest

from transforms.load.latency import LONGEST_MS, Histogram
from transforms.load.pacing import Pacer

pytestmark = pytest.mark.unit

ROOM = 10**9


def test_a_rate_is_spread_evenly() -> None:
    pacer = Pacer(1000, 0.0)
    sent = [pacer.due(step * 0.002 + 0.0001, ROOM) for step in range(1, 501)]
    assert sum(sent) == 1000
    assert max(sent) <= 3


def test_slow_rates_are_exact() -> None:
    pacer = Pacer(0.5, 0.0)
    assert [pacer.due(second, ROOM) for second in (1.0, 1.9, 2.0, 3.9, 4.0)] == [0, 0, 1, 0, 1]


def test_a_stall_is_not_made_up_by_a_burst() -> None:
    pacer = Pacer(1000, 0.0, catch_up_s=0.1)
    assert pacer.due(10.0, ROOM) == 100
    assert pacer.skipped == 9900
    assert pacer.due(10.01, ROOM) == 10


def test_a_full_pipe_holds_back_and_goes_on_later() -> None:
    pacer = Pacer(1000, 0.0)
    assert pacer.due(0.01, 0) == 0
    assert pacer.due(0.02, -5) == 0
    assert pacer.due(0.03, 12) == 12
    assert pacer.due(0.03, ROOM) == 18


def test_no_rate_means_all_there_is_room_for() -> None:
    pacer = Pacer(0, 0.0)
    assert (pacer.due(1.0, 7), pacer.due(1.0, -1)) == (7, 0)


def test_a_negative_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        Pacer(-1, 0.0)


def test_percentiles_are_those_of_the_sorted_samples() -> None:
    seed = 20261121
    samples = [int(random.Random(seed + number).expovariate(0.01)) for number in range(1000)]
    histogram = Histogram()
    histogram.add(samples[:300])
    histogram.add([])
    histogram.add(samples[300:])
    ordered = sorted(samples)
    for percent in (1, 50, 95, 99, 100):
        assert histogram.percentile(percent) == ordered[max(0, percent * 10 - 1)], f"seed {seed}, p{percent}"
    assert histogram.summary()["max_ms"] == ordered[-1]


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().summary() == {"count": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None}


def test_samples_out_of_range_are_clamped() -> None:
    histogram = Histogram()
    histogram.add([-5, 10**12])
    assert (histogram.percentile(1), histogram.percentile(100)) == (0, LONGEST_MS)
