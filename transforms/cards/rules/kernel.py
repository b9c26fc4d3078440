"""The interpreter of compiled rule sets: one transaction against its card's items, compiled once for all sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import FIELDS, FLAGS, FRAUD, LOADED, TIME
from transforms.cards.jit import njit
from transforms.cards.rules import program as p
from transforms.cards.rules import selections
from transforms.cards.rules.bare import bare
from transforms.cards.rules.calendar import DAY_MS, HOUR_MS, local_ms, month_and_day
from transforms.cards.rules.native import native_value
from transforms.cards.rules.program import Program

__all__ = ["Program", "evaluate"]

Items = NDArray[np.int64]
Row = NDArray[np.int64]


@bare
def _derive(program: Program, field: int, time: int, flags: int) -> Any:
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


@bare
def _field(program: Program, items: Items, field: int, place: int) -> Any:
    """A field of the item at a place."""
    if field < FIELDS:
        return items[field, place]
    return _derive(program, field, items[TIME, place], items[FLAGS, place])


@bare
def _fill(program: Program, items: Items, n: int, field: int, divisor: int) -> int:
    """Work out a field of all items, or its remainders (divisor 0: the field itself); the row of `derived` it is in.

    Remainders share one row, which the next call takes again.
    """
    place, now = field - FIELDS, program.clock[0]
    if place >= 0 and program.derived_stamps[place] != now:
        for i in range(n):
            program.derived[place, i] = _derive(program, field, items[TIME, i], items[FLAGS, i])
        program.derived_stamps[place] = now
    if divisor == 0:
        return place
    for i in range(n):
        program.derived[p.DERIVED, i] = (items[field, i] if place < 0 else program.derived[place, i]) % divisor
    return p.DERIVED


@bare
def _passing(kind: int, row: Row, n: int, value: int, negated: int) -> Any:
    """The items of which the field in `row` passes a test against a whole number."""
    kind -= p.ITEM_EQUAL if kind < p.THIS_EQUAL else p.THIS_EQUAL
    if kind == 0:
        found = selections.equal(row, n, value)
    elif kind == 1:
        found = selections.above(row, n, value)
    else:
        found = selections.below(row, n, value)
    return ~found & selections.first(n) if negated == 1 else found


@bare
def _against(kind: int, row: Row, n: int, value: float) -> Any:
    """The items of which the field in `row` passes a test against a number that was worked out, before a negation."""
    found = np.uint64(0)
    for i in range(n):
        if kind == p.NODE_EQUAL:
            holds = row[i] == value
        elif kind == p.NODE_ABOVE:
            holds = row[i] > value
        else:
            holds = row[i] < value
        found |= np.uint64(holds) << np.uint64(i)
    return found


@bare
def _filtered(program: Program, node: Row, items: Items, n: int) -> Any:
    """The items that pass the node's test of a field; none if it is against a number that is missing."""
    kind, field, other, divisor = node[0], node[1], node[2], node[4]
    row = items[field if field < FIELDS else 0]
    if field >= FIELDS or divisor != 0:
        row = program.derived[_fill(program, items, n, field, divisor)]
    if kind == p.ITEM_IN:
        return selections.among(row, n, program.lists, other, node[3])
    if kind < p.NODE_EQUAL:
        value = other if kind < p.THIS_EQUAL else _field(program, items, other, n - 1)
        return _passing(kind, row, n, value, node[5])
    number = program.values[other]
    if np.isnan(number):
        return np.uint64(0)
    found = _against(kind, row, n, number)
    return ~found & selections.first(n) if node[5] == 1 else found


@bare
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


@bare
def _rare_number(program: Program, node: Row, items: Items, n: int) -> float:
    """A number that `evaluate` does not work out itself; NaN if there is none."""
    kind, a, b = node[0], node[1], node[2]
    if kind >= p.COUNT:
        return selections.aggregate(kind, program.derived[_fill(program, items, n, a, 0)], n, program.masks[b])
    if kind == p.THIS:
        return float(_field(program, items, a, n - 1))
    if kind == p.NATIVE:
        return native_value(a, items, n)
    place = b if b >= 0 else n + b
    return float(_field(program, items, a, place)) if 0 <= place < n else np.nan


