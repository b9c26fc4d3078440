"""Verdicts held against labels: how much fraud the rules find, how much of what they flag is fraud, and which do it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transforms.cards.fields import DUPLICATE
from transforms.cards.simulate.labels import NAMES

KEY = 28
"""A transaction is known again by the first bytes of its text: the card and a timestamp of 13 digits."""
_DUPLICATE = tuple(b"%d" % flags for flags in range(16) if flags & DUPLICATE)


@dataclass
class Verdicts:
    """Counts of scored transactions. Duplicates are counted apart: they have the verdict of the first."""

    seen: int = 0
    duplicates: int = 0
    flagged: int = 0
    right: int = 0
    by_scenario: Counter[tuple[int, bool]] = field(default_factory=Counter)
    by_rule: Counter[tuple[str, bool]] = field(default_factory=Counter)
    _labels: dict[bytes, int] = field(default_factory=dict)
    _attacked: set[bytes] = field(default_factory=set)
    _noticed: set[bytes] = field(default_factory=set)

    def expect(self, texts: Iterable[bytes], labels: Iterable[int]) -> None:
        """Fraudulent transactions that will be sent."""
        for text, label in zip(texts, labels, strict=True):
            self._labels[text[:KEY]] = label

    def add(self, values: Iterable[bytes]) -> list[int]:
        """Count records of scored-transactions; returns the log time in ms of each."""
        times: list[int] = []
        labels = self._labels
        for value in values:
            parts = value.split(b",", 16)
            times.append(int(parts[9]))
            if parts[15] in _DUPLICATE:
                self.duplicates += 1
                continue
            self.seen += 1
            label = labels.get(value[:KEY], 0)
            fraud = parts[10] == b"1"
            if fraud:
                self.flagged += 1
                self.right += label > 0
                self.by_rule[parts[12].decode(), label > 0] += 1
            if label:
                self.by_scenario[label, fraud] += 1
                self._attacked.add(parts[0])
                if fraud:
                    self._noticed.add(parts[0])
        return times

    def summary(self) -> dict[str, Any]:
        """Shares from 0 to 1, None where there is nothing to divide by.

        `precision`: of the flagged, those that are fraud. `recall`: of the fraudulent, those flagged. `attacked_cards`
        with a share `noticed` have had at least one of their fraudulent transactions flagged.
        """
        fraudulent = sum(self.by_scenario.values())
        return {
            "seen": self.seen,
            "duplicates": self.duplicates,
            "flagged": self.flagged,
            "flagged_share": _share(self.flagged, self.seen),
            "fraudulent": fraudulent,
            "precision": _share(self.right, self.flagged),
            "recall": _share(self.right, fraudulent),
            "attacked_cards": len(self._attacked),
            "noticed": _share(len(self._noticed), len(self._attacked)),
            "recall_by_scenario": {
                NAMES[label]: _share(self.by_scenario[label, True], total)
                for label in range(1, len(NAMES))
                if (total := self.by_scenario[label, True] + self.by_scenario[label, False])
            },
            "rules": {
                name: {"flagged": total, "precision": _share(self.by_rule[name, True], total)}
                for name in sorted({name for name, _ in self.by_rule})
                if (total := self.by_rule[name, True] + self.by_rule[name, False])
            },
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
