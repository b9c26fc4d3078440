"""A rule set in memory: rules, and the expressions they are made of; what the language is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from transforms.cards.fields import (
    AMOUNT,
    CARD,
    CITY,
    CODE,
    COUNTRY,
    CURRENCY,
    MERCHANT,
    RESPONSE,
    SCORED,
    TIME,
    WIDTHS,
)
from transforms.cards.rules import program as p
from transforms.rule_text.places import Mistake

Mode = Literal["live", "shadow", "off"]
MODES: Final = ("live", "shadow", "off")
"""live: may decide. shadow: evaluated and counted, never decides. off: not evaluated."""

SEVERITIES: Final = {"info": 100, "low": 300, "medium": 500, "high": 700, "critical": 900}
"""Severities, and the score of a rule that gives none."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field as rules know it: its row or worked-out number, and what it can be (None: no bound)."""

    index: int
    width: int | None = None
    """Characters of a text field; None for a number."""
    least: int | None = None
    most: int | None = None


FIELD_TYPES: Final = {
    **{
        name: FieldType(index, WIDTHS[name])
        for name, index in (
            ("card", CARD), ("country", COUNTRY), ("response", RESPONSE), ("currency", CURRENCY),
            ("merchant", MERCHANT), ("city", CITY), ("code", CODE),
        )
    },
    "time": FieldType(TIME, least=0),
    "amount": FieldType(AMOUNT, least=0, most=2**31 - 1),
    "scored": FieldType(SCORED, least=0),
    "hour": FieldType(p.HOUR, least=0, most=23),
    "minute": FieldType(p.MINUTE, least=0, most=59),
    "weekday": FieldType(p.WEEKDAY, least=1, most=7),
    "day": FieldType(p.DAY, least=1, most=31),
    "month": FieldType(p.MONTH, least=1, most=12),
    "fraud": FieldType(p.FRAUD_FLAG, least=0, most=1),
    "loaded": FieldType(p.LOADED_FLAG, least=0, most=1),
}  # fmt: skip
"""Fields by the names rules use."""
NO_TEXT: Final = 0.5
"""Stands for a text of another width than its field: no text's value equals it."""

AGGREGATES: Final = ("count", "sum", "mean", "min", "max", "distinct", "last")
"""What can be worked out over items."""

ARITHMETIC: Final = {"+": p.ADD, "-": p.SUBTRACT, "*": p.MULTIPLY, "/": p.DIVIDE, "%": p.MODULO}

Comparison = Literal["==", "!=", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a duration in ms, or a text as its `text_value`; `value` is None for a text of another width."""

    value: float | int | None
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the incoming transaction."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ItemField:
    """A field of the item that a `where` looks at, or the remainder of its division by a constant (0: none)."""

    name: str
    modulus: int
    text: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers joined by + - * / %."""

    op: str
    left: Number
    right: Number
    text: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items an aggregate takes: windows in ms, and a filter."""

    past: bool = False
    """Without the incoming transaction."""
    within: int | None = None
    """timestamp > T - within."""
    ladder: int | None = None
    """timestamp > T - ladder * (position + 1), positions counted from 0 at the oldest arrival."""
    before: int | None = None
    """timestamp <= T - before."""
    where: Truth | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """count, sum, mean, min, max, distinct or last of a field (none for count) over items."""

    kind: str
    field: str | None
    selection: Selection
    text: str


@dataclass(frozen=True, slots=True)
class At:
    """A field of the item at a position: from 0 at the oldest arrival, or back from -1, the incoming transaction."""

    position: int
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A number from `transforms.cards.rules.native`."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two numbers or two texts; a missing number passes none."""

    op: Comparison
    left: Number
    right: Number
    text: str


@dataclass(frozen=True, slots=True)
class In:
    """Whether a field is one of some values: texts as `text_value`, those of another width left out."""

    left: Field | ItemField
    values: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Truth
    text: str


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts."""

    parts: tuple[Truth, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts at least."""

    parts: tuple[Truth, ...]
    text: str


Number = Constant | Field | ItemField | Arithmetic | Aggregate | At | NativeCall
Truth = Compare | In | Not | And | Or


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It fires when `when` holds."""

    name: str
    description: str
    when: Truth
    mode: Mode
    severity: str
    score: int
    """0 to 1000."""
    line: int
    """Where it stands in the file."""
    column: int


@dataclass(frozen=True, slots=True)
class RuleSet:
    """An ordered rule set; a rule's number is its place, from 1."""

    name: str
    description: str
    zone: str
    rules: tuple[Rule, ...]
    text: str
    """The file as it was read."""
    version: str
    """First 12 hexadecimal digits of the text's SHA-256."""
    warnings: tuple[Mistake, ...] = ()

    def number_of(self, name: str) -> int:
        """Number of the rule with this name, from 1. Raises KeyError."""
        for number, rule in enumerate(self.rules, 1):
            if rule.name == name:
                return number
        raise KeyError(name)
