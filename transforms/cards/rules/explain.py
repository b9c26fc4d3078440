"""Every rule that hits a transaction, with the numbers that made it hit: plain Python over the rules as they were read.

It shares nothing with the kernel but the rule set, so that tests can hold one against the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import FIELDS, FLAGS, FRAUD, LOADED, TIME
from transforms.cards.rules.checks import width_of
from transforms.cards.rules.model import (
    FIELD_TYPES,
    NO_TEXT,
    Aggregate,
    And,
    Arithmetic,
    At,
    Compare,
    Constant,
    Field,
    In,
    ItemField,
    Not,
    Number,
    Or,
    Rule,
    RuleSet,
    Selection,
    Truth,
)
from transforms.cards.rules.native import NATIVES

_NOTHING: Final = math.nan
Value = int | float


@dataclass(frozen=True, slots=True)
class Fact:
    """A number or text that took part: as the rule writes it, and what it was (None: there was none)."""

    text: str
    value: int | float | str | None

    def __str__(self) -> str:
        return f"{self.text} = {self.value if self.value is not None else 'none'}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule whose condition holds."""

    number: int
    name: str
    description: str
    mode: str
    severity: str
    score: int
    facts: tuple[Fact, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.mode}): {'; '.join(map(str, self.facts))}"


def explain(ruleset: RuleSet, items: NDArray[np.int64], n: int) -> list[Hit]:
    """All rules that hit, in their order, whatever their mode: the first live one is what `evaluate` returns.

    `items` and `n` are as `evaluate` takes them. Takes milliseconds.
    """
    look = _Look(items[:, :n].T.tolist(), ruleset.zone)
    return [
        Hit(number, rule.name, rule.description, rule.mode, rule.severity, rule.score, look.facts(rule))
        for number, rule in enumerate(ruleset.rules, 1)
        if look.holds(rule.when, None)
    ]


class _Look:
    """A card's items, to look at. `place` is the position of the item that a where tests, None outside of one."""

    def __init__(self, items: Sequence[Sequence[int]], zone: str) -> None:
        self._items = items
        self._zone = ZoneInfo(zone)
        self._now = items[-1][TIME]

    def facts(self, rule: Rule) -> tuple[Fact, ...]:
        """The values on both sides of the comparisons that hold, constants left out, each once."""
        found = dict[str, Fact]()
        self._collect(rule.when, found, True)
        return tuple(found.values())

    def _collect(self, truth: Truth, found: dict[str, Fact], wanted: bool) -> None:
        if isinstance(truth, Not):
            self._collect(truth.part, found, not wanted)
        elif isinstance(truth, And | Or):
            for part in truth.parts:
                if self.holds(part, None) is wanted:
                    self._collect(part, found, wanted)
        else:
            for side in (truth.left,) if isinstance(truth, In) else (truth.left, truth.right):
                self._note(side, found)

    def _note(self, number: Number, found: dict[str, Fact]) -> None:
        if isinstance(number, Arithmetic):
            self._note(number.left, found)
            self._note(number.right, found)
        elif not isinstance(number, Constant):
            found.setdefault(number.text, Fact(number.text, self._shown(number)))

    def _shown(self, number: Number) -> int | float | str | None:
        value = self.number(number, None)
        if value != value:
            return None
        width = width_of(number)
        if width is None:
            return int(value) if value == int(value) else round(value, 4)
        whole = int(value)
        return f"{whole:0{width}d}" if whole >= 0 else (-whole).to_bytes(width, "big").decode("ascii", "replace")

    def _value(self, place: int, name: str) -> int:
        item, index = self._items[place], FIELD_TYPES[name].index
        if index < FIELDS:
            return item[index]
        if name in ("fraud", "loaded"):
            return int(item[FLAGS] & (FRAUD if name == "fraud" else LOADED) != 0)
        # Whole seconds: enough for all of these, and exact.
        local = datetime.fromtimestamp(item[TIME] // 1000, UTC).astimezone(self._zone)
        return local.isoweekday() if name == "weekday" else int(getattr(local, name))

    def holds(self, truth: Truth, place: int | None) -> bool:
        """Whether a condition holds."""
        if isinstance(truth, Not):
            return not self.holds(truth.part, place)
        if isinstance(truth, And | Or):
            return (all if isinstance(truth, And) else any)(self.holds(part, place) for part in truth.parts)
        if isinstance(truth, In):
            return self.number(truth.left, place) in truth.values
        return self._compared(truth, place)

    def _compared(self, truth: Compare, place: int | None) -> bool:
        left, right = self.number(truth.left, place), self.number(truth.right, place)
        if left != left or right != right:
            return False
        outcome: Any = {
            "==": left == right, "!=": left != right, ">": left > right, ">=": left >= right, "<": left < right,
            "<=": left <= right,
        }[truth.op]  # fmt: skip
        return bool(outcome)

    def number(self, number: Number, place: int | None) -> Value:
        """What a number is; NaN if there is none."""
        if isinstance(number, Constant):
            return NO_TEXT if number.value is None else number.value
        if isinstance(number, Field):
            return self._value(-1, number.name)
        if isinstance(number, ItemField):
            assert place is not None
            value = self._value(place, number.name)
            return value % number.modulus if number.modulus else value
        if isinstance(number, Arithmetic):
            return self._calculated(number, place)
        if isinstance(number, At):
            at = number.position if number.position >= 0 else len(self._items) + number.position
            return self._value(at, number.field) if 0 <= at < len(self._items) else _NOTHING
        if isinstance(number, Aggregate):
            return self._aggregated(number)
        items = np.array(self._items, np.int64).T
        return NATIVES[number.name].plain(items, len(self._items))

    def _calculated(self, number: Arithmetic, place: int | None) -> Value:
        left, right = float(self.number(number.left, place)), float(self.number(number.right, place))
        if number.op == "+":
            return left + right
        if number.op == "-":
            return left - right
        if number.op == "*":
            return left * right
        if right == 0:
            return _NOTHING
        return left / right if number.op == "/" else left % right

    def _selected(self, selection: Selection) -> list[int]:
        """Positions of the items that an aggregate takes."""
        places = range(len(self._items) - selection.past)
        return [place for place in places if self._takes(selection, place)]

    def _takes(self, selection: Selection, place: int) -> bool:
        time = self._items[place][TIME]
        return (
            (selection.within is None or time > self._now - selection.within)
            and (selection.ladder is None or time > self._now - selection.ladder * (place + 1))
            and (selection.before is None or time <= self._now - selection.before)
            and (selection.where is None or self.holds(selection.where, place))
        )

    def _aggregated(self, number: Aggregate) -> Value:
        places = self._selected(number.selection)
        if number.field is None:
            return len(places)
        values = [self._value(place, number.field) for place in places]
        if number.kind == "sum":
            return sum(values)
        if number.kind == "distinct":
            return len(set(values))
        if not values:
            return _NOTHING
        if number.kind == "last":
            return values[-1]
        return sum(values) / len(values) if number.kind == "mean" else (min if number.kind == "min" else max)(values)
