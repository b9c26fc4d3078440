"""Counts that shards add up per batch: cumulative buckets, of latency and of transactions."""

from __future__ import annotations

from collections import Counter

import pytest

from transforms.measures import COMMIT_BUCKETS_MS, LATENCY_BUCKETS_MS, count_commit, count_latency

pytestmark = pytest.mark.unit

NOW = 1_767_225_600_000


def test_records_are_counted_in_every_bucket_that_holds_their_age() -> None:
    ages = [40_000, 251, 250, 6, 5, 0]
    counts: Counter[str] = Counter()
    count_latency(counts, [NOW - age for age in ages], NOW)
    assert counts == {
        **{f"latency_ms_le_{bound}": sum(age <= bound for age in ages) for bound in LATENCY_BUCKETS_MS},
        "latency_ms_le_inf": len(ages),
    }


def test_a_record_from_a_clock_ahead_of_ours_is_no_time_old() -> None:
    counts: Counter[str] = Counter()
    count_latency(counts, [NOW + 3], NOW)
    assert counts["latency_ms_le_5"] == counts["latency_ms_le_inf"] == 1


def test_batches_add_up() -> None:
    counts: Counter[str] = Counter()
    for _ in range(3):
        count_latency(counts, [NOW - 45, NOW - 15], NOW)
    assert (counts["latency_ms_le_10"], counts["latency_ms_le_20"], counts["latency_ms_le_60"]) == (0, 3, 6)


def test_a_transaction_is_counted_with_its_time() -> None:
    counts: Counter[str] = Counter()
    for seconds in (0.002, 0.0021, 99.0):
        count_commit(counts, seconds)
    assert counts["commits"] == counts["commit_ms_le_inf"] == 3
    assert counts["commit_us"] == 99_004_100
    expected = {2: 1, **dict.fromkeys(COMMIT_BUCKETS_MS[1:], 2)}
    assert {bound: counts[f"commit_ms_le_{bound}"] for bound in COMMIT_BUCKETS_MS} == expected
