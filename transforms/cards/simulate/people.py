"""Cardholders: everything that makes one differ from the next follows from the seed and the card's position."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.cards.routing import mixed
from transforms.cards.simulate.rows import Bools, Floats, Ints
from transforms.cards.simulate.world import CITIES, DAY_MS, EVERYDAY, HOMES, VISITS

START_MS = 1_640_995_200_000
"""2022-01-01T00:00Z: where histories end and traffic begins unless told otherwise."""
FIRST_CARD = 40_002_200_000_000
"""Number of the card at position 0: six digits of the issuer, eight of the card."""
MOST_CARDS = 100_000_000
GROCERIES = 3_000.0
"""Median over the cardholders of their median grocery bill, in minor units."""

_Q = 0.02
_SLEEPER, _SLEEPERS = 7, 31
_OWL, _OWLS = 3, 15
_TRIP_MS = 14 * DAY_MS
_FAVOURITES = 6

Words = NDArray[np.uint64]


def bits(words: Words, shift: int, mask: int) -> Ints:
    """Some bits of each word as a number."""
    return ((words >> np.uint64(shift)) & np.uint64(mask)).astype(np.int64)


_NORMAL = np.array([NormalDist().inv_cdf((number + 0.5) / 4096) for number in range(4096)])


def normal(uniform: Floats) -> Floats:
    """Normally distributed numbers from those in [0, 1), as 4096 quantiles."""
    return _NORMAL[(uniform * 4096).astype(np.int64)]


class Traits(NamedTuple):
    """What is particular to cards: 64 mixed bits, home country (position), home city, own median grocery bill."""

    words: Words
    home: Ints
    city: Ints
    scale: Floats


@dataclass(frozen=True)
class Population:
    """The cards of a simulation. The same arguments give the same cards, histories and traffic.

    Args:
        cards: how many; the first are the most active.
        seed: of everything.
        start_ms: a midnight; histories end before it, traffic begins at it.
        per_day: transactions of an average card in a day.
        skew: exponent of the activity's Zipf-Mandelbrot law; 0: all cards alike, 1: the busiest do 13 times the
            average, the quietest a quarter of it.
    """

    cards: int = 1_000_000
    seed: int = 1
    start_ms: int = START_MS
    per_day: float = 1.0
    skew: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.cards <= MOST_CARDS:
            raise ValueError(f"cards must be 1 to {MOST_CARDS:,}, got {self.cards:,}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be 0 to 2^63 - 1, got {self.seed}")
        if self.start_ms % DAY_MS or not 1_000_000_000_000 <= self.start_ms < 9_000_000_000_000:
            raise ValueError(f"start must be a midnight (UTC) between 2001 and 2255, got {self.start_ms} ms")
        if not 0 < self.per_day <= 1_000:
            raise ValueError(f"transactions per day must be above 0 and at most 1000, got {self.per_day}")
        if not 0 <= self.skew <= 4:
            raise ValueError(f"skew must be 0 to 4, got {self.skew}")

    def generator(self, stream: int, block: int) -> np.random.Generator:
        """Random numbers of one block of one kind of use."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, stream, block])))

    def pick(self, uniform: Floats) -> Ints:
        """Positions of cards, drawn as often as they are active, from numbers in [0, 1)."""
        low, high = _Q, 1 + _Q
        if self.skew == 1:
            place = low * np.exp(uniform * np.log(high / low)) - low
        else:
            power = 1 - self.skew
            place = (low**power + uniform * (high**power - low**power)) ** (1 / power) - low
        return np.asarray(np.minimum((place * self.cards).astype(np.int64), self.cards - 1))

    def rates(self, cards: Ints) -> Floats:
        """Transactions per day of the cards."""
        low, high = _Q, 1 + _Q
        power = 1 - self.skew
        whole = np.log(high / low) if self.skew == 1 else (high**power - low**power) / power
        rates: Floats = self.per_day * ((cards + 0.5) / self.cards + low) ** -self.skew / whole
        return rates

    def traits(self, cards: Ints) -> Traits:
        """What is particular to the cards."""
        words = mixed(cards.astype(np.uint64) ^ mixed(np.array([self.seed], np.uint64)))
        home = HOMES[bits(words, 0, 1023)]
        city = home * 1000 + 1 + bits(words, 10, 0xFFFF) % CITIES
        return Traits(words, home, city, GROCERIES * np.exp(0.5 * _NORMAL[bits(words, 26, 4095)]))

    def favourite(self, traits: Traits, number: Ints) -> Ints:
        """Kind of the cardholders' merchant number 0 to 5, the most visited first."""
        return EVERYDAY[bits(mixed(traits.words + number.astype(np.uint64)), 0, 1023)]

    def favourites(self, uniform: Floats) -> Ints:
        """Which of the favourites is visited: each half as often as the one before, about."""
        return np.minimum((-1.6 * np.log1p(-uniform)).astype(np.int64), _FAVOURITES - 1)

    def away(self, traits: Traits, times: Ints) -> Ints:
        """Country (position) the cardholder travels in at the time, -1 at home: 3 to 10 days in one fortnight of 16."""
        shifted = times + bits(traits.words, 40, 0xFFFF) * (_TRIP_MS >> 16)
        trip = mixed(traits.words ^ (shifted // _TRIP_MS).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        length = (3 + bits(trip, 4, 7)) * DAY_MS
        country = VISITS[bits(trip, 8, 1023)]
        gone = (bits(trip, 0, 15) == 0) & (shifted % _TRIP_MS < length) & (country != traits.home)
        return np.where(gone, country, -1)

    def numbers(self, cards: Ints) -> Words:
        """Card numbers of 14 digits."""
        return (cards + FIRST_CARD).astype(np.uint64)

    def sleeps(self, cards: Ints) -> Bools:
        """Cards that lie in a drawer: hardly used for months."""
        return np.asarray((cards & _SLEEPERS) == _SLEEPER)

    def awake(self, cards: Ints) -> Ints:
        """The cards, with another in the place of each sleeper."""
        return np.where(self.sleeps(cards), cards ^ 1, cards)

    def sleeper(self, cards: Ints) -> Ints:
        """A sleeper near each card; where the population is too small for one, the card."""
        near = (cards & ~_SLEEPERS) | _SLEEPER
        return np.where(near < self.cards, near, cards)

    def owls(self, cards: Ints) -> Bools:
        """Cards used at night more than others."""
        return np.asarray((cards & _OWLS) == _OWL)

    def owl(self, cards: Ints) -> Ints:
        """A night owl's near each card; where the population is too small for one, the card."""
        near = (cards & ~_OWLS) | _OWL
        return np.where(near < self.cards, near, cards)
