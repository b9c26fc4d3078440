"""Rows whose event is in the request twice, or published already: found by event id, range by range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from transforms.subledger_load.model import Longs
from transforms.subledger_load.scratch import forget_array

Words = npt.NDArray[np.uint64]
Published = Callable[[bytes | None, bytes | None], Words]

_IDS_AT_ONCE = 1_000_000


def duplicates_of(runs: Sequence[Words], published: Published | None) -> Longs:
    """`row_code` of rows that are not posted, in order: of each event all but the first row, of a published one all.

    A run has three rows: upper and lower half of the ids, and the codes; the first is in order. `published` gives ids
    of published events from one id up to another, in order, as (n, 2).
    """
    total = sum(run.shape[1] for run in runs)
    parts = max(1, -(-total // _IDS_AT_ONCE))
    # Ids are hashes: equal ranges hold about equally many.
    bounds = [(number << 64) // parts for number in range(parts + 1)]
    inner = np.array(bounds[1:-1], np.uint64)
    places = [np.concatenate([[0], np.searchsorted(run[0], inner), [run.shape[1]]]) for run in runs]
    found = []
    for number in range(parts):
        keys = np.concatenate(
            [run[:, place[number] : place[number + 1]] for run, place in zip(runs, places, strict=True)], axis=1
        )
        for run in runs:
            forget_array(run)
        found.append(_twice(keys))
        if published is not None:
            there = published(_id(bounds[number]), _id(bounds[number + 1]) if number + 1 < parts else None)
            found.append(_there(keys, there))
    return np.unique(np.concatenate(found)).astype(np.int64)


def _id(upper: int) -> bytes:
    return upper.to_bytes(8, "big") + bytes(8)


def _twice(keys: Words) -> Words:
    """Codes of the rows that follow another one with the same id."""
    keys = keys[:, np.argsort(keys[0])]
    same = keys[0, 1:] == keys[0, :-1]
    if not same.any():
        return np.empty(0, np.uint64)
    near = np.zeros(keys.shape[1], bool)
    near[1:] |= same
    near[:-1] |= same
    upper, lower, codes = keys[:, near]
    order = np.lexsort((codes, lower, upper))
    upper, lower, codes = upper[order], lower[order], codes[order]
    again: Words = codes[1:][(upper[1:] == upper[:-1]) & (lower[1:] == lower[:-1])]
    return again


def _there(keys: Words, ids: Words) -> Words:
    """Codes of the rows whose id is among these, which are in order."""
    if not len(ids):
        return np.empty(0, np.uint64)
    upper, lower = np.ascontiguousarray(ids[:, 0]), ids[:, 1]
    first, stop = np.searchsorted(upper, keys[0], "left"), np.searchsorted(upper, keys[0], "right")
    near = np.flatnonzero(stop > first)
    # Two ids with one upper half are next to impossible, so few are looked at one by one.
    sure = lower[first[near]] == keys[1, near]
    rest = [n for n in near[~sure].tolist() if (lower[first[n] : stop[n]] == keys[1, n]).any()]
    return np.concatenate([keys[2, near[sure]], keys[2, rest]])
