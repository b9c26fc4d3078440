"""The histories of a shard's cards, as Python sees them: growing, reading, and each cell as bytes and back.

A cell's bytes: magic `FLCC`, format version u16, cards u32, items u32, text rows u32 (little endian); then card numbers
u64, counts u8, items of 32 bytes (see `transforms.cards.packed`) card after card and oldest first, text rows.
"""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from transforms.cards import memory as m
from transforms.cards.base import TEXT, CardHistory
from transforms.cards.fields import HISTORY
from transforms.cards.jit import Bytes, Longs
from transforms.cards.packed import WORDS, text_of
from transforms.cards.routing import cells_of
from transforms.core import SnapshotError

_MAGIC: Final = b"FLCC"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sHIII")
# Fewer misses when an address is looked up; systems that know of no such pages do without.
_HUGE_PAGES: Final = getattr(mmap, "MADV_HUGEPAGE", mmap.MADV_WILLNEED)
_FIRST_TABLE: Final = 64
_MORE_ROWS: Final = 1024
_TEXT_BIT: Final = np.uint64(63)
_CARDS: Final = 10**14

Item = npt.NDArray[np.uint64]


class CardStore:
    """Cards by cell. `memory` is what compiled functions work on; it is another one after any growth."""

    def __init__(self) -> None:
        self.memory = m.empty_memory()
        self._slabs: list[Longs] = []
        self._tables = [np.zeros(_FIRST_TABLE, np.int64) for _ in range(m.CELLS)]
        for cell, table in enumerate(self._tables):
            self._place_table(cell, table)

    def __len__(self) -> int:
        return int(self.memory.cards.sum())

    # Growth.

    def grow(self, missing: int, cell: int) -> None:
        """Add what a compiled function was missing (NEEDS_SLAB, NEEDS_TABLE) for a card of `cell`."""
        if missing == m.NEEDS_SLAB:
            self._add_slab()
        else:
            self._enlarge_table(cell, 2 * len(self._tables[cell]))

    def reserve_rows(self, count: int) -> None:
        """See that `count` text rows are free."""
        memory = self.memory
        free, rows = int(memory.totals[m.FREE_ROWS]), len(memory.texts)
        if free >= count:
            return
        more = max(count - free, rows // 4, _MORE_ROWS)
        texts = np.zeros((rows + more, TEXT), np.uint8)
        texts[:rows] = memory.texts
        stack = np.zeros(rows + more, np.int64)
        stack[:free] = memory.free_rows[:free]
        stack[free : free + more] = np.arange(rows, rows + more)
        memory.totals[m.FREE_ROWS] = free + more
        self.memory = memory._replace(texts=texts, free_rows=stack)

    def _add_slab(self) -> None:
        # Memory of its own, committed as cards come to live in it: between slabs in the heap, what a restore needs for
        # a moment would leave holes.
        pages = mmap.mmap(-1, m.SLAB_WORDS * 8)
        with suppress(OSError):
            pages.madvise(_HUGE_PAGES)
        slab = np.frombuffer(pages, np.int64)
        self._slabs.append(slab)
        memory = self.memory
        owners = np.zeros(len(memory.owners) + m.SLAB // m.CHUNK, np.uint8)
        owners[: len(memory.owners)] = memory.owners
        memory.totals[m.CHUNKS] = len(owners)
        self.memory = memory._replace(slabs=np.append(memory.slabs, slab.ctypes.data), owners=owners)

    def _enlarge_table(self, cell: int, entries: int) -> None:
        table = np.zeros(entries, np.int64)
        m.rehash(self._tables[cell], table)
        self._tables[cell] = table
        self._place_table(cell, table)

    def _place_table(self, cell: int, table: Longs) -> None:
        self.memory.tables[cell] = table.ctypes.data
        self.memory.masks[cell] = len(table) - 1

    # Cells.

    def read_base(self, base: CardHistory, cell: int) -> None:
        """Take the cards of a cell from the loaded history. Raises SnapshotError for another cell's."""
        cards, counts, items = base.read(cell)
        if items.shape[1:] != (HISTORY, WORDS) or not len(cards) == len(counts) == len(items):
            raise SnapshotError(f"card history, cell {cell}: columns of unlike lengths; load the history again")
        starts = np.arange(len(cards), dtype=np.int64) * HISTORY
        self._restore(cell, cards, counts, starts, items.reshape(-1, WORDS), base.texts(cell), "card history")

    def read_cell(self, cell: int, payload: bytes) -> None:
        """Take the cards of a cell from its bytes. Raises SnapshotError for bytes that are not a cell's."""
        magic, version, count, total, rows = _HEAD.unpack_from(payload) if len(payload) >= _HEAD.size else (b"",) * 5
        if magic != _MAGIC or version != _VERSION:
            raise SnapshotError(f"cell {cell}: not cards in format {_VERSION}; restore another savepoint")
        ends = np.cumsum([_HEAD.size, 8 * count, count, 32 * total, TEXT * rows])
        if ends[-1] != len(payload):
            raise SnapshotError(f"cell {cell}: {len(payload)} bytes instead of {ends[-1]}; restore another savepoint")
        cards = np.frombuffer(payload, "<u8", count, ends[0])
        counts = np.frombuffer(payload, np.uint8, count, ends[1])
        items = np.frombuffer(payload, "<u8", WORDS * total, ends[2]).reshape(-1, WORDS)
        texts = np.frombuffer(payload, np.uint8, TEXT * rows, ends[3]).reshape(-1, TEXT)
        if int(counts.sum()) != total:
            raise SnapshotError(f"cell {cell}: {total} items, counts of {counts.sum()}; restore another savepoint")
        starts = np.cumsum(counts, dtype=np.int64) - counts
        self._restore(cell, cards, counts, starts, items, texts, "snapshot")

    def _restore(
        self, cell: int, cards: Item, counts: Bytes, starts: Longs, items: Item, texts: Bytes, source: str
    ) -> None:
        if len(cards) == 0:
            return
        possible = counts.min() >= 1 and counts.max() <= HISTORY and cards.max() < _CARDS
        if not possible or (cells_of(cards) != cell).any():
            raise SnapshotError(f"{source}, cell {cell}: counts or cards that cannot be in it; it is damaged")
        lettered = items[:, 0] >> _TEXT_BIT == 1
        if lettered.sum() > len(texts) or (items[lettered, 3] >= len(texts)).any():
            raise SnapshotError(f"{source}, cell {cell}: items point to text rows that are not there; it is damaged")
        words = items.astype(np.int64)
        self.reserve_rows(len(texts))
        entries = len(self._tables[cell])
        while (self.memory.cards[cell] + len(cards)) * 4 > entries * 3:
            entries *= 2
        if entries > len(self._tables[cell]):
            self._enlarge_table(cell, entries)
        counts, texts = counts.copy(), texts.copy()
        done = 0
        while done < len(cards):
            done, missing = m.restore(self.memory, cell, done, cards.astype(np.int64), counts, starts, words, texts)
            if missing != m.DONE:
                self.grow(missing, cell)

    def write_cell(self, cell: int) -> bytes:
        """The bytes of a cell."""
        cards, counts, items, texts = self._gather(cell)
        head = _HEAD.pack(_MAGIC, _VERSION, len(cards), len(items), len(texts))
        return b"".join((head, cards.astype("<i8").data, counts.data, items.astype("<i8", copy=False).data, texts.data))

    def _gather(self, cell: int) -> tuple[Longs, Bytes, Longs, Bytes]:
        memory = self.memory
        count = int(memory.cards[cell])
        cards, counts = np.empty(count, np.int64), np.empty(count, np.uint8)
        items = np.empty((count * HISTORY, WORDS), np.int64)
        rows = np.empty(len(memory.texts) - int(memory.totals[m.FREE_ROWS]), np.int64)
        used = memory.owners[: memory.totals[m.CHUNKS_USED]]
        chunks = np.flatnonzero(used == cell).astype(np.int64, copy=False)
        last = int(memory.next_slot[cell])
        total, found = m.gather(memory, chunks, last, cards, counts, items, rows)
        return cards, counts, items[:total], memory.texts[rows[:found]]

    # Reading.

    def history(self, card: int) -> list[bytes]:
        """What a card remembers, as written and oldest arrival first; empty if it is not known."""
        return [text_of(card, item, self.memory.texts) for item in self.items(card)]

    def items(self, card: int) -> Item:
        """The packed items of a card, uint64[n, 4], oldest arrival first; text rows are those of `memory`."""
        cell = int(cells_of(np.array([card], np.uint64))[0])
        slot = m.slot_of(self.memory, cell, card)
        if slot < 0:
            return np.zeros((0, WORDS), np.uint64)
        words = self._slabs[slot // m.SLAB].reshape(-1, m.SLOT)[slot % m.SLAB].copy()
        count, oldest = int(words[1]) & 0xFF, int(words[1]) >> 8
        return np.roll(words[m.ITEMS :].reshape(HISTORY, WORDS)[:count], -oldest, axis=0).view(np.uint64)

    def cards(self) -> list[int]:
        """All cards, in no order that means anything."""
        return [int(card) for cell in range(1, m.CELLS) for card in self._gather(cell)[0]]
