"""Turns a rule set into the arrays that the kernel interprets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from transforms.cards.fields import FIELDS
from transforms.cards.rules import program as p
from transforms.cards.rules.calendar import zone_table
from transforms.cards.rules.folding import known
from transforms.cards.rules.model import (
    FIELD_TYPES,
    MODES,
    Aggregate,
    And,
    Arithmetic,
    At,
    Compare,
    Constant,
    Field,
    In,
    Not,
    Or,
    RuleSet,
    Truth,
)
from transforms.cards.rules.nodes import Nodes
from transforms.cards.rules.program import Program

_COMPARE: Final = {
    "==": p.COMPARE_EQ, "!=": p.COMPARE_NE, ">": p.COMPARE_GT, ">=": p.COMPARE_GE, "<": p.COMPARE_LT,
    "<=": p.COMPARE_LE,
}  # fmt: skip
_MIRROR: Final = {"==": "==", "!=": "!=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}


def compile_set(ruleset: RuleSet, modes: Mapping[str, str] | None = None, *, shadow: bool = False) -> Program:
    """The program of a rule set, of milliseconds' work.

    `modes` replaces the mode of rules by name; with `shadow` no rule decides: those that would are evaluated and
    counted only. Every call makes arrays of its own, so each thread compiles its own program. Raises KeyError for
    a rule the set does not have, ValueError for an unknown mode.
    """
    wanted = {rule.name: rule.mode for rule in ruleset.rules}
    for name, mode in (modes or {}).items():
        if name not in wanted:
            raise KeyError(f"rule set {ruleset.name} has no rule {name!r}")
        if mode not in MODES:
            raise ValueError(f"rule {name}: mode {mode!r} is none of {', '.join(MODES)}")
        wanted[name] = mode  # type: ignore[assignment]
    compiler = _Compiler()
    live = [] if shadow else [number for number, rule in enumerate(ruleset.rules, 1) if wanted[rule.name] == "live"]
    watched = ("shadow", "live") if shadow else ("shadow",)
    shadows = [number for number, rule in enumerate(ruleset.rules, 1) if wanted[rule.name] in watched]
    after_live = _Label()
    for number in live:
        compiler.rule(number, ruleset.rules[number - 1].when, after_live, decides=True)
    compiler.place(after_live)
    for number in shadows:
        compiler.rule(number, ruleset.rules[number - 1].when, None, decides=False)
    compiler.end()
    return compiler.program(ruleset.zone)


class _Label:
    """A place in the code that is not known yet."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1


class _Compiler:
    def __init__(self) -> None:
        self._code = list[list[int | _Label]]()
        self._nodes = Nodes()
        self._order = list[int]()

    def place(self, label: _Label) -> None:
        """The label stands for what comes next."""
        label.at = len(self._code)

    def rule(self, number: int, when: Truth, after: _Label | None, *, decides: bool) -> None:
        """Code of one rule; on a hit it goes on at `after`, or with the next rule."""
        if known(when) is False:
            return
        fires, following = _Label(), _Label()
        self._truth(when, fires, following)
        self.place(fires)
        self._code.append([p.FIRE, number, int(decides), 0, after or following, following, 0, 0])
        self.place(following)

    def end(self) -> None:
        """The last instruction."""
        self._code.append([p.END, 0, 0, 0, 0, 0, 0, 0])

    def _truth(self, truth: Truth, yes: _Label, no: _Label) -> None:
        """Code that goes to `yes` or `no`; either may be what comes next."""
        fixed = known(truth)
        if fixed is not None:
            # A test that always has one outcome, for there is no plain jump.
            target = yes if fixed else no
            self._code.append([p.EQUAL, 0, 0, 0, target, target, 0, 0])
        elif isinstance(truth, Not):
            self._truth(truth.part, no, yes)
        elif isinstance(truth, And | Or):
            self._joined(truth, yes, no)
        elif isinstance(truth, In):
            first, stop = self._nodes.list_of(truth.values)
            self._code.append([p.IN, _index(truth.left), first, stop, yes, no, 0, 0])
        else:
            self._comparison(truth, yes, no)

    def _joined(self, truth: And | Or, yes: _Label, no: _Label) -> None:
        neutral = isinstance(truth, And)
        parts = sorted((part for part in truth.parts if known(part) is not neutral), key=cost)
        for part in parts[:-1]:
            following = _Label()
            self._truth(part, *((following, no) if neutral else (yes, following)))
            self.place(following)
        self._truth(parts[-1], yes, no)

    def _comparison(self, truth: Compare, yes: _Label, no: _Label) -> None:
        op, left, right = truth.op, truth.left, truth.right
        if isinstance(left, Constant):
            op, left, right = _MIRROR[op], right, left  # type: ignore[assignment]
        if isinstance(left, Field) and isinstance(right, Constant) and isinstance(right.value, int):
            code, negated = p.basic_test(op)
            targets = (no, yes) if negated else (yes, no)
            self._code.append([code, _index(left), right.value, 0, *targets, 0, 0])
            return
        one, two = self._nodes.number(left), self._nodes.number(right)
        first = len(self._order)
        self._order.extend(self._nodes.needed(one, two))
        self._code.append([_COMPARE[op], one, two, 0, yes, no, first, len(self._order)])

    def program(self, zone: str) -> Program:
        """All arrays."""
        code = np.array([[_resolved(cell) for cell in row] for row in self._code], np.int64)
        assert all(row[place] > at for at, row in enumerate(code[:-1]) for place in (p.YES, p.NO)), "jumps lead forward"
        nodes, values = self._nodes.arrays()
        starts, offsets = zone_table(zone)
        return Program(
            code=code,
            nodes=nodes,
            order=np.array(self._order, np.int64),
            lists=np.array(self._nodes.lists, np.int64),
            starts=starts.copy(),
            offsets=offsets.copy(),
            values=values,
            masks=np.zeros(len(values), np.uint64),
            stamps=np.zeros(len(values), np.int64),
            derived=np.zeros((p.DERIVED + 1, p.MOST_ITEMS), np.int64),
            derived_stamps=np.zeros(p.DERIVED, np.int64),
            clock=np.zeros(1, np.int64),
        )


def _resolved(cell: int | _Label) -> int:
    if isinstance(cell, _Label):
        assert cell.at >= 0, "a label that stands nowhere"
        return cell.at
    return cell


def _index(field: object) -> int:
    assert isinstance(field, Field)
    return FIELD_TYPES[field.name].index


def cost(part: object) -> int:
    """About how long a condition or number takes to work out, so that the cheap ones go first."""
    if isinstance(part, And | Or):
        return sum(cost(each) for each in part.parts)
    if isinstance(part, Not):
        return cost(part.part)
    if isinstance(part, In):
        return cost(part.left) + len(part.values)
    if isinstance(part, Compare | Arithmetic):
        return cost(part.left) + cost(part.right)
    if isinstance(part, Field):
        return 1 if FIELD_TYPES[part.name].index < FIELDS else 4
    if isinstance(part, Constant | At):
        return 2
    if isinstance(part, Aggregate):
        where = part.selection.where
        return (100 if part.kind == "distinct" else 20) + (20 * cost(where) if where is not None else 0)
    return 60
