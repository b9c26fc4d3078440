"""The order in which rows are posted: by instrument (or account), trade date, source sequence, then whatever differs.

Runs are sorted one by one, cut into ranges of whole instruments, and merged range by range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger.jit import Longs, Words

LIMIT: Final = 200_000
"""Rows of a merged block at most."""
_MOST_READ: Final = 4096
"""Rows that are read to find a key's place among them."""
_COLUMNS: Final = ("order_hash", "trade_date", "order_seq", "source_id", "version", "file", "line")
_TIES: Final = [(name, "ascending") for name in ("run", "source_id", "version", "file", "line")]
_Key: TypeAlias = tuple[int, int, int, bytes, int, int, int]


class Run(Protocol):
    """Rows (`ENTRY`) in order, which are read when they are asked for."""

    num_rows: int
    grid: int
    """A row of any `grid` rows that follow each other is a sample."""

    def samples(self) -> tuple[Longs, Words]:
        """Where samples are, in order, and `numbers_of` these rows."""

    def rows(self, first: int, stop: int) -> pa.Table:
        """Rows from `first` up to `stop`."""


class InMemory:
    """A run whose rows are in memory."""

    def __init__(self, batch: pa.RecordBatch, grid: int = 1) -> None:
        self.grid = grid
        self.num_rows: int = batch.num_rows
        self._batch = batch

    def samples(self) -> tuple[Longs, Words]:
        """Where samples are, and their numbers."""
        sampled: Longs = np.arange(self.grid - 1, self.num_rows, self.grid)
        return sampled, numbers_of(self._batch)[:, sampled]

    def rows(self, first: int, stop: int) -> pa.Table:
        """Rows from `first` up to `stop`."""
        return pa.Table.from_batches([self._batch.slice(first, stop - first)])


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


def numbers_of(batch: pa.RecordBatch | pa.Table) -> Words:
    """What rows go by before their texts: (3, rows) numbers, the first ones first."""
    hashes, dates, sequences = (_numbers(batch.column(name)) for name in _COLUMNS[:3])
    # Dates before 1970 are negative.
    return np.stack([hashes, (dates.astype(np.int64) + 2**31).astype(np.uint64), sequences])


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
    the grid for each run, unless it is the last one. Raises ValueError for a limit of less than two grids for each run.
    """
    left = [_Cursor(run) for run in runs if run.num_rows]
    grid = max((run.grid for run in runs), default=1)
    if 2 * grid * len(left) > limit:
        raise ValueError(
            f"{len(left)} runs cannot be merged in blocks of {limit} rows: give larger blocks or fewer runs"
        )
    while left:
        bound = _bound(left, grid, limit)
        parts = [cursor.take(bound) for cursor in left]
        block = pa.concat_tables([part for part in parts if part.num_rows]).combine_chunks()
        yield arrange(block.to_batches()[0])
        left = [cursor for cursor in left if cursor.rows_left()]


def _bound(left: Sequence[_Cursor], grid: int, limit: int) -> _Key | None:
    """A key up to which all runs together have `limit` rows at most; None if they have no more at all.

    Of every run a sample of each `step` rows is a candidate. Up to the n-th candidate there are n steps of rows at
    most, and less than a step of each run after the last of its candidates.
    """
    if sum(cursor.rows_left() for cursor in left) <= limit:
        return None
    each = limit // (2 * grid * len(left))
    wanted = limit // (each * grid) - len(left)
    found = [cursor.candidates(each, wanted) for cursor in left]
    whose = np.repeat(np.arange(len(left)), [len(places) for places, _ in found])
    places = np.concatenate([places for places, _ in found])
    numbers = np.concatenate([samples for _, samples in found], axis=1)
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
        self._run = run
        self._sampled, self._samples = run.samples()
        self._at = 0

    def rows_left(self) -> int:
        """Rows not taken yet."""
        return self._run.num_rows - self._at

    def candidates(self, each: int, count: int) -> tuple[Longs, Words]:
        """Each of so many samples of the rows left, `count` of them at most: their places and numbers."""
        first = int(self._sampled.searchsorted(self._at))
        which = slice(first + each - 1, first + each * count, each)
        return self._sampled[which], self._samples[:, which]

    def key(self, row: int) -> _Key:
        """The key of a row, as Python compares it."""
        return _keys(self._run.rows(row, row + 1))[0]

    def take(self, bound: _Key | None) -> pa.Table:
        """The rows left up to a key."""
        first, stop = self._at, self._run.num_rows
        if bound is None:
            self._at = stop
            return self._run.rows(first, stop)
        low, stop = self._around(bound)
        low = max(low, first)
        if stop - low > _MOST_READ:  # very many rows that are equal by numbers
            stop = bisect_right(range(stop), bound, lo=low, key=self.key)
            self._at = stop
            return self._run.rows(first, stop)
        found = self._run.rows(first, stop)
        self._at = low + _rows_up_to(found.slice(low - first), bound)
        return found.slice(0, self._at - first)

    def _around(self, bound: _Key) -> tuple[int, int]:
        """Rows before the first number are up to the key, rows from the second one on are not."""
        sampled = self._sampled
        low, high = _equal_range(self._samples, bound)
        return (
            int(sampled[low - 1]) + 1 if low else 0,
            int(sampled[high]) if high < len(sampled) else self._run.num_rows,
        )


def _rows_up_to(rows: pa.Table, bound: _Key) -> int:
    """How many rows, which are in order, are up to a key."""
    low, stop = _equal_range(numbers_of(rows), bound)
    # Rows that are equal by numbers go by their texts.
    return low if low == stop else low + bisect_right(_keys(rows.slice(low, stop - low)), bound)


def _equal_range(numbers: Words, bound: _Key) -> tuple[int, int]:
    """Where the rows begin and end that are equal to a key by numbers, of rows in order."""
    low, stop = 0, numbers.shape[1]
    for number, column in zip(bound[:3], numbers, strict=True):
        part = column[low:stop]
        value = part.dtype.type(number)
        low, stop = (low + int(part.searchsorted(value, side)) for side in ("left", "right"))
    return low, stop


def _keys(rows: pa.Table) -> list[_Key]:
    """The keys of rows, as Python compares them."""
    names, *others = (rows.column(name).to_pylist() for name in _COLUMNS[3:])
    texts = (name.encode() for name in names)
    return list(zip(*numbers_of(rows).tolist(), texts, *others, strict=True))
