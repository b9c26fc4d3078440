"""The rules that decide now, as the kernel takes them, and what has been counted since the core was made."""

from __future__ import annotations

from collections import Counter

import numpy as np

from transforms.cards import kernel as k
from transforms.cards.jit import Longs
from transforms.cards.rulebook import Kept, RuleBook
from transforms.cards.scored import make_labels

_NAMES = ("transactions", "frauds", "duplicates", "future", "dead_letters")
assert len(_NAMES) == k.COUNTS


class Deciding:
    """`rules` for the kernel, of the active set `kept` and the one in shadow, if any."""

    def __init__(self, book: RuleBook) -> None:
        self._tally = np.zeros(k.COUNTS, np.int64)
        self._before: Counter[str] = Counter()
        self._take(book)

    def change(self, book: RuleBook) -> None:
        """Decide by what the book says now."""
        self._before = self._hits()
        self._take(book)

    def refused(self) -> None:
        """Count a control record that became a dead letter."""
        self._tally[k.DEAD] += 1

    def counters(self) -> dict[str, int]:
        """Counts by name; rules that never hit are left out."""
        return {**dict(zip(_NAMES, self._tally.tolist(), strict=True)), **self._hits()}

    def _take(self, book: RuleBook) -> None:
        self.kept, live, has_shadow = book.live()
        self._other, shadow = book.shadowed()
        places = max(len(self.kept.rules.rules), 1)
        other_places = max(len(self._other.rules.rules), 1) if self._other is not None else 1
        self.rules = k.Rules(
            live=live,
            shadow=shadow,
            flags=np.array([self.kept.number, has_shadow, self._other is not None], np.int64),
            labels=make_labels(book.numbered),
            hits=np.zeros(places, np.uint8),
            shadow_hits=np.zeros(other_places, np.uint8),
            decided=np.zeros(places, np.int64),
            shadowed=np.zeros(places, np.int64),
            shadow_set=np.zeros(other_places, np.int64),
            tally=self._tally,
        )

    def _hits(self) -> Counter[str]:
        hits = Counter(self._before)
        _add(hits, "rule_", self.kept, self.rules.decided)
        _add(hits, "shadow_", self.kept, self.rules.shadowed)
        if self._other is not None:
            _add(hits, "shadow_", self._other, self.rules.shadow_set)
        return hits


def _add(hits: Counter[str], prefix: str, kept: Kept, counts: Longs) -> None:
    for place in np.flatnonzero(counts).tolist():
        hits[prefix + kept.rules.rules[place].name] += int(counts[place])
