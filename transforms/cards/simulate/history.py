"""What cards did before traffic begins: up to their last 20 genuine transactions, by the block of cards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import HISTORY
from transforms.cards.simulate.genuine import purchases
from transforms.cards.simulate.packets import Packets, packets
from transforms.cards.simulate.people import Population
from transforms.cards.simulate.rows import Ints
from transforms.cards.simulate.world import DAY_MS, HOUR_MS, clock

BLOCK = 4_096
"""Cards whose histories are drawn together; fixed, so that a history does not depend on who asks for it."""
_STREAM = 2
_NEW = 0.05
_OWL_NIGHTS = 0.25
_SLEPT_DAYS = (60.0, 240.0)


class History(NamedTuple):
    """Transactions of some cards, a card's together and oldest first: card numbers uint64[n], how many of its
    transactions there are uint8[n] (0 to 20), and all packets uint8[sum of counts, 100]."""

    cards: NDArray[np.uint64]
    counts: NDArray[np.uint8]
    packets: Packets


def histories(people: Population, block: int) -> History:
    """The histories of the cards at positions `block` * 4096 and on."""
    cards = np.arange(block * BLOCK, min((block + 1) * BLOCK, people.cards), dtype=np.int64)
    rng = people.generator(_STREAM, block)
    new = rng.random(len(cards)) < _NEW
    counts = np.where(new, rng.integers(0, HISTORY, len(cards)), HISTORY)
    times = _times(people, cards, rng)
    kept = np.arange(HISTORY) >= HISTORY - counts[:, None]
    who = np.repeat(cards, HISTORY).reshape(-1, HISTORY)
    rows = purchases(people, who[kept], times[kept], rng)
    return History(people.numbers(cards), counts.astype(np.uint8), packets(people, rows))


def blocks(people: Population) -> int:
    """How many blocks the population has."""
    return -(-people.cards // BLOCK)


def _times(people: Population, cards: Ints, rng: np.random.Generator) -> Ints:
    """Times int64[n, 20] in ms, oldest first, the newest before the start, as far apart as the card is active."""
    gaps = rng.exponential(1.0, (len(cards), HISTORY)) / people.rates(cards)[:, None]
    before = np.cumsum(gaps, axis=1)[:, ::-1]
    slept = rng.uniform(*_SLEPT_DAYS, len(cards))
    before = before + np.where(people.sleeps(cards), slept, 0.0)[:, None]
    times = clock(-before, people.start_ms) - 1
    night = people.owls(cards)[:, None] & (rng.random(times.shape) < _OWL_NIGHTS)
    at_night = times // DAY_MS * DAY_MS + (rng.random(times.shape) * 5 * HOUR_MS).astype(np.int64)
    return np.sort(np.where(night, at_night, times), axis=1)
