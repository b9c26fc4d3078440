"""Where the cards of a shard live: slots of 656 bytes in slabs that never move, found by a hash table per cell.

    slab    16,384 slots = 256 chunks of 64; a chunk belongs to one cell
    slot    card | count and next place | 20 packed items of 32 bytes, a ring
    table   per cell, open addressing: upper half of an entry a tag from the card's mix, lower half slot + 1

Growing adds a slab, or doubles the table of one cell out of 63; no history is ever copied. The functions here are
compiled and never allocate: what they need is there before (`transforms.cards.store`), or they return what is missing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from transforms.cards.base import TEXT
from transforms.cards.fields import HISTORY
from transforms.cards.jit import Bytes, Longs, copy_bytes, longs_at, njit, part
from transforms.cards.packed import WORDS
from transforms.cards.routing import mix

CELLS: Final = 64
CHUNK: Final = 64
SLAB: Final = 16_384
ITEMS: Final = 2
"""Words of a slot before its items: card, and count | next place << 8."""
SLOT: Final = ITEMS + HISTORY * WORDS
SLAB_WORDS: Final = SLAB * SLOT

CHUNKS_USED, CHUNKS, FREE_ROWS = range(3)
"""Places in `Memory.totals`."""
DONE, NEEDS_SLAB, NEEDS_TABLE = range(3)
"""What a compiled function returned for."""

_TAG: Final = np.uint64(0xD6E8FEB86659FD93)
_33: Final = np.uint64(33)


class Memory(NamedTuple):
    """The arrays that compiled functions work on. They change in place; what grows is replaced by a new one."""

    slabs: Longs
    """Address of each slab."""
    owners: Bytes
    """The cell of each chunk."""
    next_slot: Longs
    """[CELLS]: the slot that the cell's next new card gets, unless it is `end_slot`."""
    end_slot: Longs
    """[CELLS]: end of the cell's newest chunk."""
    tables: Longs
    """[CELLS]: address of each table."""
    masks: Longs
    """[CELLS]: entries of each table, a power of two, less one."""
    cards: Longs
    """[CELLS]: cards of each cell."""
    totals: Longs
    texts: Bytes
    """[rows, TEXT]: text rows of items whose fields are not all digits."""
    free_rows: Longs
    """[rows]: those not in use, a stack of totals[FREE_ROWS]."""


