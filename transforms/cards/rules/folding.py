"""What of a condition is known before any transaction: texts of another width, counts of more items than a card has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from transforms.cards.fields import HISTORY
from transforms.cards.rules.model import (
    FIELD_TYPES,
    Aggregate,
    And,
    Compare,
    Constant,
    Field,
    In,
    ItemField,
    Not,
    Number,
    Or,
    Rule,
    Truth,
)
from transforms.rule_text.places import Mistake

Known = bool | None
"""Whether a condition always or never holds, or None."""


def bounds(number: Number) -> tuple[float, float] | None:
    """Least and greatest value, for what always has a value and is known to be bounded; else None."""
    if isinstance(number, Constant):
        return None if number.value is None else (number.value, number.value)
    if isinstance(number, ItemField) and number.modulus:
        return (0, number.modulus - 1)
    if isinstance(number, Field | ItemField):
        kind = FIELD_TYPES[number.name]
        return None if kind.width is not None or kind.least is None else (kind.least, _top(kind.most))
    if isinstance(number, Aggregate) and number.kind in ("count", "distinct"):
        return (0, HISTORY - number.selection.past)
    return None


def _top(most: int | None) -> float:
    return float("inf") if most is None else most


def known(truth: Truth) -> Known:
    """Whether a condition always (True) or never (False) holds for a card of at most 20 items; None if it depends."""
    if isinstance(truth, Compare):
        return _comparison(truth)
    if isinstance(truth, In):
        return None if truth.values else False
    if isinstance(truth, Not):
        inner = known(truth.part)
        return None if inner is None else not inner
    parts = [known(part) for part in truth.parts]
    decisive = isinstance(truth, Or)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def _comparison(truth: Compare) -> Known:
    sides = (truth.left, truth.right)
    if any(isinstance(side, Constant) and side.value is None for side in sides):
        # A text of another width: not equal, if what it is compared with has a value at all.
        return (True if isinstance(truth.left, Field | ItemField) else None) if truth.op == "!=" else False
    if any(isinstance(side, Aggregate) and known_selection(side) is False for side in sides):
        return None
    left, right = bounds(truth.left), bounds(truth.right)
    if left is None or right is None:
        return None
    return _ordered(truth.op, left, right)


def known_selection(aggregate: Aggregate) -> Known:
    """False if its filter lets no item through."""
    where = aggregate.selection.where
    return None if where is None else known(where)


def _ordered(op: str, left: tuple[float, float], right: tuple[float, float]) -> Known:
    if op in ("<", "<="):
        op, left, right = {"<": ">", "<=": ">="}[op], right, left
    if op in ("==", "!="):
        apart = left[1] < right[0] or left[0] > right[1]
        same = left[0] == left[1] == right[0] == right[1]
        return (op == "!=") if apart else (op == "==") if same else None
    strictly: Callable[[float, float], bool] = float.__gt__ if op == ">" else float.__ge__
    if strictly(float(left[0]), float(right[1])):
        return True
    return None if strictly(float(left[1]), float(right[0])) else False


def warn_of_constants(rules: Sequence[Rule], warnings: list[Mistake]) -> None:
    """Say which rules can never fire, or fire on every transaction."""
    for rule in rules:
        outcome = known(rule.when)
        if outcome is not None:
            why = ", ".join(_culprits(rule.when, outcome)) or rule.when.text
            what = "fires on every transaction" if outcome else "never fires"
            warnings.append(Mistake(rule.line, rule.column, f"rule {rule.name} {what}: {why}"))


def _culprits(truth: Truth, outcome: bool) -> Iterable[str]:
    parts = truth.parts if isinstance(truth, And | Or) else ()
    found = [part.text for part in parts if known(part) is outcome]
    return found or [truth.text]
