"""The simulated world: countries with their currencies, kinds of merchants with usual amounts, hours of the day."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

CHIP, CONTACTLESS, STRIPE, ONLINE, RECURRING, CASH = 10, 20, 30, 40, 50, 60
"""Transaction codes (five digits on the wire): how the card was used."""

APPROVED, DO_NOT_HONOUR, WRONG_NUMBER, NO_FUNDS, WRONG_PIN, WRONG_CHECK = 0, 5, 14, 51, 55, 82
"""Response codes of ISO 8583 that occur; 82 is a wrong card verification value."""


class Country(NamedTuple):
    """ISO 3166 number, ISO 4217 number, share of cards at home there, share of trips and foreign shops."""

    code: int
    currency: int
    homes: float
    visits: float


COUNTRIES = (
    Country(276, 978, 40, 10), Country(826, 826, 15, 12), Country(250, 978, 15, 14), Country(724, 978, 10, 16),
    Country(380, 978, 10, 13), Country(840, 840, 10, 14), Country(756, 756, 0, 6), Country(392, 392, 0, 3),
    Country(702, 702, 0, 2), Country(764, 764, 0, 3), Country(76, 986, 0, 2), Country(484, 484, 0, 2),
    Country(710, 710, 0, 1), Country(566, 566, 0, 0.5), Country(804, 980, 0, 0.5), Country(360, 360, 0, 1),
)  # fmt: skip
CITIES = 40
"""Cities of a country: its position in COUNTRIES times 1000, plus 1 to 40; 0 is its online shops."""


class Kind(NamedTuple):
    """A kind of merchant: ISO 18245 code, median amount in groceries, spread (sigma of the log), how cards are used
    there (0: chip, contactless or stripe), weight among everyday and among rare purchases."""

    code: int
    median: float
    sigma: float
    use: int
    everyday: float
    rare: float


KINDS = (
    Kind(5411, 1.0, 0.6, 0, 24, 0), Kind(5812, 0.9, 0.5, 0, 12, 2), Kind(5814, 0.35, 0.4, 0, 12, 0),
    Kind(5541, 1.6, 0.3, 0, 8, 0), Kind(4111, 0.12, 0.3, 0, 9, 0), Kind(5912, 0.6, 0.5, 0, 5, 0),
    Kind(5310, 0.9, 0.6, 0, 5, 0), Kind(5651, 1.8, 0.6, 0, 4, 6), Kind(5815, 0.3, 0.5, ONLINE, 5, 0),
    Kind(5999, 1.2, 0.8, ONLINE, 8, 14), Kind(4899, 0.4, 0.2, RECURRING, 4, 0), Kind(6011, 3.0, 0.5, CASH, 4, 0),
    Kind(7523, 0.15, 0.4, 0, 3, 0), Kind(5732, 6.0, 0.7, 0, 0, 14), Kind(5712, 12.0, 0.7, 0, 0, 6),
    Kind(5944, 9.0, 0.8, 0, 0, 4), Kind(4511, 9.0, 0.6, ONLINE, 0, 14), Kind(7011, 6.0, 0.5, 0, 0, 14),
    Kind(5311, 3.0, 0.6, 0, 0, 16), Kind(7995, 1.5, 0.9, ONLINE, 0, 4), Kind(4829, 5.0, 0.9, ONLINE, 0, 3),
    Kind(8398, 0.8, 0.6, ONLINE, 0, 3),
)  # fmt: skip


def kind(code: int) -> int:
    """Position in KINDS of a merchant code."""
    return next(number for number, known in enumerate(KINDS) if known.code == code)


def table(weights: list[float], size: int = 1024) -> NDArray[np.int64]:
    """A table whose entries are positions in `weights`, each about as often as its weight says: one look-up draws."""
    edges = np.cumsum(np.asarray(weights, np.float64))
    places = (np.arange(size) + 0.5) / size * edges[-1]
    found: NDArray[np.int64] = np.searchsorted(edges, places).astype(np.int64)
    return found


COUNTRY_CODE = np.array([country.code for country in COUNTRIES], np.int64)
CURRENCY_CODE = np.array([country.currency for country in COUNTRIES], np.int64)
HOMES = table([country.homes for country in COUNTRIES])
VISITS = table([country.visits for country in COUNTRIES])
KIND_CODE = np.array([kind.code for kind in KINDS], np.int64)
MEDIAN = np.array([kind.median for kind in KINDS])
SIGMA = np.array([kind.sigma for kind in KINDS])
USE = np.array([kind.use for kind in KINDS], np.int64)
EVERYDAY = table([kind.everyday for kind in KINDS])
RARE = table([kind.rare for kind in KINDS])

_BY_HOUR = (0.6, 0.35, 0.25, 0.2, 0.25, 0.6, 1.6, 3.2, 5.0, 5.6, 5.8, 6.6,
            7.6, 7.0, 5.8, 5.6, 6.2, 7.6, 8.2, 7.4, 5.8, 4.2, 2.6, 1.3)  # fmt: skip
"""Relative activity in each hour of the day, midnight first."""
_EDGES = np.concatenate(([0.0], np.cumsum(_BY_HOUR))) / np.sum(_BY_HOUR)


def clock(days: NDArray[np.float64], start_ms: int) -> NDArray[np.int64]:
    """Times in ms of moments counted in days of even activity since `start_ms`, a midnight; order is kept."""
    whole = np.floor(days)
    within = np.interp(days - whole, _EDGES, np.arange(25.0)) * HOUR_MS
    times: NDArray[np.int64] = start_ms + whole.astype(np.int64) * DAY_MS + within.astype(np.int64)
    return times
