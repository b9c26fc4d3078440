"""The interpreter of compiled rule sets: one transaction against its card's items, compiled once for all sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import FIELDS, FLAGS, FRAUD, LOADED, TIME
from transforms.cards.jit import njit
from transforms.cards.rules import program as p
from transforms.cards.rules import selections
from transforms.cards.rules.calendar import DAY_MS, HOUR_MS, local_ms, month_and_day
from transforms.cards.rules.native import native_value
from transforms.cards.rules.program import Program

__all__ = ["Program", "evaluate"]

Items = NDArray[np.int64]


@njit
def _derive(program: Program, field: int, time: int, flags: int) -> int:
    """A worked-out field of the item with this timestamp and these flags."""
    if field == p.FRAUD_FLAG:
        return np.int64(flags & FRAUD != 0)
    if field == p.LOADED_FLAG:
        return np.int64(flags & LOADED != 0)
    local = local_ms(program.starts, program.offsets, time)
    if field == p.HOUR:
        return local % DAY_MS // HOUR_MS
    if field == p.MINUTE:
        return local % HOUR_MS // 60_000
    if field == p.WEEKDAY:
        # 1 January 1970 was a Thursday; Monday is 1.
        return (local // DAY_MS + 3) % 7 + 1
    month, day = month_and_day(local)
    return month if field == p.MONTH else day


@njit
def _this(program: Program, items: Items, n: int, field: int) -> int:
    """A field of the incoming transaction."""
    if field < FIELDS:
        return items[field, n - 1]
    return _derive(program, field, items[TIME, n - 1], items[FLAGS, n - 1])


@njit
def _row(program: Program, items: Items, n: int, field: int) -> NDArray[np.int64]:
    """A field of all items."""
    if field < FIELDS:
        return items[field]
    place, now = field - FIELDS, program.clock[0]
    if program.derived_stamps[place] != now:
        for i in range(n):
            program.derived[place, i] = _derive(program, field, items[TIME, i], items[FLAGS, i])
        program.derived_stamps[place] = now
    return program.derived[place]


@njit
def _remainders(program: Program, row: NDArray[np.int64], n: int, divisor: int) -> NDArray[np.int64]:
    """The row itself for divisor 0, else its remainders, in scratch memory that the next call takes again."""
    if divisor == 0:
        return row
    for i in range(n):
        program.derived[p.DERIVED, i] = row[i] % divisor
    return program.derived[p.DERIVED]


@njit
def _by_field(program: Program, node: NDArray[np.int64], items: Items, n: int) -> np.uint64:
    """The items of which a field passes the node's test, before a negation."""
    kind, other = node[0], node[2]
    row = _remainders(program, _row(program, items, n, node[1]), n, node[4])
    if kind == p.ITEM_IN:
        return selections.among(row, n, program.lists[other : node[3]])
    if kind < p.THIS_EQUAL:
        value, kind = other, kind - p.ITEM_EQUAL
    else:
        value, kind = _this(program, items, n, other), kind - p.THIS_EQUAL
    if kind == 0:
        return selections.equal(row, n, value)
    if kind == 1:
        return selections.above(row, n, value)
    return selections.below(row, n, value)


@njit
def _by_node(program: Program, node: NDArray[np.int64], items: Items, n: int) -> np.uint64:
    """The items of which a field passes a test against a number that was worked out; none if it is missing."""
    value, kind = program.values[node[2]], node[0]
    if np.isnan(value):
        return np.uint64(0)
    row = _remainders(program, _row(program, items, n, node[1]), n, node[4])
    found = np.uint64(0)
    for i in range(n):
        if kind == p.NODE_EQUAL:
            holds = row[i] == value
        elif kind == p.NODE_ABOVE:
            holds = row[i] > value
        else:
            holds = row[i] < value
        found |= np.uint64(holds != (node[5] == 1)) << np.uint64(i)
    return found


@njit
def _select(program: Program, node: NDArray[np.int64], items: Items, n: int) -> np.uint64:
    """The items that a selection node stands for."""
    kind, a = node[0], node[1]
    if kind == p.WITHIN:
        return selections.above(items[TIME], n, items[TIME, n - 1] - a)
    if kind == p.BOTH:
        return program.masks[a] & program.masks[node[2]]
    if kind == p.PAST:
        return selections.first(n - 1)
    if kind == p.EVERY:
        return selections.first(n)
    if kind == p.LADDER:
        return selections.ladder(items[TIME], n, a)
    if kind == p.BEFORE:
        return selections.below(items[TIME], n, items[TIME, n - 1] - a + 1)
    if kind == p.EITHER:
        return program.masks[a] | program.masks[node[2]]
    if kind == p.OTHERS:
        return ~program.masks[a] & selections.first(n)
    if kind >= p.NODE_EQUAL:
        return _by_node(program, node, items, n)
    found = _by_field(program, node, items, n)
    return ~found & selections.first(n) if node[5] == 1 else found