@bare
def _window(kind: int, length: int, times: Row, n: int) -> Any:
    """EVERY, PAST, WITHIN, LADDER or BEFORE."""
    if kind == p.WITHIN:
        return selections.above(times, n, times[n - 1] - length)
    if kind == p.LADDER:
        return selections.ladder(times, n, length)
    if kind == p.BEFORE:
        return selections.below(times, n, times[n - 1] - length + 1)
    return selections.first(n - 1 if kind == p.PAST else n)


@bare
def _combined(kind: int, one: Any, other: Any, n: int) -> Any:
    """BOTH, EITHER or OTHERS."""
    if kind == p.BOTH:
        return one & other
    return one | other if kind == p.EITHER else ~one & selections.first(n)


@bare
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


@bare
def _among(numbers: Row, first: int, stop: int, value: int) -> Any:
    """IN: whether a value is one of numbers[first:stop], which ascend."""
    for i in range(first, stop):
        if numbers[i] >= value:
            return numbers[i] == value
    return False


@njit
def evaluate(program: Program, items: NDArray[np.int64], n: int, hits: NDArray[np.uint8]) -> int:
    """The number (1-based) of the first live rule that fires, 0 if none does.

    `items` is int64 [FIELDS, at least n], C-contiguous: the card's items in arrival order, oldest first, the incoming
    transaction last (column n-1); 1 <= n <= MOST_ITEMS, and n <= 20 for rules that count positions to mean what they
    say. `hits` is uint8 [at least the number of rules]: set to 1 for the rule that decides and for every shadow rule
    that fires, else left alone, so that the caller may clear it once and add up. Nothing is checked.
    """
    # What is common is done here and not in functions: handing a program over costs as much as a test.
    code, nodes, order, stamps = program.code, program.nodes, program.order, program.stamps
    values, masks = program.values, program.masks
    program.clock[0] += 1
    now, rule, at = program.clock[0], 0, 0
    while True:
        op = code[at, p.OP]
        if op <= p.IN:
            field = code[at, p.A]
            value = items[field, n - 1] if field < FIELDS else _field(program, items, field, n - 1)
            if op == p.EQUAL:
                holds = value == code[at, p.B]
            elif op == p.ABOVE:
                holds = value > code[at, p.B]
            elif op == p.BELOW:
                holds = value < code[at, p.B]
            else:
                holds = _among(program.lists, code[at, p.B], code[at, p.C], value)
            at = code[at, p.YES] if holds else code[at, p.NO]
        elif op < p.FIRE:
            for place in range(code[at, p.FIRST], code[at, p.STOP]):
                number = order[place]
                if stamps[number] == now:
                    continue
                stamps[number] = now
                kind, a, b = nodes[number, 0], nodes[number, 1], nodes[number, 2]
                if kind < p.EVERY:
                    if kind >= p.COUNT and a < FIELDS:
                        values[number] = selections.aggregate(kind, items[a], n, masks[b])
                    elif p.ADD <= kind < p.COUNT:
                        values[number] = _calculate(kind, values[a], values[b])
                    else:
                        values[number] = _rare_number(program, nodes[number], items, n)
                elif kind < p.BOTH:
                    masks[number] = _window(kind, a, items[TIME], n)
                elif kind < p.ITEM_EQUAL:
                    masks[number] = _combined(kind, masks[a], masks[b], n)
                elif kind == p.ITEM_IN and a < FIELDS:
                    masks[number] = selections.among(items[a], n, program.lists, b, nodes[number, 3])
                elif kind < p.ITEM_IN and a < FIELDS and b < FIELDS and kind >= p.THIS_EQUAL and nodes[number, 4] == 0:
                    masks[number] = _passing(kind, items[a], n, items[b, n - 1], nodes[number, 5])
                elif kind < p.THIS_EQUAL and a < FIELDS and nodes[number, 4] == 0:
                    masks[number] = _passing(kind, items[a], n, b, nodes[number, 5])
                else:
                    masks[number] = _filtered(program, nodes[number], items, n)
            holds = _compare(op, values[code[at, p.A]], values[code[at, p.B]])
            at = code[at, p.YES] if holds else code[at, p.NO]
        elif op == p.FIRE:
            hits[code[at, p.A] - 1] = 1
            if code[at, p.B] == 1:
                rule = code[at, p.A]
            at = code[at, p.YES]
        else:
            return rule
