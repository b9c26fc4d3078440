"""Loading card histories: from a simulation or from tables to one Arrow file per cell, as a bounded Beam pipeline.

    simulated   lanes of cells -> each worker makes the cards that live there and writes their files
    from files  a file each -> blocks of records by cell -> group -> last 20 per card -> its file
    both        what was written -> manifest, last

Elements are blocks, never rows. A file replaces one of its name only when it is whole, so a bundle may run twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from florin_io import tables
from florin_io.folder import Folder
from transforms.cards import history_cells, history_files, history_tables
from transforms.cards.fields import PACKET
from transforms.cards.history_cells import Records
from transforms.cards.history_files import Cell, Entry, Manifest
from transforms.cards.history_tables import COLUMNS, Reject
from transforms.cards.simulate import Population

NAMESPACE = "card-history"
_LANES = 8
_ROWS_AT_ONCE = 400_000
_MOST_REJECTS = 100_000


@dataclass(frozen=True)
class InputFile:
    """One file to load: its place among all of them (later ones win ties of time), its path, and csv, parquet or
    packets."""

    number: int
    path: str
    form: str


@dataclass(frozen=True)
class Load:
    """One load: where it goes, for how many partitions, and what its manifest says it was made from."""

    folder: Folder
    partitions: int
    source: dict[str, Any]


class SimulateHistories(beam.PTransform):  # type: ignore[misc]
    """Writes the histories of a population; files are made where they are written, so nothing is shuffled."""

    def __init__(self, load: Load, people: Population) -> None:
        super().__init__()
        self._load, self._people = load, people

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[bytes]:
        """The manifest, once it is written."""
        cells = list(history_files.cells())
        lanes = [
            (partition, cells[lane::_LANES]) for partition in range(self._load.partitions) for lane in range(_LANES)
        ]
        return (
            pipeline
            | "Lanes" >> beam.Create(lanes)
            | "Spread" >> beam.Reshuffle()
            | "Make cells" >> beam.ParDo(MakeCells(self._load, self._people))
            | "Manifest" >> FinishLoad(self._load)
        )


class LoadHistories(beam.PTransform):  # type: ignore[misc]
    """Writes histories of the last 20 transactions per card found in files."""

    def __init__(self, load: Load, files: list[InputFile]) -> None:
        super().__init__()
        self._load, self._files = load, files

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[bytes]:
        """The manifest, once it is written."""
        read = (
            pipeline
            | "Files" >> beam.Create(self._files)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadFile(self._load)).with_outputs("rejected", main="blocks")
        )
        written = read.blocks | "By cell" >> beam.GroupByKey() | "Write cells" >> beam.ParDo(WriteCell(self._load))
        return (written, read.rejected) | "Both" >> beam.Flatten() | "Manifest" >> FinishLoad(self._load)


class FinishLoad(beam.PTransform):  # type: ignore[misc]
    """Writes the manifest when everything else is written."""

    def __init__(self, load: Load) -> None:
        super().__init__()
        self._load = load

    def expand(self, told: beam.PCollection[str]) -> beam.PCollection[bytes]:
        """The manifest as written."""
        load = self._load
        return told | "All" >> beam.combiners.ToList() | "Write" >> beam.Map(lambda all: write_manifest(load, all))


class MakeCells(beam.DoFn):  # type: ignore[misc]
    """Makes and writes the simulated cells of a lane; tells of each what was written."""

    def __init__(self, load: Load, people: Population) -> None:
        self._load, self._people = load, people

    def process(self, lane: tuple[int, list[int]]) -> Iterator[str]:
        partition, cells = lane
        places = history_cells.positions(self._people, partition, self._load.partitions, cells)
        for cell in cells:
            made = history_cells.simulated_cell(self._people, places[cell])
            yield from write_cell(self._load, partition, cell, made)


class ReadFile(beam.DoFn):  # type: ignore[misc]
    """Reads a file into records by (partition, cell), of each card the last 20 so far; bad rows go to a file."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rejected = Metrics.counter(NAMESPACE, "rejected")

    def process(self, file: InputFile) -> Iterator[Any]:
        rejects: list[Reject] = []
        # Places order records of one time: later files after earlier ones, later rows after earlier ones.
        first = file.number << 40
        waiting: list[Records] = []
        for records in self._records(file, first, rejects):
            waiting.append(records)
            if sum(len(part.cards) for part in waiting) >= _ROWS_AT_ONCE:
                yield from self._by_cell(waiting)
                waiting = []
        yield from self._by_cell(waiting)
        if rejects:
            self._rejected.inc(len(rejects))
            write_rejects(self._load, file, rejects)
        yield beam.pvalue.TaggedOutput("rejected", json.dumps({"rejected": len(rejects)}))

    def _records(self, file: InputFile, first: int, rejects: list[Reject]) -> Iterator[Records]:
        if file.form == "packets":
            for row, data in tables.fixed_blocks(file.path, PACKET):
                packets = np.frombuffer(data, np.uint8).reshape(-1, PACKET)
                records, bad, reasons = history_tables.records_of(packets, first + row)
                rejects.extend(
                    Reject(row + place, reason, packets[place].tobytes().decode("latin-1"))
                    for place, reason in zip(bad.tolist(), reasons, strict=True)
                )
                yield records
            return
        blocks = (
            tables.csv_blocks(file.path, COLUMNS, lambda *told: rejects.append(Reject(*told)))
            if file.form == "csv"
            else tables.parquet_blocks(file.path, COLUMNS)
        )
        for row, table in blocks:
            records, bad_rows = history_tables.records_of_table(table, first + row, row, file.path)
            rejects.extend(bad_rows)
            yield records

    def _by_cell(self, waiting: list[Records]) -> Iterator[tuple[int, bytes]]:
        if waiting:
            for (partition, cell), part in history_cells.split(
                history_cells.joined(waiting), self._load.partitions
            ).items():
                yield partition * 64 + cell, part.to_bytes()


