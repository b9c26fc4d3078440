"""Histories made from transactions: packets to packed items, the last 20 of each card, one cell ready to be written."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.cards import wire
from transforms.cards.base import TEXT
from transforms.cards.fields import HISTORY
from transforms.cards.history_files import Cell
from transforms.cards.packed import TIME_MASK, WORDS
from transforms.cards.routing import cells_of, partitions_of
from transforms.cards.simulate import Population, histories

_TEXT_BIT = np.uint64(63)
_CARDS_AT_ONCE = 8_192
_ENUMERATED_AT_ONCE = 1_000_000


class Records(NamedTuple):
    """Transactions as columns: cards uint64[n], their places in the input uint64[n], items uint64[n, 4] and the text
    rows uint8[m, 25] to which items point; in no particular order."""

    cards: npt.NDArray[np.uint64]
    places: npt.NDArray[np.uint64]
    items: npt.NDArray[np.uint64]
    texts: npt.NDArray[np.uint8]

    def take(self, chosen: npt.NDArray[np.int64]) -> Records:
        """The records at these positions, in this order, with just their text rows."""
        items = self.items[chosen]
        texts = _renumber(items, self.texts)
        return Records(self.cards[chosen], self.places[chosen], items, texts)

    def to_bytes(self) -> bytes:
        """All of it as bytes, to be sent to another worker."""
        sizes = np.array([len(self.cards), len(self.texts)], np.int64)
        return b"".join(part.tobytes() for part in (sizes, *self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Records:
        """What `to_bytes` has made."""
        count, rows = np.frombuffer(data, np.int64, 2).tolist()
        words = np.frombuffer(data, np.uint64, count * (2 + WORDS), 16)
        texts = np.frombuffer(data, np.uint8, rows * TEXT, 16 + words.nbytes)
        items = words[2 * count :].reshape(-1, WORDS)
        return cls(words[:count], words[count : 2 * count], items, texts.reshape(-1, TEXT))


def joined(parts: list[Records]) -> Records:
    """All records of several parts."""
    items = [part.items.copy() for part in parts]
    before = 0
    for part, own in zip(parts, items, strict=True):
        lettered = own[:, 0] >> _TEXT_BIT == 1
        own[lettered, 3] += np.uint64(before)
        before += len(part.texts)
    return Records(
        np.concatenate([part.cards for part in parts]), np.concatenate([part.places for part in parts]),
        np.concatenate(items), np.concatenate([part.texts for part in parts]),
    )  # fmt: skip


def last_of_each(records: Records) -> Records:
    """The last 20 transactions of each card by timestamp, ties in the order of the input; cards ascending, a card's
    oldest first."""
    order = np.lexsort((records.places, records.items[:, 0] & np.uint64(TIME_MASK), records.cards))
    cards = records.cards[order]
    ends = np.flatnonzero(np.append(cards[1:] != cards[:-1], True)) + 1 if len(cards) else np.zeros(0, np.int64)
    from_end = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(cards))
    return records.take(order[from_end <= HISTORY])


def cell_of(records: Records) -> Cell:
    """A cell with the last 20 transactions of each card among the records."""
    last = last_of_each(records)
    cards, counts = np.unique(last.cards, return_counts=True)
    return Cell(cards, counts.astype(np.uint8), _aligned(last.items, counts), last.texts)


def split(records: Records, partitions: int) -> dict[tuple[int, int], Records]:
    """The records by (partition, cell), of each card the last 20 among these."""
    if not len(records.cards):
        return {}
    last = last_of_each(records)
    homes = partitions_of(last.cards, partitions).astype(np.int64) * 64 + cells_of(last.cards)
    order = np.argsort(homes, kind="stable")
    found, firsts = np.unique(homes[order], return_index=True)
    parts = np.split(order, firsts[1:])
    return {(int(home) // 64, int(home) % 64): last.take(part) for home, part in zip(found, parts, strict=True)}


def positions(
    people: Population, partition: int, partitions: int, cells: list[int]
) -> dict[int, npt.NDArray[np.int64]]:
    """Positions in the population of the cards that live in these cells of a partition."""
    found: dict[int, list[npt.NDArray[np.int64]]] = {cell: [] for cell in cells}
    for start in range(0, people.cards, _ENUMERATED_AT_ONCE):
        places = np.arange(start, min(start + _ENUMERATED_AT_ONCE, people.cards), dtype=np.int64)
        numbers = people.numbers(places)
        here = np.flatnonzero(partitions_of(numbers, partitions) == partition)
        homes = cells_of(numbers[here])
        for cell in cells:
            found[cell].append(places[here[homes == cell]])
    return {cell: np.concatenate(parts) for cell, parts in found.items()}


def simulated_cell(people: Population, places: npt.NDArray[np.int64]) -> Cell:
    """A cell with the simulated histories of the cards at these positions; new cards without any are left out."""
    parts = [simulated(people, places[at : at + _CARDS_AT_ONCE]) for at in range(0, len(places), _CARDS_AT_ONCE)]
    before = np.cumsum([0] + [len(part.texts) for part in parts])
    for part, more in zip(parts, before, strict=False):
        lettered = part.items[:, :, 0] >> _TEXT_BIT == 1
        part.items[:, :, 3][lettered] += np.uint64(more)
    return Cell(
        np.concatenate([np.zeros(0, np.uint64)] + [part.cards for part in parts]),
        np.concatenate([np.zeros(0, np.uint8)] + [part.counts for part in parts]),
        np.concatenate([np.zeros((0, HISTORY, WORDS), np.uint64)] + [part.items for part in parts]),
        np.concatenate([np.zeros((0, TEXT), np.uint8)] + [part.texts for part in parts]),
    )


def simulated(people: Population, places: npt.NDArray[np.int64]) -> Cell:
    """Simulated histories of the cards at these positions, all at once."""
    made = histories(people, places)
    parsed = wire.parse(made.packets, loaded=True)
    assert not parsed.statuses.any(), "the simulator made a packet that the parser refuses"
    kept = np.flatnonzero(made.counts)
    counts = made.counts[kept]
    return Cell(made.cards[kept], counts, _aligned(parsed.items, counts.astype(np.int64)), parsed.texts)


def _aligned(items: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Items uint64[n, 20, 4] from n runs of items one after the other, each filled up with zeros."""
    made = np.zeros((len(counts), HISTORY, WORDS), np.uint64)
    made[np.arange(HISTORY) < counts[:, None]] = items
    return made


def _renumber(items: npt.NDArray[np.uint64], texts: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Text rows in the order of the items that point to them; the items are changed to point there."""
    lettered = np.flatnonzero(items[:, 0] >> _TEXT_BIT)
    rows: npt.NDArray[np.uint8] = texts[items[lettered, 3].astype(np.int64)]
    items[lettered, 3] = np.arange(len(lettered), dtype=np.uint64)
    return rows
