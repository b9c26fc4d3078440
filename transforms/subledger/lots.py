"""Open lots of a holding, in the order in which they are sold: a linked list, for a lot can come back in between."""

from __future__ import annotations

from transforms.jit import part, shared
from transforms.subledger.book_state import (
    C_LOTS,
    H_ACCOUNTED,
    H_CLOSED,
    H_COST,
    H_CURRENCY,
    H_HEAD,
    H_LOTS,
    H_QUANTITY,
    H_TAIL,
    L_ACCOUNTED,
    L_BEFORE,
    L_CHANGED,
    L_COST,
    L_CURRENCY,
    L_NEXT,
    L_NO,
    L_OPENED,
    L_ORIGINAL,
    L_QUANTITY,
    L_SEQUENCE,
    State,
)
from transforms.subledger.jit import Longs, long
from transforms.subledger.wide import times_over


@part
def _compare(lots: Longs, node: int, opened: int, sequence: int, number: int) -> int:
    """Below 0 if a lot goes before this place in the order, 0 if it has it, above 0 if it goes after it."""
    if lots[L_OPENED, node] != opened:
        return -1 if lots[L_OPENED, node] < opened else 1
    if lots[L_SEQUENCE, node] != sequence:
        return -1 if lots[L_SEQUENCE, node] < sequence else 1
    if lots[L_NO, node] != number:
        return -1 if lots[L_NO, node] < number else 1
    return 0


@shared
def place_of(state: State, holding: int, opened: int, sequence: int, number: int) -> tuple[bool, int]:
    """Whether a lot is open, and where: it, or the last one before its place (-1: it would be the first).

    Looks from both ends, for most lots come in at the end and come back at the beginning.
    """
    lots = state.lots
    front, back = state.holdings[H_HEAD, holding], state.holdings[H_TAIL, holding]
    while front >= 0:
        order = _compare(lots, front, opened, sequence, number)
        if order >= 0:
            return order == 0, front if order == 0 else lots[L_BEFORE, front]
        order = _compare(lots, back, opened, sequence, number)
        if order <= 0:
            return order == 0, back
        front, back = lots[L_NEXT, front], lots[L_BEFORE, back]
    return False, long(-1)


@shared
def _link(state: State, holding: int, node: int, before: int) -> None:
    lots, holdings = state.lots, state.holdings
    after = holdings[H_HEAD, holding] if before < 0 else lots[L_NEXT, before]
    lots[L_BEFORE, node], lots[L_NEXT, node] = before, after
    if before < 0:
        holdings[H_HEAD, holding] = node
    else:
        lots[L_NEXT, before] = node
    if after < 0:
        holdings[H_TAIL, holding] = node
    else:
        lots[L_BEFORE, after] = node
    holdings[H_LOTS, holding] += 1


@shared
def _unlink(state: State, holding: int, node: int) -> None:
    lots, holdings = state.lots, state.holdings
    before, after = lots[L_BEFORE, node], lots[L_NEXT, node]
    if before < 0:
        holdings[H_HEAD, holding] = after
    else:
        lots[L_NEXT, before] = after
    if after < 0:
        holdings[H_TAIL, holding] = before
    else:
        lots[L_BEFORE, after] = before
    holdings[H_LOTS, holding] -= 1


@shared
def _reopened(state: State, holding: int, number: int) -> int:
    """A closed lot that was published, taken from the list of those; -1 if there is none of this number."""
    lots, before = state.lots, long(-1)
    node = state.holdings[H_CLOSED, holding]
    while node >= 0:
        if lots[L_NO, node] == number:
            if before < 0:
                state.holdings[H_CLOSED, holding] = lots[L_NEXT, node]
            else:
                lots[L_NEXT, before] = lots[L_NEXT, node]
            return long(node)
        before, node = node, lots[L_NEXT, node]
    return long(-1)


@shared
def open_lot(state: State, holding: int, number: int, opened: int, sequence: int, original: int) -> int:
    """Where a lot is, empty if it was not open."""
    found, before = place_of(state, holding, opened, sequence, number)
    if found:
        return before
    lots = state.lots
    node = _reopened(state, holding, number)
    if node < 0:
        node = state.counts[C_LOTS]
        state.counts[C_LOTS] += 1
        lots[L_NO, node], lots[L_OPENED, node], lots[L_SEQUENCE, node] = number, opened, sequence
        lots[L_ORIGINAL, node] = original
        lots[L_QUANTITY, node] = lots[L_COST, node] = lots[L_ACCOUNTED, node] = 0
    _link(state, holding, node, before)
    return node


@part
def add(state: State, holding: int, node: int, quantity: int, cost: int, accounted: int) -> None:
    """Add to a lot and to its holding."""
    lots, holdings = state.lots, state.holdings
    lots[L_QUANTITY, node] += quantity
    lots[L_COST, node] += cost
    lots[L_ACCOUNTED, node] += accounted
    lots[L_CHANGED, node] = 1
    lots[L_CURRENCY, node] = holdings[H_CURRENCY, holding]
    holdings[H_QUANTITY, holding] += quantity
    holdings[H_COST, holding] += cost
    holdings[H_ACCOUNTED, holding] += accounted


@shared
def take(state: State, holding: int, node: int, quantity: int, cost: int, accounted: int, first_je_no: int) -> None:
    """Take from a lot, and close it if nothing is left. Of a pool, which stays, `first_je_no` is -1."""
    add(state, holding, node, -quantity, -cost, -accounted)
    if state.lots[L_QUANTITY, node] == 0 and first_je_no >= 0:
        _unlink(state, holding, node)
        if state.lots[L_NO, node] < first_je_no:
            # Its last published row says that it is open.
            state.lots[L_NEXT, node] = state.holdings[H_CLOSED, holding]
            state.holdings[H_CLOSED, holding] = node


@part
def share(total: int, quantity: int, whole: int, unit: int) -> int:
    """The part of a lot's cost that belongs to a part of its quantity, in whole units, half to even."""
    return total if quantity == whole else times_over(total // unit, quantity, whole) * unit
