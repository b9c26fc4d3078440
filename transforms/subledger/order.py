"""The order in which rows are posted: by instrument (or account), trade date, source sequence, then whatever differs.

Runs are sorted one by one, cut into ranges of whole instruments, and merged range by range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger.jit import Longs, Words

LIMIT: Final = 200_000
"""Rows of a merged block at most."""
_KEY: Final = ("order_hash", "trade_date", "order_seq", "source_id", "version", "file", "line")
_TIES: Final = [(name, "ascending") for name in ("run", "source_id", "version", "file", "line")]
Run: TypeAlias = "pa.Table | pa.RecordBatch"


def sort(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows (`ENTRY`) in order."""
    order = order_of(batch)
    if len(order) < 2 or bool((order[1:] > order[:-1]).all()):
        return batch
    return batch.take(pa.array(order))


def order_of(batch: pa.RecordBatch) -> Longs:
    """The places of rows in order."""
    hashes, dates, sequences = (_numbers(batch.column(name)) for name in _KEY[:3])
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
    keys = pa.table([pa.array(runs), *(rows.column(name) for name in _KEY[3:])], names=[name for name, _ in _TIES])
    order[places] = order[places][pc.sort_indices(keys, _TIES).to_numpy()]


def _numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = (column.cast(pa.int32()) if pa.types.is_date32(column.type) else column).to_numpy()
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


def merge(runs: Sequence[Run], limit: int = LIMIT) -> Iterator[pa.RecordBatch]:
    """The rows of sorted runs in order, in blocks of at most `limit` rows; runs are read as far as they are needed.

    Raises ValueError for more runs than `limit`.
    """
    left = [_Cursor(run) for run in runs if run.num_rows]
    if len(left) > limit:
        raise ValueError(
            f"{len(left)} runs cannot be merged in blocks of {limit} rows: give larger blocks or fewer runs"
        )
    while left:
        # No run gives more than this many rows, so that the block holds.
        size = limit // len(left)
        for cursor in left:
            cursor.look(size)
        bounds = [cursor.last() for cursor in left if cursor.has_more()]
        parts = [cursor.take(min(bounds) if bounds else None) for cursor in left]
        block = pa.concat_tables([part for part in parts if part.num_rows]).combine_chunks()
        yield sort(block.to_batches()[0])
        left = [cursor for cursor in left if cursor.rows_left()]


class _Cursor:
    """Where a run is read, and the keys of the rows in view."""

    def __init__(self, run: Run) -> None:
        self._rows = pa.Table.from_batches([run]) if isinstance(run, pa.RecordBatch) else run
        self._keys = self._rows.select(_KEY)
        self._at = 0
        self._view: pa.RecordBatch | None = None

    def rows_left(self) -> int:
        """Rows not taken yet."""
        return int(self._rows.num_rows) - self._at

    def look(self, size: int) -> None:
        """Have the next rows in view."""
        self._view = self._keys.slice(self._at, size).combine_chunks().to_batches()[0]

    def has_more(self) -> bool:
        """Whether there are rows after those in view."""
        return self._view is not None and self._view.num_rows < self.rows_left()

    def _key(self, row: int) -> tuple[Any, ...]:
        assert self._view is not None
        hashed, dated, sequence, source_id, version, file, line = (column[row] for column in self._view.columns)
        text = source_id.as_py().encode()
        return (hashed.as_py(), dated.value, sequence.as_py(), text, version.as_py(), file.as_py(), line.as_py())

    def last(self) -> tuple[Any, ...]:
        """The key of the last row in view."""
        assert self._view is not None
        return self._key(self._view.num_rows - 1)

    def take(self, bound: tuple[Any, ...] | None) -> pa.Table:
        """The rows in view up to a key."""
        assert self._view is not None
        count = self._view.num_rows
        if bound is not None:
            count = bisect_right(range(count), bound, key=self._key)
        found = self._rows.slice(self._at, count)
        self._at += count
        return found
