"""The files a shard's cards begin from: one Arrow file per partition and cell, and a manifest that accounts for all.

Row of a file, one per card: `card` uint64; `count` uint8, 1 to 20; `items` 80 x uint64, the transactions packed as in
`transforms.cards.packed`, oldest first, zeros behind the count; `texts` list of 25 bytes, the text rows of the card's
items with non-digit fields, to which those items point by their place among all rows of the file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.cards.base import TEXT
from transforms.cards.fields import HISTORY
from transforms.cards.packed import WORDS
from transforms.cards.routing import CARD_CELLS

FORMAT = "florin-card-history"
VERSION = 1
MANIFEST = "manifest.json"
REMEDY = "load the histories again (python -m jobs.card_history with --overwrite)"

SCHEMA = pa.schema(
    [
        pa.field("card", pa.uint64(), nullable=False),
        pa.field("count", pa.uint8(), nullable=False),
        pa.field("items", pa.list_(pa.field("item", pa.uint64(), nullable=False), HISTORY * WORDS), nullable=False),
        pa.field("texts", pa.list_(pa.field("item", pa.binary(TEXT), nullable=False)), nullable=False),
    ]
)


class HistoryError(ValueError):
    """Histories that cannot be used; the message names the file and the remedy."""


class Store(Protocol):
    """A folder of files, wherever it is."""

    @property
    def where(self) -> str:
        """The folder as the user named it."""

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if it is not there."""

    def read(self, name: str) -> pa.Buffer:
        """A file's contents. Raises FileNotFoundError."""


@dataclass(frozen=True)
class Cell:
    """Histories of one cell: cards uint64[n], counts uint8[n] (1 to 20), items uint64[n, 20, 4], texts uint8[m, 25]."""

    cards: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.uint8]
    items: npt.NDArray[np.uint64]
    texts: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One file in the manifest."""

    name: str
    partition: int
    cell: int
    cards: int
    items: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All files of a load; `source` says what they were made from, `rejected` how many records were not taken."""

    partitions: int
    source: dict[str, Any]
    rejected: int
    files: tuple[Entry, ...]

    @property
    def cards(self) -> int:
        """Cards with at least one transaction."""
        return sum(entry.cards for entry in self.files)

    @property
    def items(self) -> int:
        """Transactions of all cards."""
        return sum(entry.items for entry in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.files)

    @property
    def digest(self) -> str:
        """Names the contents of all files: SHA-256 in hex over what the manifest says of them."""
        told = [[entry.partition, entry.cell, entry.cards, entry.items, entry.sha256] for entry in self.files]
        return hashlib.sha256(json.dumps([FORMAT, VERSION, self.partitions, told]).encode()).hexdigest()

    def to_json(self) -> bytes:
        """The manifest as it is written."""
        totals = {"cards": self.cards, "items": self.items, "bytes": self.size, "digest": self.digest}
        told = {"format": FORMAT, "version": VERSION, **totals, **asdict(self)}
        return json.dumps(told, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Manifest:
        """Read a manifest; `where` names it in errors. Raises HistoryError."""
        try:
            told = json.loads(text)
            if not isinstance(told, dict) or told.get("format") != FORMAT:
                raise HistoryError(f"{where} is not a manifest of card histories; {REMEDY}")
            if told["version"] != VERSION:
                raise HistoryError(f"{where} has format version {told['version']}, this is {VERSION}; {REMEDY}")
            files = tuple(Entry(**entry) for entry in told["files"])
            made = cls(told["partitions"], told["source"], told["rejected"], files)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, HistoryError):
                raise
            raise HistoryError(f"{where} is damaged ({type(error).__name__}: {error}); {REMEDY}") from error
        if made.digest != told.get("digest"):
            raise HistoryError(f"{where} is damaged: its entries do not give the digest it names; {REMEDY}")
        return made


def file_name(partition: int, cell: int) -> str:
    """Name of a cell's file under the folder of all."""
    return f"partition-{partition:03d}/cell-{cell:02d}.arrow"


def sha256(data: pa.Buffer | bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(memoryview(data)).hexdigest()


def encode(cell: Cell) -> pa.Buffer:
    """The Arrow file of a cell. The text rows must be in the order of the items that point to them."""
    count = len(cell.cards)
    words = pa.array(cell.items.reshape(-1), pa.uint64())
    items = pa.FixedSizeListArray.from_arrays(words, type=SCHEMA.field("items").type)
    lettered = (cell.items[:, :, 0] >> np.uint64(63)).sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(lettered))).astype(np.int32)
    rows = pa.Array.from_buffers(pa.binary(TEXT), len(cell.texts), [None, pa.py_buffer(cell.texts.tobytes())])
    texts = pa.ListArray.from_arrays(pa.array(offsets), rows, type=SCHEMA.field("texts").type)
    batch = pa.RecordBatch.from_arrays([pa.array(cell.cards), pa.array(cell.counts), items, texts], schema=SCHEMA)
    assert batch.num_rows == count
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def decode(data: pa.Buffer | bytes, where: str) -> Cell:
    """The histories in an Arrow file, without copying them; `where` names it in errors. Raises HistoryError."""
    try:
        reader = pa.ipc.open_file(pa.py_buffer(data))
        if not reader.schema.equals(SCHEMA) or reader.num_record_batches != 1:
            raise HistoryError(f"{where} has other columns than card histories have; {REMEDY}")
        batch = reader.get_batch(0)
        batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise HistoryError(f"{where} is damaged ({error}); {REMEDY}") from error
    items = batch.column("items").flatten().to_numpy().reshape(-1, HISTORY, WORDS)
    rows = batch.column("texts").flatten()
    texts = np.frombuffer(b"".join(rows.to_pylist()), np.uint8).reshape(-1, TEXT)
    cell = Cell(batch.column("card").to_numpy(), batch.column("count").to_numpy(), items, texts)
    if len(cell.counts) and not (cell.counts.min() >= 1 and cell.counts.max() <= HISTORY):
        raise HistoryError(f"{where} has a card with {cell.counts.max()} transactions, not 1 to {HISTORY}; {REMEDY}")
    return cell


