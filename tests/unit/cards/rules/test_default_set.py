"""How well the default set does on labelled simulated fraud; with `pytest -s` it prints what docs/rules.md says."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from transforms.cards.fields import CODE, FIELDS, FLAGS, FRAUD, HISTORY, LOADED, MIN_CODE, text_value
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rules.model import RuleSet
from transforms.cards.rules.program import Program
from transforms.cards.rulesets import shipped
from transforms.cards.simulate import Mix, Population, Simulator, histories

pytestmark = pytest.mark.unit

CARDS, TRANSACTIONS, SEED = 10_000, 100_000, 3
Longs = NDArray[np.int64]


def rows_of(packets: NDArray[np.uint8]) -> Longs:
    """Packets as rows int64[n, FIELDS]."""
    texts = [packet.tobytes().rstrip(b"\0\n").split(b",") for packet in packets]
    rows = np.zeros((len(texts), FIELDS), np.int64)
    rows[:, : CODE + 1] = [[*map(text_value, parts[:CODE]), text_value(parts[CODE][:MIN_CODE])] for parts in texts]
    return rows


@njit  # type: ignore[untyped-decorator]
def replay(
    rows: Longs, loaded: int, first: int, cards: Longs, counts: Longs, deciding: Program, watching: Program,
    decided: Longs, hits: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Score all rows after the first `loaded`, each against its card's last 19 before it."""
    ignored = np.zeros_like(hits[0])
    for place in range(len(rows)):
        card = rows[place, 0] - first
        if counts[card] == HISTORY:
            cards[card, :, : HISTORY - 1] = cards[card, :, 1:].copy()
            counts[card] -= 1
        cards[card, :, counts[card]] = rows[place]
        counts[card] += 1
        if place >= loaded:
            rule = evaluate(deciding, cards[card], counts[card], ignored)
            evaluate(watching, cards[card], counts[card], hits[place - loaded])
            decided[place - loaded] = rule
            cards[card, FLAGS, counts[card] - 1] = FRAUD if rule else 0


def scored(ruleset: RuleSet) -> tuple[Longs, NDArray[np.uint8], NDArray[np.bool_]]:
    """Of every simulated transaction: the rule that decides, all rules that hit, and whether it is fraud."""
    people = Population(cards=CARDS, seed=SEED)
    before = rows_of(histories(people, np.arange(CARDS)).packets)
    before[:, FLAGS] = LOADED
    traffic = Simulator(people, Mix(fraud=0.005, duplicates=0)).take(TRANSACTIONS)
    decided = np.zeros(len(traffic), np.int64)
    hits = np.zeros((len(traffic), len(ruleset.rules)), np.uint8)
    replay(
        np.concatenate((before, rows_of(traffic.packets))), len(before), int(people.numbers(np.array([0]))[0]),
        np.zeros((CARDS, FIELDS, HISTORY), np.int64), np.zeros(CARDS, np.int64), compile_set(ruleset),
        compile_set(ruleset, shadow=True), decided, hits,
    )  # fmt: skip
    return decided, hits, traffic.labels > 0


def test_precision_and_recall_of_the_default_set() -> None:
    ruleset = shipped("default")
    decided, hits, fraud = scored(ruleset)
    flagged = decided > 0
    precision, recall = fraud[flagged].mean(), flagged[fraud].mean()
    print(f"\n{len(fraud):,} transactions, {fraud.sum():,} of them fraud: {flagged.sum():,} flagged, "
          f"precision {precision:.2f}, recall {recall:.2f}")  # fmt: skip
    for number, rule in enumerate(ruleset.rules):
        alone = hits[:, number] > 0
        share = fraud[alone].mean() if alone.any() else 0
        print(f"{rule.name:24} {rule.mode:7} hits {alone.sum():5} precision {share:.2f}")
    assert precision > 0.8
    assert recall > 0.5
    assert all(hits[:, ruleset.number_of(name) - 1].any() for name in ("guessing", "night-cash", "impossible-travel"))
