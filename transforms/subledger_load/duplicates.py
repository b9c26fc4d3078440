"""Rows whose event is in the request twice, or published already: found by event id, range by range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from transforms.subledger_load.model import Longs, place_of
from transforms.subledger_load.scratch import Scratch, forget_array

Words = npt.NDArray[np.uint64]
Bits = npt.NDArray[np.uint8]
Published = Callable[[bytes | None, bytes | None], Words]

_IDS_AT_ONCE = 1_000_000


class Marks:
    """Rows of the request that are marked: a bit for each row of a file, so that any number of them may be."""

    def __init__(self) -> None:
        self.count = 0
        self._files: dict[int, Bits] = {}

    def add(self, codes: Longs) -> None:
        """Mark rows, as `row_code`, that are not marked yet."""
        self.count += len(codes)
        files, lines = place_of(codes)
        for file in np.unique(files).tolist():
            own = lines[files == file]
            bits = self._files.get(file, np.zeros(0, np.uint8))
            needed = int(own.max()) // 8 + 1
            if needed > len(bits):
                bits = np.concatenate([bits, np.zeros(max(needed, len(bits)), np.uint8)])
            np.bitwise_or.at(bits, own >> 3, np.left_shift(1, own & 7).astype(np.uint8))
            self._files[file] = bits

    def write(self, scratch: Scratch, name: str) -> str:
        """Into scratch files, for `Marked`; their name."""
        sizes = np.zeros(max(self._files, default=-1) + 2, np.int64)
        for file, bits in self._files.items():
            sizes[file + 1] = len(bits)
        scratch.write_array(f"{name}.begins.npy", np.cumsum(sizes))
        found = [self._files[file] for file in sorted(self._files)]
        scratch.write_array(f"{name}.npy", np.concatenate([np.zeros(0, np.uint8), *found]))
        return name


class Marked:
    """What `Marks` wrote."""

    def __init__(self, scratch: Scratch, name: str) -> None:
        self._begins: Longs = scratch.read_array(f"{name}.begins.npy")
        self._bits: Bits = scratch.read_array(f"{name}.npy")

    def among(self, files: Longs, lines: Longs) -> npt.NDArray[np.bool_]:
        """Which of these rows are marked."""
        found = np.zeros(len(files), bool)
        if not len(self._bits):
            return found
        known = files < len(self._begins) - 1
        places = self._begins[np.where(known, files, 0)] + (lines >> 3)
        known &= places < self._begins[np.where(known, files + 1, 0)]
        found[known] = (self._bits[places[known]] >> (lines[known] & 7).astype(np.uint8)) & 1
        return found


def duplicates_of(runs: Sequence[Words], published: Published | None) -> Iterator[Longs]:
    """`row_code` of rows that are not posted: of each event all but the first row, of a published one all.

    A run has three rows: upper and lower half of the ids, and the codes; the first is in order. `published` gives ids
    of published events from one id up to another, in order, as (n, 2).
    """
    total = sum(run.shape[1] for run in runs)
    parts = max(1, -(-total // _IDS_AT_ONCE))
    # Ids are hashes: equal ranges hold about equally many.
    bounds = [(number << 64) // parts for number in range(parts + 1)]
    inner = np.array(bounds[1:-1], np.uint64)
    places = [np.concatenate([[0], np.searchsorted(run[0], inner), [run.shape[1]]]) for run in runs]
    for number in range(parts):
        keys = np.concatenate(
            [run[:, place[number] : place[number + 1]] for run, place in zip(runs, places, strict=True)], axis=1
        )
        for run in runs:
            forget_array(run)
        found = _twice(keys)
        if published is not None:
            there = published(_id(bounds[number]), _id(bounds[number + 1]) if number + 1 < parts else None)
            found = np.unique(np.concatenate([found, _there(keys, there)]))
        yield found.astype(np.int64)


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