@njit
def _calculate(kind: int, a: float, b: float) -> float:
    """ADD, SUBTRACT, MULTIPLY, DIVIDE or MODULO; NaN if either side is or b divides by zero."""
    if kind == p.ADD:
        return a + b
    if kind == p.SUBTRACT:
        return a - b
    if kind == p.MULTIPLY:
        return a * b
    if b == 0:
        return np.nan
    return a / b if kind == p.DIVIDE else a % b


@njit
def _number(program: Program, node: NDArray[np.int64], items: Items, n: int) -> float:
    """The number that a node stands for; NaN if there is none."""
    kind, a, b = node[0], node[1], node[2]
    if kind >= p.COUNT:
        return selections.aggregate(kind, _row(program, items, n, a), n, program.masks[b])
    if kind >= p.ADD:
        return _calculate(kind, program.values[a], program.values[b])
    if kind == p.THIS:
        return float(_this(program, items, n, a))
    if kind == p.NATIVE:
        return native_value(a, items, n)
    place = b if b >= 0 else n + b
    return float(_row(program, items, n, a)[place]) if 0 <= place < n else np.nan


@njit
def _work_out(program: Program, items: Items, n: int, first: int, stop: int) -> None:
    """See that the nodes order[first:stop] are known for this evaluation."""
    now = program.clock[0]
    for i in range(first, stop):
        number = program.order[i]
        if program.stamps[number] != now:
            node = program.nodes[number]
            if node[0] >= p.FIRST_SELECTION:
                program.masks[number] = _select(program, node, items, n)
            else:
                program.values[number] = _number(program, node, items, n)
            program.stamps[number] = now


@njit
def _compare(op: int, a: float, b: float) -> bool:
    """COMPARE_*; a number that is missing (NaN) passes none of them."""
    if op == p.COMPARE_GT:
        return a > b
    if op == p.COMPARE_GE:
        return a >= b
    if op == p.COMPARE_LT:
        return a < b
    if op == p.COMPARE_LE:
        return a <= b
    if op == p.COMPARE_EQ:
        return a == b
    return a < b or a > b


@njit
def _test_field(program: Program, op: int, value: int, b: int, c: int) -> bool:
    """EQUAL, ABOVE, BELOW or IN."""
    if op == p.EQUAL:
        return value == b
    if op == p.ABOVE:
        return value > b
    if op == p.BELOW:
        return value < b
    for i in range(b, c):
        if program.lists[i] >= value:
            return program.lists[i] == value
    return False


@njit
def evaluate(program: Program, items: NDArray[np.int64], n: int, hits: NDArray[np.uint8]) -> int:
    """The number (1-based) of the first live rule that fires, 0 if none does.

    `items` is int64 [FIELDS, at least n], C-contiguous: the card's items in arrival order, oldest first, the incoming
    transaction last (column n-1); 1 <= n <= MOST_ITEMS, and n <= 20 for rules that count positions to mean what they
    say. `hits` is uint8 [at least the number of rules]: set to 1 for the rule that decides and for every shadow rule
    that fires, else left alone, so that the caller may clear it once and add up. Nothing is checked.
    """
    program.clock[0] += 1
    code, rule, at = program.code, 0, 0
    while True:
        op = code[at, p.OP]
        if op <= p.IN:
            value = _this(program, items, n, code[at, p.A])
            holds = _test_field(program, op, value, code[at, p.B], code[at, p.C])
            at = code[at, p.YES] if holds else code[at, p.NO]
        elif op < p.FIRE:
            _work_out(program, items, n, code[at, p.FIRST], code[at, p.STOP])
            holds = _compare(op, program.values[code[at, p.A]], program.values[code[at, p.B]])
            at = code[at, p.YES] if holds else code[at, p.NO]
        elif op == p.FIRE:
            hits[code[at, p.A] - 1] = 1
            if code[at, p.B] == 1:
                rule = code[at, p.A]
            at = code[at, p.YES]
        else:
            return rule
