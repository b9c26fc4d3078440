"""The numbers and selections that a program's tests are made of; equal ones are worked out once for all rules."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.cards.rules import program as p
from transforms.cards.rules.folding import known
from transforms.cards.rules.model import (
    ARITHMETIC,
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
    NativeCall,
    Not,
    Number,
    Or,
    Selection,
    Truth,
)
from transforms.cards.rules.native import NATIVES

_WIDTH: Final = 6
_BY_NUMBER: Final = {p.EQUAL: p.ITEM_EQUAL, p.ABOVE: p.ITEM_ABOVE, p.BELOW: p.ITEM_BELOW}
_BY_THIS: Final = {p.EQUAL: p.THIS_EQUAL, p.ABOVE: p.THIS_ABOVE, p.BELOW: p.THIS_BELOW}
_BY_NODE: Final = {
    "==": (p.NODE_EQUAL, 0), "!=": (p.NODE_EQUAL, 1), ">": (p.NODE_ABOVE, 0), "<=": (p.NODE_ABOVE, 1),
    "<": (p.NODE_BELOW, 0), ">=": (p.NODE_BELOW, 1),
}  # fmt: skip

_AGGREGATES: Final = {
    "count": p.COUNT, "sum": p.SUM, "min": p.LEAST, "max": p.GREATEST, "distinct": p.DISTINCT, "last": p.LAST,
}  # fmt: skip

Row = tuple[int, ...]


class Nodes:
    """Gives out node numbers; a node's own nodes always have lower ones."""

    def __init__(self) -> None:
        self.lists = list[int]()
        self._rows = dict[Row, int]()
        self._constants = dict[float, int]()
        self._needs = list[frozenset[int]]()

    def _node(self, row: Row, *needs: int) -> int:
        row = row + (0,) * (_WIDTH - len(row))
        if row not in self._rows:
            self._rows[row] = len(self._needs)
            self._needs.append(frozenset(needs).union(*(self._needs[each] for each in needs)))
        return self._rows[row]

    def _constant(self, value: float) -> int:
        if value not in self._constants:
            self._constants[value] = self._node((p.CONSTANT, len(self._constants)))
        return self._constants[value]

    def needed(self, *numbers: int) -> list[int]:
        """All nodes that have to be worked out for these, these included, in order; constants stand already."""
        every = frozenset(numbers).union(*(self._needs[each] for each in numbers))
        return sorted(every - set(self._constants.values()))

    def list_of(self, values: tuple[int, ...]) -> tuple[int, int]:
        """Where in `lists` these sorted values stand."""
        wanted = list(values)
        for first in range(len(self.lists) - len(wanted) + 1):
            if self.lists[first : first + len(wanted)] == wanted:
                return first, first + len(wanted)
        self.lists.extend(wanted)
        return len(self.lists) - len(wanted), len(self.lists)

    def number(self, number: Number) -> int:
        """The node of a number."""
        if isinstance(number, Constant):
            return self._constant(NO_TEXT if number.value is None else float(number.value))
        if isinstance(number, Field):
            return self._node((p.THIS, _index(number.name)))
        if isinstance(number, Arithmetic):
            one, two = self.number(number.left), self.number(number.right)
            return self._node((ARITHMETIC[number.op], one, two), one, two)
        if isinstance(number, At):
            return self._node((p.AT, _index(number.field), number.position))
        if isinstance(number, NativeCall):
            return self._node((p.NATIVE, NATIVES[number.name].number))
        assert isinstance(number, Aggregate), number
        selection = self._selection(number.selection)
        field = _index(number.field) if number.field is not None else 0
        if number.kind == "mean":
            # Where the sum or the count is asked for, too, it is the same node; 0 / 0 is a missing number.
            total = self._node((p.SUM, field, selection), selection)
            items = self._node((p.COUNT, 0, selection), selection)
            return self._node((p.DIVIDE, total, items), total, items)
        return self._node((_AGGREGATES[number.kind], field, selection), selection)

    def _both(self, one: int | None, two: int) -> int:
        return two if one is None else self._node((p.BOTH, one, two), one, two)

    def _selection(self, selection: Selection) -> int:
        """The node of the items an aggregate takes. Windows go first: they are shared most."""
        found = None
        for kind, length in ((p.WITHIN, selection.within), (p.LADDER, selection.ladder), (p.BEFORE, selection.before)):
            if length is not None:
                found = self._both(found, self._node((kind, length)))
        if selection.past:
            found = self._both(found, self._node((p.PAST,)))
        if selection.where is not None and known(selection.where) is not True:
            found = self._both(found, self._where(selection.where))
        return self._node((p.EVERY,)) if found is None else found

    def _where(self, truth: Truth) -> int:
        """The node of the items for which a filter holds."""
        fixed = known(truth)
        if fixed is not None:
            every = self._node((p.EVERY,))
            return every if fixed else self._node((p.OTHERS, every), every)
        if isinstance(truth, And | Or):
            found = self._where(truth.parts[0])
            for part in truth.parts[1:]:
                other = self._where(part)
                found = self._node((p.BOTH if isinstance(truth, And) else p.EITHER, found, other), found, other)
            return found
        if isinstance(truth, Not):
            inner = self._where(truth.part)
            return self._node((p.OTHERS, inner), inner)
        if isinstance(truth, In):
            assert isinstance(truth.left, ItemField)
            first, stop = self.list_of(truth.values)
            return self._node((p.ITEM_IN, _index(truth.left.name), first, stop))
        return self._item_test(truth)

    def _item_test(self, truth: Compare) -> int:
        item, other = truth.left, truth.right
        assert isinstance(item, ItemField)
        field, modulus = _index(item.name), item.modulus
        if isinstance(other, Constant) and isinstance(other.value, int):
            test, negated = p.basic_test(truth.op)
            return self._node((_BY_NUMBER[test], field, other.value, 0, modulus, int(negated)))
        if isinstance(other, Field):
            test, negated = p.basic_test(truth.op)
            return self._node((_BY_THIS[test], field, _index(other.name), 0, modulus, int(negated)))
        node = self.number(other)
        kind, negation = _BY_NODE[truth.op]
        return self._node((kind, field, node, 0, modulus, negation), node)

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Node table [m, 6], and the values of all nodes, of which only the constants' are known."""
        table = np.array(list(self._rows), np.int64).reshape(-1, _WIDTH)
        values = np.zeros(len(table), np.float64)
        for value, node in self._constants.items():
            values[node] = value
        return table, values


def _index(name: str) -> int:
    return FIELD_TYPES[name].index
