"""Pieces of files into sorted runs of checked rows, and rejects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from florin_io import frames
from florin_io.frames import Block
from transforms.subledger import order
from transforms.subledger.fields import ENTRY, REJECT
from transforms.subledger.parse import parse_block
from transforms.subledger_load.files import header_of
from transforms.subledger_load.model import RUN_ROWS, Load, Piece, Run, ScanReport, row_code
from transforms.subledger_load.progress import Progress
from transforms.subledger_load.runs import write_run
from transforms.subledger_load.scratch import Scratch, Spill

Words = npt.NDArray[np.uint64]
_REJECTED = "rejected"


def scan_piece(load: Load, piece: Piece) -> ScanReport:
    """Read and check a piece. Raises InputError if the file is damaged."""
    scratch = Scratch(load.scratch)
    known = f"runs/{piece.number}.report"
    told = scratch.noted(known)
    if told is None:
        with Progress(load, f"scan {piece.number}", "reading") as progress:
            told = _Scan(load, piece, scratch, progress).run()
        scratch.note(known, told)
    return told  # type: ignore[no-any-return]


class _Scan:
    """A piece being read: the rows of the run that is filled, and what there was so far."""

    def __init__(self, load: Load, piece: Piece, scratch: Scratch, progress: Progress) -> None:
        self._load, self._piece, self._scratch, self._progress = load, piece, scratch, progress
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._read = 0
        self._runs: list[Run] = []
        self._rejects = Spill(scratch, f"rejects/scan-{piece.number}", REJECT)
        self._periods: set[int] = set()
        self._zone: tuple[int, int] | None = None

    def run(self) -> ScanReport:
        before = self._scratch.count_of_others(_REJECTED, self._piece.number)
        header = header_of(self._piece)
        with self._rejects:
            for block in frames.ahead(_blocks(self._scratch, self._piece)):
                if stopped := self._too_many(before):
                    break
                line, data = _without_header(block)
                if data.size:
                    entries, rejects = parse_block(data, header, self._piece.file, line, self._load.settings)
                    self._take(entries, rejects)
                    self._progress.add(packed=block.packed)
            else:
                stopped = False
            self._end_run()
            rejects_file = self._rejects.close()
        rejected = self._rejects.rows
        if rejected:
            self._scratch.add_to_count(_REJECTED, self._piece.number, rejected)
        return ScanReport(
            self._piece.number, self._piece.file, self._read, rejected, rejects_file, tuple(self._runs),
            tuple(sorted(self._periods)), self._zone, stopped,
        )  # fmt: skip

    def _too_many(self, before: int) -> bool:
        """Whether the request fails for what was rejected here and `before` in others, whatever else is read."""
        most = self._load.most_rejects
        return most is not None and before + self._rejects.rows > most

    def _take(self, entries: pa.RecordBatch, rejects: pa.RecordBatch) -> None:
        self._rejects.add(rejects)
        if entries.num_rows:
            if self._rows + entries.num_rows > RUN_ROWS:
                self._end_run()
            self._waiting.append(entries)
            self._rows += entries.num_rows
        self._read += entries.num_rows + rejects.num_rows
        self._progress.add(read=entries.num_rows + rejects.num_rows, rejected=rejects.num_rows)

    def _end_run(self) -> None:
        """Write the rows that wait, in order, and their keys."""
        if not self._rows:
            return
        rows = pa.Table.from_batches(self._waiting, ENTRY).combine_chunks().to_batches()[0]
        self._waiting, self._rows = [], 0
        name = f"runs/{self._piece.number}-{len(self._runs)}"
        self._scratch.write_array(f"{name}.keys.npy", keys_of(rows))
        self._note_ranges(rows)
        write_run(self._scratch, name, order.sort(rows))
        self._runs.append(Run(name, f"{name}.keys.npy", rows.num_rows))

    def _note_ranges(self, rows: pa.RecordBatch) -> None:
        self._periods.update(np.unique(rows.column("period").to_numpy()).tolist())
        sequences = rows.column("order_seq").to_numpy()
        low, high = int(sequences.min()), int(sequences.max())
        self._zone = merged_zone([self._zone, (low, high)])


def merged_zone(zones: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """The range that holds all ranges."""
    known = [zone for zone in zones if zone is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def keys_of(rows: pa.RecordBatch) -> Words:
    """Upper and lower half of each row's event id and its `row_code`, as three rows, in order of the first."""
    upper = rows.column("id_hi").to_numpy()
    codes = row_code(rows.column("file").to_numpy().astype(np.int64), rows.column("line").to_numpy())
    keys = np.stack([upper, rows.column("id_lo").to_numpy(), codes.astype(np.uint64)])
    return keys[:, np.argsort(upper)]


def _blocks(scratch: Scratch, piece: Piece) -> Iterator[Block]:
    path = scratch.path(piece.path)
    if piece.frames is None:
        return frames.stream_blocks(path, piece.name)
    return frames.frame_blocks(path, piece.name, piece.frames, piece.first_line)


def _without_header(block: Block) -> tuple[int, pa.Buffer]:
    """Number of the first line of data, and the lines."""
    if block.first_line > 1:
        return block.first_line, block.data
    end = bytes(block.data.slice(0, min(block.data.size, frames.LONGEST_LINE))).find(b"\n") + 1 or block.data.size
    return 2, block.data.slice(end)
