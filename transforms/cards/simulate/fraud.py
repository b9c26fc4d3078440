"""Labelled fraud: seven ways in which cards are abused, each upon a genuine transaction of its victim.

Every scenario overlaps with what cardholders do themselves (sprees, trips, night owls, foreign shops, large purchases,
retries), so that no simple rule finds all of it or finds only it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from transforms.cards.simulate import labels
from transforms.cards.simulate.genuine import MOST, Rng, abroad, in_person, move
from transforms.cards.simulate.people import Population
from transforms.cards.simulate.rows import (
    AMOUNT,
    ARRIVAL,
    CARD,
    CODE,
    COPY,
    LABEL,
    MERCHANT,
    RESPONSE,
    TIME,
    Floats,
    Ints,
    Rows,
    repeat,
    running,
)
from transforms.cards.simulate.world import (
    APPROVED,
    CASH,
    CHIP,
    CITIES,
    CONTACTLESS,
    DAY_MS,
    DO_NOT_HONOUR,
    HOUR_MS,
    MINUTE_MS,
    NO_FUNDS,
    ONLINE,
    STRIPE,
    WRONG_CHECK,
    WRONG_NUMBER,
)

_RESALE = np.array([5732, 5944, 5311, 5651, 5310, 5411], np.int64)
_ONLINE = np.array([5999, 5815, 4829, 7995, 5999, 4511], np.int64)
_DEAR = np.array([5732, 5944, 4829, 5999, 4511], np.int64)
_SMALL = np.array([5815, 8398, 5999], np.int64)
_ABROAD = np.array([5411, 5812, 5541, 5732, 5651, 5944], np.int64)


def burst(people: Population, rows: Rows, rng: Rng) -> Rows:
    """A stolen card: 4 to 10 purchases within an hour, of what sells again, the later ones often declined."""
    rows, steps = repeat(rows, rng.integers(4, 11, rows.shape[1]))
    _wait(rows, steps, 20 * MINUTE_MS, 20_000 + rng.exponential(4 * MINUTE_MS, len(steps)), rng)
    traits = people.traits(rows[CARD])
    move(rows, traits.home, traits.home * 1000 + 1 + (traits.city + 2) % CITIES)
    rows[MERCHANT] = _of(_RESALE, steps, rng)
    rows[CODE] = _of(np.array([CONTACTLESS, CONTACTLESS, CHIP, STRIPE]), steps, rng)
    rows[AMOUNT] = _money(traits.scale * np.where(rows[CODE] == CONTACTLESS, 1.2, 4.0), 0.6, rng)
    refused = rng.random(len(steps)) < 0.04 + 0.06 * steps
    rows[RESPONSE] = np.where(refused, NO_FUNDS, APPROVED)
    return rows


def test_large(people: Population, rows: Rows, rng: Rng) -> Rows:
    """Card data sold: 1 to 3 tiny online payments to see whether they work, then 1 to 3 as large as will go through."""
    tests = rng.integers(1, 4, rows.shape[1])
    sizes = tests + rng.integers(1, 4, rows.shape[1])
    rows, steps = repeat(rows, sizes)
    large = steps >= np.repeat(tests, sizes)
    gaps = np.where(large, rng.exponential(25 * MINUTE_MS, len(steps)), rng.exponential(2 * MINUTE_MS, len(steps)))
    _wait(rows, steps, 6 * HOUR_MS, gaps + 15_000, rng)
    traits = people.traits(rows[CARD])
    far = np.where(_together(steps, rng) < 0.75, abroad(traits.home, rng.random(len(steps))), traits.home)
    move(rows, far, far * 1000)
    rows[CODE] = ONLINE
    rows[MERCHANT] = np.where(large, _of(_DEAR, steps, rng), _of(_SMALL, steps, rng))
    rows[AMOUNT] = np.where(large, _money(traits.scale * 12, 0.6, rng), rng.integers(1, 300, len(steps)))
    rows[RESPONSE] = np.where(large & (rng.random(len(steps)) < 0.2), DO_NOT_HONOUR, APPROVED)
    return rows


def night_cash(people: Population, rows: Rows, rng: Rng) -> Rows:
    """A card and its PIN: 2 to 5 withdrawals in a row, from between 01:00 and 04:00 on, as large as they can be."""
    rows, steps = repeat(rows, rng.integers(2, 6, rows.shape[1]))
    begins = HOUR_MS + (_together(steps, rng) * 3 * HOUR_MS).astype(np.int64)
    rows[TIME] = (rows[TIME] // DAY_MS + 1) * DAY_MS + begins
    rows[TIME] += running(steps, 40_000 + rng.exponential(5 * MINUTE_MS, len(steps)))
    traits = people.traits(rows[CARD])
    far = np.where(_together(steps, rng) < 0.25, abroad(traits.home, rng.random(len(steps))), traits.home)
    move(rows, far, far * 1000 + 1 + (traits.city + 5) % CITIES)
    rows[CODE], rows[MERCHANT] = CASH, 6011
    rows[AMOUNT] = rng.integers(10, 51, len(steps)) * 1000
    rows[RESPONSE] = np.where(rng.random(len(steps)) < 0.12 * steps, NO_FUNDS, APPROVED)
    return rows


def travel(people: Population, rows: Rows, rng: Rng) -> Rows:
    """A copied card: shown in a shop at home, and within 8 to 100 minutes 2 to 5 times in a country far away."""
    rows, steps = repeat(rows, rng.integers(2, 6, rows.shape[1]))
    _wait(rows, steps, 80 * MINUTE_MS, 8 * MINUTE_MS + rng.exponential(6 * MINUTE_MS, len(steps)), rng)
    traits = people.traits(rows[CARD])
    far = abroad(traits.home, _together(steps, rng))
    move(rows, far, far * 1000 + 1 + (traits.city + 11) % CITIES)
    rows[MERCHANT] = _of(_ABROAD, steps, rng)
    rows[CODE] = np.where(rng.random(len(steps)) < 0.7, STRIPE, CHIP)
    rows[AMOUNT] = _money(traits.scale * 2.0, 0.8, rng)
    rows[RESPONSE] = np.where(rng.random(len(steps)) < 0.15, DO_NOT_HONOUR, APPROVED)
    return rows


def dormant(people: Population, rows: Rows, rng: Rng) -> Rows:
    """A card from a drawer, unused for months: 3 to 6 medium to large payments within hours."""
    rows = rows.copy()
    rows[CARD] = people.sleeper(rows[CARD])
    rows, steps = repeat(rows, rng.integers(3, 7, rows.shape[1]))
    _wait(rows, steps, 4 * HOUR_MS, 5 * MINUTE_MS + rng.exponential(50 * MINUTE_MS, len(steps)), rng)
    traits = people.traits(rows[CARD])
    online = rng.random(len(steps)) < 0.6
    far = np.where(online & (rng.random(len(steps)) < 0.4), abroad(traits.home, rng.random(len(steps))), traits.home)
    move(rows, far, far * 1000 + np.where(online, 0, 1 + (traits.city + 3) % CITIES))
    rows[CODE] = np.where(online, ONLINE, CONTACTLESS)
    rows[MERCHANT] = np.where(online, _of(_ONLINE, steps, rng), _of(_RESALE, steps, rng))
    rows[AMOUNT] = _money(traits.scale * 2.5, 0.8, rng)
    rows[RESPONSE] = np.where(rng.random(len(steps)) < 0.1, DO_NOT_HONOUR, APPROVED)
    return rows


def guess(people: Population, rows: Rows, rng: Rng) -> Rows:
    """A number found by trying: 3 to 7 attempts declined for wrong data seconds apart, then 1 to 3 that go through."""
    fails = rng.integers(3, 8, rows.shape[1])
    sizes = fails + rng.integers(1, 4, rows.shape[1])
    rows, steps = repeat(rows, sizes)
    through = steps >= np.repeat(fails, sizes)
    gaps = np.where(through, rng.exponential(4 * MINUTE_MS, len(steps)), rng.exponential(12_000, len(steps)))
    _wait(rows, steps, 8 * HOUR_MS, gaps + 2_000, rng)
    traits = people.traits(rows[CARD])
    far = np.where(_together(steps, rng) < 0.5, abroad(traits.home, rng.random(len(steps))), traits.home)
    move(rows, far, far * 1000)
    rows[CODE], rows[MERCHANT] = ONLINE, _of(_ONLINE, steps, rng)
    rows[AMOUNT] = np.where(through, _money(traits.scale * 3, 0.7, rng), rng.integers(100, 2_000, len(steps)))
    wrong = np.where(rng.random(len(steps)) < 0.5, WRONG_NUMBER, WRONG_CHECK)
    rows[RESPONSE] = np.where(through, APPROVED, wrong)
    return rows


def creep(people: Population, rows: Rows, rng: Rng) -> Rows:
    """Quiet use of card data: 3 to 6 ordinary online payments, hours to days apart. Hardly to be told from genuine."""
    rows, steps = repeat(rows, rng.integers(3, 7, rows.shape[1]))
    _wait(rows, steps, DAY_MS, 2 * HOUR_MS + rng.exponential(14 * HOUR_MS, len(steps)), rng)
    traits = people.traits(rows[CARD])
    far = np.where(rng.random(len(steps)) < 0.4, abroad(traits.home, rng.random(len(steps))), traits.home)
    move(rows, far, far * 1000)
    rows[CODE], rows[MERCHANT] = ONLINE, _of(_ONLINE, steps, rng)
    rows[AMOUNT] = _money(traits.scale * 1.3, 0.6, rng)
    rows[RESPONSE] = APPROVED
    return rows


class Scenario(NamedTuple):
    """How attacks of one kind are made, their mean size, and their share of all fraudulent transactions."""

    make: Callable[[Population, Rows, Rng], Rows]
    size: float
    share: float


SCENARIOS: dict[int, Scenario] = {
    labels.BURST: Scenario(burst, 7, 0.22),
    labels.TEST_LARGE: Scenario(test_large, 4, 0.16),
    labels.NIGHT_CASH: Scenario(night_cash, 3.5, 0.12),
    labels.TRAVEL: Scenario(travel, 3.5, 0.16),
    labels.DORMANT: Scenario(dormant, 4.5, 0.10),
    labels.GUESS: Scenario(guess, 7, 0.14),
    labels.CREEP: Scenario(creep, 4.5, 0.10),
}


def attacks(people: Population, genuine: Rows, per_block: float, block: int, rng: Rng) -> Rows:
    """The attacks that begin in a block; `per_block` is how many fraudulent transactions a block shall have on average.

    Victims are drawn from the block's genuine transactions: who uses a card more shows it to more thieves.
    """
    made = [genuine[:, :0]]
    for number, scenario in SCENARIOS.items():
        each = per_block * scenario.share / scenario.size
        # Whole attacks: what a block is short of, a later one makes up for.
        count = int((block + 1) * each) - int(block * each)
        found = genuine[:, _victims(genuine, number, count, rng)]
        rows = scenario.make(people, found, rng)
        rows[LABEL], rows[COPY], rows[ARRIVAL] = number, 0, rows[TIME]
        made.append(rows)
    return np.concatenate(made, axis=1)


def _victims(genuine: Rows, scenario: int, count: int, rng: Rng) -> Ints:
    """Columns of `genuine` upon which attacks start."""
    places = np.flatnonzero(in_person(genuine)) if scenario == labels.TRAVEL else np.arange(genuine.shape[1])
    return places[rng.integers(0, len(places), count if len(places) else 0)] if len(places) else places


def _wait(rows: Rows, steps: Ints, first: int, gaps: Floats, rng: Rng) -> None:
    """Move an attack's rows in time: it starts up to `first` ms after its anchor, then goes on in `gaps` (ms)."""
    rows[TIME] += (_together(steps, rng) * first).astype(np.int64) + running(steps, gaps)


def _firsts(steps: Ints) -> Ints:
    """For every row the place of its attack's first row."""
    return np.arange(len(steps)) - steps


def _together(steps: Ints, rng: Rng) -> Floats:
    """A number in [0, 1) for every row, the same throughout an attack."""
    drawn: Floats = rng.random(len(steps))[_firsts(steps)]
    return drawn


def _of(choices: Ints, steps: Ints, rng: Rng) -> Ints:
    return choices[rng.integers(0, len(choices), len(steps))]


def _money(medians: Floats, sigma: float, rng: Rng) -> Ints:
    drawn = medians * np.exp(sigma * rng.standard_normal(len(medians)))
    return np.asarray(np.clip(drawn, 100, MOST).astype(np.int64))