class WriteCell(beam.DoFn):  # type: ignore[misc]
    """Writes the last 20 per card of one cell; tells what was written."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def process(self, keyed: tuple[int, Iterable[bytes]]) -> Iterator[str]:
        key, blocks = keyed
        records = history_cells.joined([Records.from_bytes(block) for block in blocks])
        yield from write_cell(self._load, key // 64, key % 64, history_cells.cell_of(records))


def write_cell(load: Load, partition: int, cell: int, made: Cell) -> Iterator[str]:
    """Write a cell's file unless it has no cards; yields its entry in the manifest as JSON."""
    if not len(made.cards):
        return
    data = history_files.encode(made)
    name = history_files.file_name(partition, cell)
    load.folder.write(name, data)
    Metrics.counter(NAMESPACE, "cards").inc(len(made.cards))
    told = Entry(
        name, partition, cell, len(made.cards), int(made.counts.sum(dtype=np.int64)), data.size,
        history_files.sha256(data),
    )  # fmt: skip
    yield json.dumps(asdict(told))


def write_rejects(load: Load, file: InputFile, rejects: list[Reject]) -> None:
    """One JSON object a line for each row that was not taken, 100,000 of a file at most."""
    lines = [json.dumps({"file": file.path, **reject._asdict()}) for reject in rejects[:_MOST_REJECTS]]
    load.folder.write(rejects_name(file.number), ("\n".join(lines) + "\n").encode())


def rejects_name(number: int) -> str:
    """Name of the file with what was not taken of an input file."""
    return f"rejects/file-{number:05d}.jsonl"


def write_manifest(load: Load, told: list[str]) -> bytes:
    """The manifest of all that was written, entries in the order of partition and cell."""
    found = [json.loads(line) for line in told]
    rejected = sum(entry["rejected"] for entry in found if "rejected" in entry)
    files = sorted(
        (Entry(**entry) for entry in found if "rejected" not in entry), key=lambda entry: (entry.partition, entry.cell)
    )
    text = Manifest(load.partitions, load.source, rejected, tuple(files)).to_json()
    load.folder.write(history_files.MANIFEST, text)
    return text