@part
def slot_at(memory: Memory, slot: int) -> int:
    """The address of a slot, int64[SLOT]."""
    return memory.slabs[slot // SLAB] + slot % SLAB * (SLOT * 8)  # type: ignore[no-any-return]


@part
def tag_of(mixed: np.uint64) -> int:
    """31 bits of a card's mix that its partition and cell say little of."""
    return np.int64((mixed * _TAG) >> _33)  # type: ignore[return-value]


@part
def find(memory: Memory, cell: int, card: int, tag: int) -> tuple[int, int]:
    """The card's slot, or -1; and its place in the cell's table, or the free one where it belongs."""
    mask = memory.masks[cell]
    table = longs_at(memory.tables[cell], mask + 1)
    place = tag & mask
    while table[place] != 0:
        entry = table[place]
        if entry >> 32 == tag:
            slot = (entry & 0xFFFFFFFF) - 1
            if longs_at(slot_at(memory, slot), SLOT)[0] == card:
                return slot, place
        place = (place + 1) & mask
    return -1, place


@part
def insert(memory: Memory, cell: int, card: int, tag: int, place: int) -> tuple[int, int]:
    """An empty slot for a card that `find` did not find: the slot, and what is missing if that is -1."""
    mask = memory.masks[cell]
    if (memory.cards[cell] + 1) * 4 > (mask + 1) * 3:
        return -1, NEEDS_TABLE
    slot = memory.next_slot[cell]
    if slot == memory.end_slot[cell]:
        chunk = memory.totals[CHUNKS_USED]
        if chunk == memory.totals[CHUNKS]:
            return -1, NEEDS_SLAB
        memory.totals[CHUNKS_USED] = chunk + 1
        memory.owners[chunk] = cell
        slot = chunk * CHUNK
        memory.end_slot[cell] = slot + CHUNK
    memory.next_slot[cell] = slot + 1
    memory.cards[cell] += 1
    longs_at(memory.tables[cell], mask + 1)[place] = tag << 32 | (slot + 1)
    words = longs_at(slot_at(memory, slot), SLOT)
    words[0] = card
    words[1] = 0
    return slot, DONE


@njit
def rehash(old: Longs, new: Longs) -> None:
    """Move the entries of a table to a larger one, empty so far."""
    mask = len(new) - 1
    for entry in old:
        if entry != 0:
            place = (entry >> 32) & mask
            while new[place] != 0:
                place = (place + 1) & mask
            new[place] = entry


@part
def append(memory: Memory, words: Longs, item: Longs) -> None:
    """Make an item the newest of a slot's ring; the oldest of a full one leaves, with its text row."""
    count, place = words[1] & 0xFF, words[1] >> 8
    if count < HISTORY:
        place = count
        words[1] = count + 1
    else:
        words[1] = HISTORY | (place + 1) % HISTORY << 8
    at = ITEMS + place * WORDS
    if count == HISTORY and words[at] < 0:
        memory.free_rows[memory.totals[FREE_ROWS]] = words[at + 3]
        memory.totals[FREE_ROWS] += 1
    for i in range(WORDS):
        words[at + i] = item[i]


@part
def take_row(memory: Memory) -> int:
    """A text row that is free; there is one."""
    memory.totals[FREE_ROWS] -= 1
    return memory.free_rows[memory.totals[FREE_ROWS]]  # type: ignore[no-any-return]


@njit
def slot_of(memory: Memory, cell: int, card: int) -> int:
    """The slot of a card, -1 if it is not known."""
    slot, _ = find(memory, cell, card, tag_of(mix(np.uint64(card))))
    return slot


@njit
def restore(
    memory: Memory, cell: int, first: int, cards: Longs, counts: Bytes, starts: Longs, items: Longs, texts: Bytes
) -> tuple[int, int]:
    """Give cards `first` and on their slots, filled with counts[i] items from items[starts[i]] on, oldest first.

    The memory has as many free rows as `texts`; items are changed. Returns how far it came and what was missing there.
    """
    for i in range(first, len(cards)):
        mixed = mix(np.uint64(cards[i]))
        tag = tag_of(mixed)
        slot, place = find(memory, cell, cards[i], tag)
        if slot < 0:
            slot, missing = insert(memory, cell, cards[i], tag, place)
            if slot < 0:
                return i, missing
        words = longs_at(slot_at(memory, slot), SLOT)
        words[1] = 0
        for k in range(starts[i], starts[i] + counts[i]):
            item = items[k]
            if item[0] < 0:
                row = take_row(memory)
                copy_bytes(memory.texts[row], 0, texts[item[3]], TEXT)
                item[3] = row
            append(memory, words, item)
    return len(cards), DONE


@njit
def gather(
    memory: Memory, chunks: Longs, last: int, cards: Longs, counts: Bytes, items: Longs, rows: Longs
) -> tuple[int, int]:
    """Copy the cards of `chunks` (all of one cell, `last` its next slot) out, items one card after the other.

    Items with text get numbers from 0 on instead of their rows, which are listed in `rows`. Returns items and rows.
    """
    card = 0
    at = 0
    found = 0
    for chunk in chunks:
        for slot in range(chunk * CHUNK, chunk * CHUNK + CHUNK):
            if slot == last:
                break
            words = longs_at(slot_at(memory, slot), SLOT)
            count, oldest = words[1] & 0xFF, words[1] >> 8
            cards[card] = words[0]
            counts[card] = count
            card += 1
            for k in range(count):
                place = ITEMS + (oldest + k) % HISTORY * WORDS
                for i in range(WORDS):
                    items[at, i] = words[place + i]
                if items[at, 0] < 0:
                    rows[found] = items[at, 3]
                    items[at, 3] = found
                    found += 1
                at += 1
    return at, found


def empty_memory() -> Memory:
    """Memory without slabs, tables and text rows."""
    per_cell = [np.zeros(CELLS, np.int64) for _ in range(5)]
    return Memory(
        slabs=np.zeros(0, np.int64),
        owners=np.zeros(0, np.uint8),
        next_slot=per_cell[0],
        end_slot=per_cell[1],
        tables=per_cell[2],
        masks=per_cell[3],
        cards=per_cell[4],
        totals=np.zeros(3, np.int64),
        texts=np.zeros((0, TEXT), np.uint8),
        free_rows=np.zeros(0, np.int64),
    )
