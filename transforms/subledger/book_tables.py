"""Tables that the kernel fills: made, grown, and rid of what is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from transforms.subledger import book_state as s
from transforms.subledger.book_kernel import enter_all, find_all, lots_of, move_lots
from transforms.subledger.jit import Longs, Words

_FIRST: Final = 1024
_NO_HOLDING: Final = np.zeros((s.HOLDING_COLUMNS, 1), np.int64)
_NO_HOLDING[[s.H_HEAD, s.H_TAIL, s.H_CLOSED, s.H_CURRENCY]] = -1


def table(columns: int, rows: int) -> Longs:
    """A table of numbers; memory is taken as rows are filled."""
    return np.empty((columns, rows), np.int64)


def grown(old: Longs, used: int, rows: int) -> Longs:
    """The table, or a larger copy, with room for so many rows."""
    if rows <= old.shape[1]:
        return old
    larger = table(len(old), max(rows, 2 * old.shape[1]))
    larger[:, :used] = old[:, :used]
    return larger


class Tables:
    """Holdings, lots and entries that go on from batch to batch."""

    def __init__(self, pooled: bool, first_je_no: int) -> None:
        self._pooled = pooled
        self.counts = np.zeros(s.COUNTS, np.int64)
        self.counts[s.C_JE_NO] = first_je_no
        self.holdings = table(s.HOLDING_COLUMNS, _FIRST)
        self.lots = table(s.LOT_COLUMNS, _FIRST)
        self.entries = table(s.ENTRY_COLUMNS, _FIRST)
        self.kept = table(s.LINE_COLUMNS, _FIRST)
        self._places = np.zeros(2, np.int64)
        self.names = list[str]()
        self.domains = list[int]()
        self.numbers = dict[str, int]()

    def holding(self, name: str, domain: int) -> int:
        """The place of an instrument's holding, made if there is none."""
        return self.holdings_of([name], [domain])[0]

    def holdings_of(self, names: Sequence[str], domains: Sequence[int]) -> list[int]:
        """The places of instruments' holdings, made if there are none."""
        first = len(self.names)
        for name, domain in zip(names, domains, strict=True):
            if name not in self.numbers:
                self.numbers[name] = len(self.names)
                self.names.append(name)
                self.domains.append(domain)
        if len(self.names) > first:
            self.holdings = grown(self.holdings, first, len(self.names))
            self.holdings[:, first : len(self.names)] = _NO_HOLDING
        return [self.numbers[name] for name in names]

    def state(self, more_entries: int) -> s.State:
        """What the kernel takes, with room for so many more entries."""
        most = int(self.counts[s.C_ENTRIES]) + more_entries
        self.entries = grown(self.entries, int(self.counts[s.C_ENTRIES]), most)
        if len(self._places) < 2 * most + 2:
            self._places = np.empty(1 << (4 * most + 4).bit_length(), np.int64)
        found = s.State(self.holdings, self.lots, self.entries, self.kept, self._places, self.counts)
        enter_all(found)
        return found

    def make_room(self, lots: int, kept: int) -> None:
        """Have room for so many more lots and lines of entries."""
        self.lots = grown(self.lots, int(self.counts[s.C_LOTS]), int(self.counts[s.C_LOTS]) + lots)
        used = int(self.counts[s.C_KEPT_LINES])
        self.kept = grown(self.kept, used, used + kept)

    def known(self, ids: Longs) -> npt.NDArray[np.bool_]:
        """Which events, [2, n], have an entry here."""
        found = np.zeros(ids.shape[1], np.uint8)
        if len(found):
            find_all(self.state(0), ids, found)
        return found.astype(bool)

    def lots_of(self, holdings: Longs) -> tuple[Longs, Longs]:
        """The lots to be told of some holdings: the place of the holding among these, and the lot's own."""
        out, count = table(2, int(self.counts[s.C_LOTS])), np.zeros(1, np.int64)
        lots_of(self.holdings, self.lots, holdings, self._pooled, out, count)
        return out[0, : count[0]], out[1, : count[0]]

    def keep(self, holdings: Longs, domain: int) -> None:
        """Keep these holdings with their lots, and the entries of domains from this one on."""
        moved = np.full(len(self.names) + 1, -1, np.int64)
        moved[holdings] = np.arange(len(holdings))
        self.holdings = self.holdings[:, holdings].copy()
        self.names = [self.names[place] for place in holdings]
        self.domains = [self.domains[place] for place in holdings]
        self.numbers = {name: place for place, name in enumerate(self.names)}
        target, count = table(s.LOT_COLUMNS, max(int(self.counts[s.C_LOTS]), 1)), np.zeros(1, np.int64)
        move_lots(self.holdings, self.lots, target, count)
        self.counts[s.C_LOTS] = count[0]
        # A copy of what is used: the table was made for all lots that there may have been.
        self.lots = target[:, : max(int(count[0]), 1)].copy()
        if not self.holdings.shape[1]:
            self.holdings = table(s.HOLDING_COLUMNS, 1)
        self._keep_entries(domain, moved)

    def _keep_entries(self, domain: int, moved: Longs) -> None:
        used = int(self.counts[s.C_ENTRIES])
        entries = self.entries[:, :used]
        places = np.flatnonzero(unsigned(entries[s.E_DOMAIN]) >= np.uint64(domain))
        if len(places) == used:
            entries[s.E_HOLDING] = moved[entries[s.E_HOLDING]]
            return
        entries = np.ascontiguousarray(entries[:, places])
        sizes = entries[s.E_LINES]
        starts = np.cumsum(sizes) - sizes
        rows = np.repeat(entries[s.E_FIRST] - starts, sizes) + np.arange(int(sizes.sum()))
        self.kept = np.ascontiguousarray(self.kept[:, rows]) if len(rows) else table(s.LINE_COLUMNS, 1)
        entries[s.E_FIRST] = starts
        # -1, no holding, is the last of `moved`.
        entries[s.E_HOLDING] = moved[entries[s.E_HOLDING]]
        self.entries = entries if len(places) else table(s.ENTRY_COLUMNS, 1)
        self.counts[s.C_ENTRIES], self.counts[s.C_KEPT_LINES] = len(places), len(rows)


def unsigned(values: Longs) -> Words:
    """The same bits as numbers without sign."""
    return np.ascontiguousarray(values).view(np.uint64)


def signed(values: Words) -> Longs:
    """The same bits as numbers with sign."""
    return np.ascontiguousarray(values).view(np.int64)
