"""Keys that Flink spreads evenly: the hash is Flink's own, and the spread is even."""

from __future__ import annotations

from collections import Counter

import pytest

from transforms.shard_keys import balanced_keys, subtask

pytestmark = pytest.mark.unit

# Where a real cluster (Beam 2.70, Flink 1.20, parallelism 2, 128 key groups) ran these keys.
SEEN = {
    "transfer-log/0#6": 0,
    "transfer-log/1#3": 1,
    "transfer-log/2#2": 0,
    "transfer-log/3#3": 0,
    "topic-transfer-prepare/0#2": 0,
    "topic-transfer-prepare/1#4": 0,
}


@pytest.mark.parametrize(("key", "where"), SEEN.items())
def test_the_subtask_is_the_one_flink_chose(key: str, where: int) -> None:
    assert subtask(key, 2, 128) == where


@pytest.mark.parametrize("parallelism", [1, 2, 4, 8])
@pytest.mark.parametrize("shards", [1, 2, 4, 8, 16, 64])
def test_shards_are_spread_evenly(shards: int, parallelism: int) -> None:
    keys = balanced_keys([f"transfer-log/{number}" for number in range(shards)], 128)
    assert len(set(keys)) == shards
    load = Counter(subtask(key, parallelism, 128) for key in keys)
    assert max(load.values()) == max(1, shards // parallelism)
    assert len(load) == min(shards, parallelism)


def test_more_shards_than_key_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="5 shards need max_parallelism of at least 5, it is 4"):
        balanced_keys(list("abcde"), 4)
