"""What cards did before traffic begins: up to their last 20 genuine transactions, for whichever cards one asks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import HISTORY
from transforms.cards.routing import mixed
from transforms.cards.simulate.genuine import purchases
from transforms.cards.simulate.packets import Packets, packets
from transforms.cards.simulate.people import Population, Words
from transforms.cards.simulate.rows import Floats, Ints
from transforms.cards.simulate.world import DAY_MS, HOUR_MS, clock

_NEW = 0.05
_OWL_NIGHTS = 0.14
_SLEPT_DAYS = (60.0, 240.0)
_STEP = 0xD1342543DE82EF95


class History(NamedTuple):
    """Transactions of some cards, a card's together and oldest first: card numbers uint64[n], how many of its
    transactions there are uint8[n] (0 to 20), and all packets uint8[sum of counts, 100]."""

    cards: NDArray[np.uint64]
    counts: NDArray[np.uint8]
    packets: Packets


class _Draws:
    """Numbers in [0, 1) that depend on nothing but a word and how often one has been drawn from it.

    So a card's history is the same in whatever company it is made, and each worker makes the cards of its own files.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._drawn = 0

    def __call__(self) -> Floats:
        self._drawn += 1
        words = mixed(self._words + np.uint64(self._drawn * _STEP % 2**64))
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def histories(people: Population, cards: Ints) -> History:
    """The histories of the cards at these positions."""
    words = mixed(people.traits(cards).words)
    each = _Draws(words)
    counts = np.where(each() < _NEW, (each() * HISTORY).astype(np.int64), HISTORY)
    slept = np.where(people.sleeps(cards), _SLEPT_DAYS[0] + each() * (_SLEPT_DAYS[1] - _SLEPT_DAYS[0]), 0.0)
    numbered = mixed(words[:, None] + np.arange(HISTORY, dtype=np.uint64))
    times = _times(people, cards, slept, _Draws(numbered))
    # The newest are kept, so that a new card's few are young too.
    kept = np.arange(HISTORY) >= HISTORY - counts[:, None]
    who = np.repeat(cards, counts)
    rows = purchases(people, who, times[kept], _Draws(mixed(numbered[kept])))
    return History(people.numbers(cards), counts.astype(np.uint8), packets(people, rows))


def _times(people: Population, cards: Ints, slept: Floats, draw: _Draws) -> Ints:
    """Times int64[n, 20] in ms, oldest first, the newest before the start, as far apart as the card is active."""
    gaps = -np.log1p(-draw()) / people.rates(cards)[:, None]
    before = np.cumsum(gaps, axis=1)[:, ::-1] + slept[:, None]
    times = clock(-before, people.start_ms) - 1
    night = people.owls(cards)[:, None] & (draw() < _OWL_NIGHTS)
    at_night = times // DAY_MS * DAY_MS + (draw() * 5 * HOUR_MS).astype(np.int64)
    return np.sort(np.where(night, at_night, times), axis=1)
