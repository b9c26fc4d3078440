"""A kept snapshot: the log of a job's shards, their cells as Beam state held them at the cut, and what came out after.

Run as a program it makes the cells and outputs of a folder with the release that is on PYTHONPATH: README.md has the
commands. So there is nothing here but what every release has.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.cells import CellHeader, encode
from transforms.cards.core import CardsCore
from transforms.cards.history_files import FileHistory
from transforms.cards.topics import Topics as CardTopics
from transforms.core import PAUSE_PREFIX, Batch, Output, ShardCore
from transforms.transfers.shard import TransferShard
from transforms.transfers.topics import Topics as TransferTopics

FOLDER = Path(__file__).parent
HISTORIES = FOLDER / "card-histories-1"
GROUP = {"transfer": "florin-transfer", "cards": "florin-cards"}
TOPIC = {"transfer": TransferTopics().log, "cards": CardTopics().transactions}

EVERY = 2
"""Batches between two snapshots."""
END = 1 << 62

Printed = tuple[str, int, bytes | None, bytes]
"""An output: topic, partition, key, value."""


@dataclass(frozen=True)
class Record:
    """A record of the log; `at` is its log time in ms."""

    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes


def text_of(value: bytes | None) -> str | None:
    """Bytes as JSON can hold them."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


def bytes_of(text: str | None) -> bytes | None:
    """What `text_of` was given."""
    return None if text is None else text.encode("utf-8", "surrogateescape")


class Kept:
    """A folder: `about.json`, `log.jsonl`, `cells.zip` (an entry for partition/cell) and `outputs.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.job = self.name.rsplit("-", 1)[0]
        self.version = int(self.name.rsplit("-", 1)[1])

    @property
    def about(self) -> dict[str, Any]:
        """Release that wrote the cells, partitions, and the cut: offset after each partition's pause record."""
        return dict(json.loads((self.folder / "about.json").read_text(encoding="utf-8")))

    @property
    def log(self) -> list[Record]:
        """All records, before and after the cut, each partition's in order."""
        lines = (json.loads(line) for line in (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
        return [
            Record(part, offset, at, bytes_of(key), bytes_of(value) or b"") for part, offset, at, key, value in lines
        ]

    def write_log(self, records: Iterable[Record]) -> None:
        rows = ([one.partition, one.offset, one.at, text_of(one.key), text_of(one.value)] for one in records)
        self._write("log.jsonl", rows)

    @property
    def cells(self) -> dict[int, dict[int, bytes]]:
        """By partition and number, as they are in Beam state."""
        found: dict[int, dict[int, bytes]] = {}
        with zipfile.ZipFile(self.folder / "cells.zip") as archive:
            for entry in archive.namelist():
                partition, cell = map(int, entry.split("/"))
                found.setdefault(partition, {})[cell] = archive.read(entry)
        return found

    def write_cells(self, cells: dict[int, dict[int, bytes]]) -> None:
        with zipfile.ZipFile(self.folder / "cells.zip", "w") as archive:
            for partition, found in sorted(cells.items()):
                for cell, data in sorted(found.items()):
                    entry = zipfile.ZipInfo(f"{partition}/{cell}")  # of a fixed time
                    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)

    @property
    def outputs(self) -> list[Printed]:
        """What is to come out after the cut, partition by partition."""
        lines = (json.loads(line) for line in (self.folder / "outputs.jsonl").read_text(encoding="utf-8").splitlines())
        return [(topic, part, bytes_of(key), bytes_of(value) or b"") for topic, part, key, value in lines]

    def write_outputs(self, outputs: Iterable[Printed]) -> None:
        self._write(
            "outputs.jsonl", ([topic, part, text_of(key), text_of(value)] for topic, part, key, value in outputs)
        )

    def _write(self, name: str, rows: Iterable[list[Any]]) -> None:
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        (self.folder / name).write_text(text, encoding="utf-8")

    def core(self, partition: int) -> ShardCore:
        """A fresh core of this program's version, made as the job makes it."""
        partitions = int(self.about["partitions"])
        if self.job == "transfer":
            return TransferShard(partition, partitions, TransferTopics())
        rules = (self.folder / "rules.yaml").read_text(encoding="utf-8")
        return CardsCore(partition, partitions, CardTopics(), rules, histories(partition, partitions))

    def header(self, partition: int, offset: int = 0, clock: int = 0) -> CellHeader:
        """What a shard of this program says of itself at an offset."""
        core, partitions = self.core(partition), int(self.about["partitions"])
        group, topic = GROUP[self.job], TOPIC[self.job]
        return CellHeader(core.NAME, core.VERSION, group, topic, partition, partitions, offset, clock)


def run(kept: Kept, partition: int) -> tuple[dict[int, bytes], list[Output], list[Output]]:
    """A shard's cells at the cut, written as the engine does: now and then, and all at the pause.

    And its outputs before the cut and after it.
    """
    log, cut = kept.log, int(kept.about["cut"][partition])
    core, cells, clock = kept.core(partition), dict[int, bytes](), 0
    before: list[Output] = []

    def dump(offset: int) -> None:
        header = kept.header(partition, offset, clock)
        cells.update({number: encode(header, payload) for number, payload in core.dump(whole=offset == cut)})

    for number, batch in enumerate(batches(log, partition, 0, cut)):
        before += core.apply(batch)
        clock = batch.times[-1]
        if number % EVERY == EVERY - 1:
            dump(batch.offsets[-1] + 1)
    clock = max(record.at for record in log if record.partition == partition and record.offset < cut)
    dump(cut)
    return cells, before, [output for batch in batches(log, partition, cut, END) for output in core.apply(batch)]


def histories(partition: int, partitions: int) -> FileHistory:
    """The loaded histories of a card shard."""
    from florin_io.folder import Folder

    return FileHistory(Folder(str(HISTORIES)), partition, partitions)


def batches(log: Iterable[Record], partition: int, first: int, stop: int) -> Iterator[Batch]:
    """A partition's records at offsets `first` to `stop` (exclusive), as the engine gives them to a core."""
    some: list[Record] = []
    for record in log:
        if record.partition == partition and first <= record.offset < stop:
            some += [] if record.value.startswith(PAUSE_PREFIX) else [record]
            if len(some) == 20:
                yield _batch(some)
                some = []
    if some:
        yield _batch(some)


def _batch(records: list[Record]) -> Batch:
    return Batch(
        [one.offset for one in records],
        [one.at for one in records],
        [one.key for one in records],
        [one.value for one in records],
    )


def main(folder: Path) -> None:
    """Read about.json and log.jsonl of a folder, write cells.zip and outputs.jsonl."""
    kept = Kept(folder)
    if (version := kept.core(0).VERSION) != kept.version:
        sys.exit(f"{folder} is of core version {kept.version}, the release on the path has {version}")
    made = [run(kept, partition) for partition in range(int(kept.about["partitions"]))]
    kept.write_cells({partition: cells for partition, (cells, _, _) in enumerate(made)})
    kept.write_outputs(output[:4] for _, _, outputs in made for output in outputs)
    size = sum(len(cell) for cells, _, _ in made for cell in cells.values())
    print(f"{folder.name}: cells of {size} bytes, {sum(len(outputs) for _, _, outputs in made)} outputs after the cut")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
