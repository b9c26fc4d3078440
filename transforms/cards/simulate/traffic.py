"""Endless simulated traffic: genuine purchases, labelled fraud, late and doubled records, in the order they arrive."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.cards.simulate import fraud, genuine
from transforms.cards.simulate.packets import Packets, packets
from transforms.cards.simulate.people import Population
from transforms.cards.simulate.rows import (
    AMOUNT,
    ARRIVAL,
    CARD,
    COPY,
    LABEL,
    MERCHANT,
    TIME,
    Ints,
    Rows,
    empty,
)
from transforms.cards.simulate.world import DAY_MS, MINUTE_MS, clock

BLOCK = 32_768
"""Genuine purchases that are made at once."""
_STREAM = 1
_LATE_MS = 10 * MINUTE_MS
_AGAIN_MS = MINUTE_MS
_FUTURE_MS = 3650 * DAY_MS


@dataclass(frozen=True)
class Mix:
    """Shares of all transactions: `fraud` (0.005 is one in 200), `late` (out of order: on the wire some minutes after
    others of the same time), `duplicates` (the same bytes again), `future` (timestamps ten years ahead)."""

    fraud: float = 0.005
    late: float = 0.01
    duplicates: float = 0.001
    future: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("fraud", self.fraud), ("late", self.late), ("duplicates", self.duplicates),
                            ("future", self.future)):  # fmt: skip
            if not 0 <= share <= 0.5:
                raise ValueError(f"the share of {name} must be 0 to 0.5, got {share}")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Consecutive transactions as they arrive: packets uint8[n, 100], card numbers uint64[n], label uint8[n] (see
    `labels`), whether a record is a duplicate, timestamps (ms), amounts and merchants int64[n]."""

    packets: Packets
    cards: NDArray[np.uint64]
    labels: NDArray[np.uint8]
    duplicates: NDArray[np.bool_]
    times: Ints
    amounts: Ints
    merchants: Ints

    def __len__(self) -> int:
        return len(self.cards)

    def slice(self, start: int, stop: int) -> Traffic:
        """The transactions at positions `start` to `stop` (exclusive)."""
        return Traffic(*(column[start:stop] for column in self.columns()))

    def columns(self) -> list[Any]:
        """All columns, in order."""
        return [getattr(self, field.name) for field in fields(self)]


class Simulator:
    """Traffic of a population. The same arguments give the same transactions, however they are taken.

    `from_day` starts so many days after the population's start, with attacks that begin from then on.
    """

    def __init__(self, people: Population, mix: Mix | None = None, from_day: float = 0.0) -> None:
        self.people = people
        self.mix = Mix() if mix is None else mix
        self._days = BLOCK / (people.cards * people.per_day)
        self._pending = empty()
        self._block = math.ceil(from_day / self._days)
        self._left: Traffic | None = None

    def take(self, count: int) -> Traffic:
        """The next `count` transactions."""
        parts: list[Traffic] = []
        wanted = count
        while wanted > 0:
            left = self._left if self._left is not None else self._next()
            parts.append(left.slice(0, wanted))
            self._left = left.slice(wanted, len(left)) if len(left) > wanted else None
            wanted -= len(parts[-1])
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self._traffic(empty())
        return Traffic(*(np.concatenate(columns) for columns in zip(*(part.columns() for part in parts), strict=True)))

    def blocks(self) -> Iterator[Traffic]:
        """All that follows, without end, in blocks of the most convenient size."""
        while True:
            left, self._left = self._left, None
            yield left if left is not None else self._next()

    def _next(self) -> Traffic:
        people, mix, block = self.people, self.mix, self._block
        rng = people.generator(_STREAM, block)
        length = self._days
        cards, times = genuine.active(people, block * length, length, BLOCK, rng)
        rows = genuine.purchases(people, cards, times, lambda: rng.random(BLOCK))
        frauds = fraud.attacks(people, rows, BLOCK * mix.fraud / (1 - mix.fraud), block, rng)
        rows = np.concatenate((rows, genuine.followed(people, rows, rng), frauds), axis=1)
        rows = np.concatenate((self._pending, self._disturbed(rows, rng)), axis=1)
        ends = clock(np.array([(block + 1) * length]), people.start_ms)[0]
        rows = rows[:, np.argsort(rows[ARRIVAL], kind="stable")]
        ready = int(np.searchsorted(rows[ARRIVAL], ends))
        self._pending = rows[:, ready:].copy()
        self._block += 1
        return self._traffic(rows[:, :ready])

    def _disturbed(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Rows with their shares of late, doubled and future ones."""
        mix = self.mix
        chance = rng.random((3, rows.shape[1]))
        late = np.flatnonzero(chance[0] < mix.late)
        rows[ARRIVAL, late] += (rng.exponential(_LATE_MS, len(late)) + 1).astype(np.int64)
        rows[TIME, chance[1] < mix.future] += _FUTURE_MS
        twice = rows[:, chance[2] < mix.duplicates]
        twice[ARRIVAL] += (rng.exponential(_AGAIN_MS, twice.shape[1]) + 1).astype(np.int64)
        twice[COPY] = 1
        return np.concatenate((rows, twice), axis=1)

    def _traffic(self, rows: Rows) -> Traffic:
        return Traffic(
            packets(self.people, rows), self.people.numbers(rows[CARD]), rows[LABEL].astype(np.uint8),
            rows[COPY].astype(np.bool_), rows[TIME], rows[AMOUNT], rows[MERCHANT],
        )  # fmt: skip
