"""What cardholders do themselves: favourites, trips, online shops, cash, a large purchase, sprees, retries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transforms.cards.simulate.people import Population, Traits, normal
from transforms.cards.simulate.rows import (
    AMOUNT,
    ARRIVAL,
    CARD,
    CITY,
    CODE,
    COUNTRY,
    CURRENCY,
    LABEL,
    MERCHANT,
    RESPONSE,
    TIME,
    Bools,
    Floats,
    Ints,
    Rows,
    empty,
    repeat,
    running,
)
from transforms.cards.simulate.world import (
    APPROVED,
    CASH,
    CHIP,
    CITIES,
    CONTACTLESS,
    COUNTRY_CODE,
    CURRENCY_CODE,
    DO_NOT_HONOUR,
    HOUR_MS,
    KIND_CODE,
    MEDIAN,
    MINUTE_MS,
    NO_FUNDS,
    ONLINE,
    RARE,
    RECURRING,
    SIGMA,
    STRIPE,
    USE,
    VISITS,
    WRONG_PIN,
    clock,
)

Rng = np.random.Generator
Draw = Callable[[], Floats]
"""Fresh numbers in [0, 1), one for each row in hand, at every call."""
MOST = 999_999_999
"""Largest amount made."""

_RARELY = 0.05
_LARGE = 0.004
_FOREIGN_SHOP = 0.10
_DECLINED = 0.02
_ROUND = 0.08
_AT_NIGHT = 5 * HOUR_MS
_OWL_SHARE = 0.6
_AWAKE = 0.97
_SPREES, _RETRIED = 0.004, 0.6
_SHOPS = np.array([5651, 5311, 5310, 5732, 5812, 5999], np.int64)


def active(people: Population, first: float, length: float, count: int, rng: Rng) -> tuple[Ints, Ints]:
    """Cards and times of `count` purchases within `length` days of even activity from day `first` on, by time."""
    times = clock(first + length * np.sort(rng.random(count)), people.start_ms)
    cards = people.pick(rng.random(count))
    chance = rng.random(count)
    cards = np.where((times % (24 * HOUR_MS) < _AT_NIGHT) & (chance < _OWL_SHARE), people.owl(cards), cards)
    return np.where(rng.random(count) < _AWAKE, people.awake(cards), cards), times


def purchases(people: Population, cards: Ints, times: Ints, draw: Draw) -> Rows:
    """A genuine transaction of each card at each time."""
    traits = people.traits(cards)
    kinds = people.favourite(traits, people.favourites(draw()))
    chance = draw()
    rare = np.flatnonzero(chance < _RARELY)
    kinds[rare] = RARE[(chance[rare] / _RARELY * len(RARE)).astype(np.int64)]
    rows = empty(len(cards))
    rows[ARRIVAL] = rows[TIME] = times
    rows[CARD] = cards
    rows[MERCHANT] = KIND_CODE[kinds]
    rows[CODE] = _use(USE[kinds], draw())
    _place(people, traits, rows, draw)
    rows[AMOUNT] = _amounts(traits.scale, kinds, draw)
    rows[RESPONSE] = _responses(draw())
    return rows


def followed(people: Population, rows: Rows, rng: Rng) -> Rows:
    """What genuinely follows quickly: further shops of a spree, and what was declined tried again."""
    chance = rng.random(rows.shape[1])
    shopping = rows[:, (chance < _SPREES) & in_person(rows)]
    spree, steps = repeat(shopping, rng.integers(1, 5, shopping.shape[1]))
    _later(spree, running(steps, rng.exponential(20.0, len(steps)) * MINUTE_MS + 3 * MINUTE_MS))
    spree[MERCHANT] = _SHOPS[rng.integers(0, len(_SHOPS), len(steps))]
    spree[AMOUNT] = _around(spree[AMOUNT], 0.8, rng)
    spree[RESPONSE] = APPROVED
    again = rows[:, (rows[RESPONSE] != APPROVED) & (rng.random(rows.shape[1]) < _RETRIED)]
    _later(again, (rng.exponential(60.0, again.shape[1]) * 1000 + 10_000).astype(np.int64))
    smaller = (again[RESPONSE] == NO_FUNDS) & (rng.random(again.shape[1]) < 0.7)
    again[AMOUNT] = np.where(smaller, np.maximum(again[AMOUNT] // 2, 1), again[AMOUNT])
    again[RESPONSE] = np.where(rng.random(again.shape[1]) < 0.8, APPROVED, again[RESPONSE])
    return np.concatenate((spree, again), axis=1)


def in_person(rows: Rows) -> Bools:
    """Rows in which the card itself was shown in a shop."""
    return np.asarray(rows[CODE] <= STRIPE)


def move(rows: Rows, country: Ints, city: Ints) -> None:
    """Put rows into countries (positions) and cities."""
    rows[COUNTRY], rows[CURRENCY], rows[CITY] = COUNTRY_CODE[country], CURRENCY_CODE[country], city


def abroad(home: Ints, uniform: Floats) -> Ints:
    """For each home a country (position) that it is not, from numbers in [0, 1)."""
    country = VISITS[(uniform * len(VISITS)).astype(np.int64)]
    return np.where(country == home, (country + 1) % len(COUNTRY_CODE), country)


def label(rows: Rows, number: int) -> Rows:
    """The rows, labelled."""
    rows[LABEL] = number
    return rows


def _later(rows: Rows, by: Ints) -> None:
    rows[TIME] += by
    rows[ARRIVAL] = rows[TIME]


def _around(amounts: Ints, sigma: float, rng: Rng) -> Ints:
    spread = np.exp(sigma * rng.standard_normal(len(amounts)))
    return np.asarray(np.clip(amounts * spread, 1, MOST).astype(np.int64))


def _use(fixed: Ints, chance: Floats) -> Ints:
    shown = np.where(chance < 0.45, CHIP, np.where(chance < 0.97, CONTACTLESS, STRIPE))
    return np.where(fixed == 0, shown, fixed)


def _place(people: Population, traits: Traits, rows: Rows, draw: Draw) -> None:
    """Where each transaction happens: at home or on a trip, in the usual city or near it, or in an online shop."""
    away = people.away(traits, rows[TIME])
    # One in seven is in one of the three next cities.
    near = (traits.city - 1 + np.maximum((draw() * 21).astype(np.int64) - 17, 0)) % 1000 % CITIES
    trip_city = (traits.city + 7) % CITIES
    online = (rows[CODE] == ONLINE) | (rows[CODE] == RECURRING)
    country = np.where((away >= 0) & ~online, away, traits.home)
    chance = draw()
    foreign = np.flatnonzero((rows[CODE] == ONLINE) & (chance < _FOREIGN_SHOP))
    country[foreign] = abroad(traits.home[foreign], chance[foreign] / _FOREIGN_SHOP)
    city = country * 1000 + np.where(online, 0, 1 + np.where(away >= 0, trip_city, near))
    move(rows, country, city)


def _amounts(scale: Floats, kinds: Ints, draw: Draw) -> Ints:
    """Minor units: log-normal around the kind's median for this cardholder; cash in tens, some others round."""
    amounts = scale * MEDIAN[kinds] * np.exp(SIGMA[kinds] * normal(draw()))
    chance = draw()
    amounts = np.where(chance < _LARGE, amounts * (4 + 2000 * chance), amounts)
    whole = np.clip(amounts, 50, MOST).astype(np.int64)
    cash = USE[kinds] == CASH
    step = np.where(cash, 1000, np.where(chance > 1 - _ROUND, 500, 1))
    return np.asarray(np.maximum(whole // step, 1) * step)


def _responses(chance: Floats) -> Ints:
    responses = np.where(chance < _DECLINED * 0.4, DO_NOT_HONOUR, NO_FUNDS)
    responses[chance < _DECLINED * 0.15] = WRONG_PIN
    responses[chance >= _DECLINED] = APPROVED
    return responses
