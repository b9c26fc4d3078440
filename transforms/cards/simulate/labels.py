"""Labels of simulated transactions: 0 is genuine, another number the fraud scenario it belongs to."""

from __future__ import annotations

GENUINE = 0
BURST, TEST_LARGE, NIGHT_CASH, TRAVEL, DORMANT, GUESS, CREEP = range(1, 8)

SCENARIOS: dict[str, int] = {
    "burst": BURST,
    "test-large": TEST_LARGE,
    "night-cash": NIGHT_CASH,
    "travel": TRAVEL,
    "dormant": DORMANT,
    "guess": GUESS,
    "creep": CREEP,
}
"""Number of every fraud scenario by its name; docs/card-history.md describes them."""

NAMES = ("genuine", *SCENARIOS)
"""Name of every label, by its number."""
