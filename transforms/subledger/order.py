"""The order in which rows are posted: by instrument (or account), trade date, source sequence, then whatever differs.

Runs are sorted one by one, cut into ranges of whole instruments, and merged range by range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger.jit import Longs, Words

LIMIT: Final = 200_000
"""Rows of a merged block at most."""
_COLUMNS: Final = ("order_hash", "trade_date", "order_seq", "source_id", "version", "file", "line")
_TIES: Final = [(name, "ascending") for name in ("run", "source_id", "version", "file", "line")]
Run: TypeAlias = "pa.Table | pa.RecordBatch"
_Key: TypeAlias = tuple[int, int, int, bytes, int, int, int]


def sort(batch: pa.RecordBatch, keep: npt.NDArray[np.bool_] | None = None) -> pa.RecordBatch:
    """Rows (`ENTRY`) in order; with `keep`, a flag of each row, those without it are left out."""
    order = order_of(batch)
    if keep is not None:
        order = order[keep[order]]
    if len(order) == batch.num_rows and bool((order[1:] > order[:-1]).all()):
        return batch
    return pc.take(batch, pa.array(order), boundscheck=False)


def order_of(batch: pa.RecordBatch) -> Longs:
    """The places of rows in order."""
    hashes, dates, sequences = (_numbers(batch.column(name)) for name in _COLUMNS[:3])
    order: Longs = np.lexsort((sequences, dates, hashes))
    tied = np.zeros(len(order) + 1, bool)
    tied[1:-1] = True
    for column in (sequences, dates, hashes):
        column = column[order]
        tied[1:-1] &= column[1:] == column[:-1]
    if tied.any():
        _settle(batch, order, tied)
    return order


def _settle(batch: pa.RecordBatch, order: Longs, tied: npt.NDArray[np.bool_]) -> None:
    """Put rows that are equal by numbers into the order of their texts. tied[i]: row i is equal to the one before."""
    places = np.flatnonzero(tied[:-1] | tied[1:])
    runs = np.cumsum(~tied[:-1])[places]
    rows = batch.take(pa.array(order[places]))
    keys = pa.table([pa.array(runs), *(rows.column(name) for name in _COLUMNS[3:])], names=[name for name, _ in _TIES])
    order[places] = order[places][pc.sort_indices(keys, _TIES).to_numpy()]


def _numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    found: npt.NDArray[Any] = (column.view(pa.int32()) if pa.types.is_date32(column.type) else column).to_numpy()
    return found


def splitters(samples: Words, tasks: int) -> Words:
    """tasks - 1 hashes between which ranges of about equal weight lie; a hash belongs to the range that it begins.

    `samples` are hashes of rows, each for as many rows as the others. Ranges may be empty where one hash has many rows.
    """
    ordered = np.sort(samples)
    if not len(ordered):
        return np.zeros(tasks - 1, np.uint64)
    between: Words = ordered[np.arange(1, tasks) * len(ordered) // tasks]
    return between


def positions(hashes: Words, between: Words) -> Longs:
    """Where the ranges of a sorted run begin, and its end: one more than there are ranges."""
    inner = np.searchsorted(hashes, between, side="left")
    return np.concatenate([[0], inner, [len(hashes)]]).astype(np.int64)


def merge(
    runs: Sequence[Run], limit: int = LIMIT, arrange: Callable[[pa.RecordBatch], pa.RecordBatch] = sort
) -> Iterator[pa.RecordBatch]:
    """The rows of sorted runs in order, in blocks of at most `limit` rows; runs are read as far as they are needed.

    `arrange` brings a block's rows into order, and may leave some out. A block has at least half of `limit` rows less
    one for each run, unless it is the last one. Raises ValueError for more runs than half of `limit`.
    """
    left = [_Cursor(run) for run in runs if run.num_rows]
    if 2 * len(left) > limit:
        raise ValueError(
            f"{len(left)} runs cannot be merged in blocks of {limit} rows: give larger blocks or fewer runs"
        )
    while left:
        bound = _bound(left, limit)
        parts = [cursor.take(bound) for cursor in left]
        block = pa.concat_tables([part for part in parts if part.num_rows]).combine_chunks()
        yield arrange(block.to_batches()[0])
        left = [cursor for cursor in left if cursor.rows_left()]


def _bound(left: Sequence[_Cursor], limit: int) -> _Key | None:
    """A key up to which all runs together have `limit` rows at most; None if they have no more at all.

    Of every run each step-th row is a candidate. Up to the n-th candidate there are n steps of rows, and less than a
    step of each run after the last of its candidates.
    """
    if sum(cursor.rows_left() for cursor in left) <= limit:
        return None
    step = limit // (2 * len(left))
    wanted = limit // step - len(left)
    rows = [cursor.candidates(step, wanted) for cursor in left]
    whose = np.repeat(np.arange(len(left)), [len(found) for found in rows])
    places = np.concatenate(rows)
    numbers = [
        np.concatenate([cursor.numbers[column][found] for cursor, found in zip(left, rows, strict=True)])
        for column in range(3)
    ]
    order = np.lexsort(numbers[::-1])
    at = order[wanted - 1]
    before, tied = np.zeros(len(order), bool), np.ones(len(order), bool)
    for column in numbers:
        before |= tied & (column < column[at])
        tied &= column == column[at]
    keys: list[_Key] = sorted(left[whose[one]].key(int(places[one])) for one in np.flatnonzero(tied))
    return keys[wanted - 1 - int(before.sum())]


class _Cursor:
    """Where a run is read."""

    def __init__(self, run: Run) -> None:
        self._rows = pa.Table.from_batches([run]) if isinstance(run, pa.RecordBatch) else run
        self.numbers = [_numbers(self._rows.column(name)) for name in _COLUMNS[:3]]
        self._others = [self._rows.column(name) for name in _COLUMNS[3:]]
        self._at = 0

    def rows_left(self) -> int:
        """Rows not taken yet."""
        return int(self._rows.num_rows) - self._at

    def candidates(self, step: int, count: int) -> Longs:
        """Each step-th row of those left, `count` of them at most."""
        stop = min(self._at + step * count, self._rows.num_rows)
        return np.arange(self._at + step - 1, stop, step, dtype=np.int64)

    def key(self, row: int) -> _Key:
        """The key of a row, as Python compares it."""
        source_id, version, file, line = (column[row].as_py() for column in self._others)
        hashed, dated, sequence = (int(column[row]) for column in self.numbers)
        return hashed, dated, sequence, source_id.encode(), version, file, line

    def take(self, bound: _Key | None) -> pa.Table:
        """The rows left up to a key."""
        first, stop = self._at, int(self._rows.num_rows)
        if bound is not None:
            low = first
            for number, column in zip(bound[:3], self.numbers, strict=True):
                part = column[low:stop]
                value = part.dtype.type(number)
                low, stop = (low + int(part.searchsorted(value, side)) for side in ("left", "right"))
            # Rows that are equal by numbers go by their texts.
            stop = bisect_right(range(stop), bound, lo=low, key=self.key)
        self._at = stop
        return self._rows.slice(first, stop - first)
