"""Sorted runs in scratch files: many are read side by side, so of each no more is in memory than the next rows.

They are read, not mapped: of a mapped file the system takes 64 KB of each column around every row that is looked at.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.subledger import order
from transforms.subledger.fields import ENTRY
from transforms.subledger.jit import Longs, Words
from transforms.subledger_load.scratch import Scratch

READ_ROWS: Final = 512
"""Rows that are read at once: 100 KB, of each run. With fewer, what an Arrow message says of its columns costs more."""
GRID: Final = 64
"""The last of so many rows is a sample."""


def write_run(scratch: Scratch, name: str, rows: pa.RecordBatch) -> None:
    """Rows (`ENTRY`) in order, and beside them what is asked before they are read: hashes, samples, references."""
    numbers = order.numbers_of(rows)
    scratch.write_array(_hashes(name), numbers[0])
    scratch.write_array(_samples(name), numbers[:, GRID - 1 :: GRID])
    which = np.flatnonzero(rows.column("ref_hi").is_valid())
    upper, lower = (rows.column(half).drop_null().to_numpy() for half in ("ref_hi", "ref_lo"))
    scratch.write_array(_references(name), np.stack([which.astype(np.uint64), upper, lower]))
    parts = (rows.slice(first, READ_ROWS) for first in range(0, rows.num_rows, READ_ROWS))
    scratch.write_batches(name, ENTRY, parts)


def hashes_of(scratch: Scratch, name: str) -> Words:
    """Order hashes of a run's rows, mapped."""
    return scratch.read_array(_hashes(name))


class RunReader:
    """A run that is read from its first row to its last; a few steps back cost no more than reading again."""

    def __init__(self, scratch: Scratch, name: str) -> None:
        self._scratch, self._name = scratch, name
        self._file = pa.ipc.open_file(pa.OSFile(str(scratch.path(name))))
        self._held: tuple[int, Any] = (-1, None)

    def part(self, first: int, stop: int) -> RunPart:
        """Rows from `first` up to `stop`."""
        return RunPart(self, first, stop - first)

    def rows(self, first: int, stop: int) -> pa.Table:
        """The same, read now."""
        batches = []
        for number in range(first // READ_ROWS, -(-stop // READ_ROWS)):
            if self._held[0] != number:
                self._held = number, self._file.get_batch(number)
            begin = max(0, first - number * READ_ROWS)
            batches.append(self._held[1].slice(begin, stop - number * READ_ROWS - begin))
        return pa.Table.from_batches(batches, ENTRY)

    def samples(self, first: int, stop: int) -> tuple[Longs, Words]:
        """Samples of the rows from `first` up to `stop`: their rows, counted from `first`, and their numbers."""
        low, high = first // GRID, stop // GRID
        numbers = self._scratch.read_array(_samples(self._name))[:, low:high].copy()
        return np.arange(low, high, dtype=np.int64) * GRID + (GRID - 1 - first), numbers

    def references(self, first: int, stop: int) -> Words:
        """Event ids, as (n, 2), that the rows from `first` up to `stop` refer to."""
        rows, *halves = self._scratch.read_array(_references(self._name))
        low, high = np.searchsorted(rows, np.array([first, stop], np.uint64))
        return np.stack([half[low:high] for half in halves], axis=1)


class RunPart:
    """Some rows of a run that follow each other, read as they are taken: what `order.merge` takes."""

    grid = GRID

    def __init__(self, run: RunReader, first: int, num_rows: int) -> None:
        self._run, self._first = run, first
        self.num_rows = num_rows

    def samples(self) -> tuple[Longs, Words]:
        """Rows of the samples, counted from the part's first one, and their order numbers."""
        return self._run.samples(self._first, self._first + self.num_rows)

    def rows(self, first: int, stop: int) -> pa.Table:
        """Rows from `first` up to `stop`, counted from the part's first one."""
        return self._run.rows(self._first + first, self._first + stop)


def _hashes(name: str) -> str:
    return f"{name}.hashes.npy"


def _samples(name: str) -> str:
    return f"{name}.samples.npy"


def _references(name: str) -> str:
    return f"{name}.refs.npy"