class FileHistory:
    """The histories of one partition's cards, from the files of a load: what `CardsCore` takes as its base.

    Every cell is checked against the manifest before it is handed out. Raises HistoryError if there is no manifest, it
    is damaged, or it was made for another number of partitions.
    """

    def __init__(self, store: Store, partition: int, partitions: int) -> None:
        self._store = store
        self._partition = partition
        self.manifest = read_manifest(store, partitions)
        self.digest = self.manifest.digest
        self._entries = {entry.cell: entry for entry in self.manifest.files if entry.partition == partition}
        self._last: tuple[int, Cell] | None = None

    def read(self, cell: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
        """Cards, counts and items of one cell, as `CardHistory.read`."""
        found = self._cell(cell)
        return found.cards, found.counts, found.items

    def texts(self, cell: int) -> npt.NDArray[np.uint8]:
        """Text rows of one cell, as `CardHistory.texts`."""
        return self._cell(cell).texts

    def _cell(self, cell: int) -> Cell:
        if self._last is None or self._last[0] != cell:
            self._last = None
            entry = self._entries.get(cell)
            self._last = (cell, load_cell(self._store, entry) if entry else EMPTY)
        return self._last[1]


EMPTY = Cell(
    np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros((0, HISTORY, WORDS), np.uint64),
    np.zeros((0, TEXT), np.uint8),
)  # fmt: skip
"""A cell without cards."""


def read_manifest(store: Store, partitions: int | None = None) -> Manifest:
    """The manifest of a folder. Raises HistoryError, also if it was made for another number of partitions."""
    where = f"{store.where}/{MANIFEST}"
    try:
        text = store.read(MANIFEST)
    except FileNotFoundError as error:
        raise HistoryError(
            f"{store.where} has no {MANIFEST}: nothing was loaded there, or the load was not finished; "
            "run python -m jobs.card_history"
        ) from error
    manifest = Manifest.from_json(text.to_pybytes(), where)
    if partitions is not None and manifest.partitions != partitions:
        raise HistoryError(
            f"{where} is for {manifest.partitions} partitions, the job has {partitions}; "
            f"load again with --partitions {partitions}"
        )
    return manifest


def load_cell(store: Store, entry: Entry) -> Cell:
    """One file, checked against its entry. Raises HistoryError."""
    data = checked(store, entry)
    cell = decode(data, f"{store.where}/{entry.name}")
    found = (len(cell.cards), int(cell.counts.sum()))
    if found != (entry.cards, entry.items):
        raise HistoryError(
            f"{store.where}/{entry.name} holds {found[0]} cards and {found[1]} transactions, the manifest says "
            f"{entry.cards} and {entry.items}; {REMEDY}"
        )
    return cell


def checked(store: Store, entry: Entry) -> pa.Buffer:
    """A file's bytes, which are those the manifest was made for. Raises HistoryError."""
    where = f"{store.where}/{entry.name}"
    try:
        data = store.read(entry.name)
    except FileNotFoundError as error:
        raise HistoryError(f"{where} is missing; {REMEDY}") from error
    if data.size != entry.bytes:
        raise HistoryError(f"{where} has {data.size} bytes, the manifest says {entry.bytes}; {REMEDY}")
    found = sha256(data)
    if found != entry.sha256:
        raise HistoryError(
            f"{where} is damaged: SHA-256 {found[:12]}…, the manifest says {entry.sha256[:12]}…; {REMEDY}"
        )
    return data


def verify(store: Store, partitions: int | None = None, *, contents: bool = True) -> Manifest:
    """Check that every file is there with its size and, with `contents`, that its bytes are the right ones.

    Names every file that is not as it should be, ten at most. Raises HistoryError.
    """
    manifest = read_manifest(store, partitions)
    wrong: list[str] = []
    for entry in manifest.files:
        try:
            if contents:
                checked(store, entry)
            elif (size := store.size(entry.name)) != entry.bytes:
                told = "is missing" if size is None else f"has {size} bytes, the manifest says {entry.bytes}"
                raise HistoryError(f"{store.where}/{entry.name} {told}; {REMEDY}")
        except HistoryError as error:
            wrong.append(str(error).removesuffix(f"; {REMEDY}"))
    if wrong:
        more = f"\n  and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        listed = "\n  ".join(wrong[:10])
        raise HistoryError(
            f"{len(wrong)} of {len(manifest.files)} history files cannot be used:\n  {listed}{more}\n{REMEDY}"
        )
    return manifest


def cells() -> range:
    """The cells that hold cards."""
    return range(1, CARD_CELLS + 1)
