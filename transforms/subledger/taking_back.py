"""Entries taken back: their lines on the other side, and lots and gains as if they had not been."""

from __future__ import annotations

from transforms.jit import part, shared
from transforms.subledger import book_state as s
from transforms.subledger import checks as c
from transforms.subledger.booking import MOST_GAIN
from transforms.subledger.fields import BUY, CORRECT, REVALUE, REVERSAL_KIND, SELL
from transforms.subledger.jit import LIMIT, NONE, Longs, long
from transforms.subledger.lots import add, open_lot, place_of, take


@part
def entry_of(state: s.State, high: int, low: int) -> int:
    """The place of an event's entry, -1 if it has none here."""
    mask = len(state.places) - 1
    slot = low & mask
    while state.places[slot] != 0:
        entry = state.places[slot] - 1
        if state.entries[s.E_LOW, entry] == low and state.entries[s.E_HIGH, entry] == high:
            return long(entry)
        slot = (slot + 1) & mask
    return -1


@part
def enter(state: s.State, entry: int) -> None:
    """Have an entry found by its event id."""
    mask = len(state.places) - 1
    slot = state.entries[s.E_LOW, entry] & mask
    while state.places[slot] != 0:
        slot = (slot + 1) & mask
    state.places[slot] = entry + 1


@part
def reference_fault(rows: s.Rows, state: s.State, row: int, entry: int) -> int:
    """Why an event cannot take this entry back, 0 if it can."""
    if entry < 0:
        return c.fault(c.REFERENCE, c.NO_EVENT)
    entries = state.entries
    # Entries of the instrument before stay as long as their batch: to a row they must be as if they had gone.
    same = entries[s.E_DOMAIN, entry] == long(rows.words[2, row])
    same = same and entries[s.E_HOLDING, entry] == rows.holding[row]
    if not same or (rows.holding[row] < 0 and entries[s.E_REF, entry] != rows.ref[row]):
        return c.fault(c.REFERENCE, c.NO_EVENT)
    if entries[s.E_TAKEN, entry]:
        return c.fault(c.REFERENCE, c.TAKEN_BACK)
    if rows.event_class[row] == CORRECT and entries[s.E_KIND, entry] == REVERSAL_KIND:
        return c.fault(c.REFERENCE, c.OF_CANCEL)
    return 0


@shared
def _lots_fault(state: s.State, settled: s.Settled, holding: int, entry: int) -> int:
    """Whether the lots have what taking back takes of them, and room for what it gives them."""
    kept, lots, held = state.kept, state.lots, state.holdings[:, holding]
    quantity, cost, accounted = held[s.H_QUANTITY], held[s.H_COST], held[s.H_ACCOUNTED]
    first = state.entries[s.E_FIRST, entry]
    for line in range(first, first + state.entries[s.E_LINES, entry]):
        if kept[s.K_LOT, line] == NONE:
            continue
        if kept[s.K_SIDE, line] < 0:
            if held[s.H_QUANTITY] > 0 and held[s.H_CURRENCY] != kept[s.K_CURRENCY, line]:
                return c.fault(c.CURRENCY, c.HELD_OTHERWISE)
            quantity += kept[s.K_QUANTITY, line]
            cost += kept[s.K_AMOUNT, line]
            accounted += kept[s.K_ACCOUNTED, line]
            if quantity >= LIMIT or cost >= LIMIT or accounted >= LIMIT:
                return c.fault(c.QUANTITY, c.TOO_LARGE)
            continue
        found, node = held[s.H_HEAD] >= 0, held[s.H_HEAD]
        if not settled.average:
            found, node = place_of(state, holding, kept[s.K_OPENED, line], kept[s.K_SEQUENCE, line],
                                   kept[s.K_LOT, line])  # fmt: skip
        if not found:
            return c.fault(c.REFERENCE, c.PARTLY_SOLD)
        left = lots[s.L_QUANTITY, node] - kept[s.K_QUANTITY, line]
        left_cost = lots[s.L_COST, node] - kept[s.K_AMOUNT, line]
        left_accounted = lots[s.L_ACCOUNTED, node] - kept[s.K_ACCOUNTED, line]
        if left < 0 or left_cost < 0 or left_accounted < 0:
            return c.fault(c.REFERENCE, c.PARTLY_SOLD)
        if left == 0 and (left_cost != 0 or left_accounted != 0):
            return c.fault(c.REFERENCE, c.PARTLY_SOLD)
    return 0


@shared
def _apply(state: s.State, settled: s.Settled, holding: int, effect: int, lines: Longs, first: int, stop: int,
           way: int) -> None:  # fmt: skip
    """Change lots as lines say (way 1) or as if they had not been (way -1)."""
    held = state.holdings[:, holding]
    for line in range(first, stop):
        if lines[s.K_LOT, line] == NONE:
            continue
        quantity, cost, accounted = lines[s.K_QUANTITY, line], lines[s.K_AMOUNT, line], lines[s.K_ACCOUNTED, line]
        opened, sequence, number = lines[s.K_OPENED, line], lines[s.K_SEQUENCE, line], lines[s.K_LOT, line]
        node = long(-1)
        if settled.average:
            node = held[s.H_HEAD]
        if lines[s.K_SIDE, line] * way > 0:
            if held[s.H_QUANTITY] == 0:
                held[s.H_CURRENCY] = lines[s.K_CURRENCY, line]
            if node < 0:
                node = open_lot(state, holding, number, opened, sequence, lines[s.K_ORIGINAL, line])
            elif effect == BUY:
                state.lots[s.L_ORIGINAL, node] += quantity
            add(state, holding, node, quantity, cost, accounted)
            continue
        if settled.average:
            if effect == BUY:
                state.lots[s.L_ORIGINAL, node] -= quantity
            take(state, holding, node, quantity, cost, accounted, long(-1))
        else:
            _, node = place_of(state, holding, opened, sequence, number)
            take(state, holding, node, quantity, cost, accounted, long(settled.first_je_no))


@part
def _gain(state: s.State, holding: int, effect: int, gain: int) -> None:
    if gain != NONE:
        state.holdings[s.H_UNREALISED if effect == REVALUE else s.H_REALISED, holding] += gain


@part
def _gain_fault(state: s.State, holding: int, effect: int, gain: int) -> int:
    """Whether the gains of an instrument would be too large without this one."""
    if gain == NONE:
        return 0
    if effect == REVALUE:
        return c.fault(c.REFERENCE, c.OVERFLOW) if abs(state.holdings[s.H_UNREALISED, holding] - gain) >= LIMIT else 0
    return c.fault(c.REFERENCE, c.OVERFLOW) if abs(state.holdings[s.H_REALISED, holding] - gain) >= MOST_GAIN else 0


@shared
def take_back(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, entry: int) -> tuple[int, int]:
    """Write the opposite of an entry's lines and undo what it did; fault code and gain. A fault changes nothing."""
    entries, kept, counts = state.entries, state.kept, state.counts
    holding, effect, gain = rows.holding[row], entries[s.E_EFFECT, entry], entries[s.E_GAIN, entry]
    if holding >= 0:
        wrong = _lots_fault(state, settled, holding, entry)
        if wrong == 0:
            wrong = _gain_fault(state, holding, effect, gain)
        if wrong:
            return wrong, NONE
    first, source = counts[s.C_LINES], entries[s.E_FIRST, entry]
    size = entries[s.E_LINES, entry]
    for i in range(size):
        place = first + i
        for column in range(s.LINE_COLUMNS):
            out.lines[column, place] = kept[column, source + i]
        out.lines[s.K_SIDE, place] = -kept[s.K_SIDE, source + i]
        out.lines[s.K_ROW, place], out.lines[s.K_HEADER, place] = row, counts[s.C_HEADERS]
        out.lines[s.K_NUMBER, place] = i + 1
    counts[s.C_LINES] += size
    turned = NONE if gain == NONE else -gain
    if holding >= 0:
        if effect in (BUY, SELL, REVALUE):
            state.holdings[s.H_TOUCHED, holding] = 1
        _apply(state, settled, holding, effect, out.lines, first, first + size, 1)
        _gain(state, holding, effect, turned)
    entries[s.E_TAKEN, entry] = 1
    return 0, turned


@shared
def leave(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, entry: int, first: int) -> None:
    """Undo `take_back`, whose lines begin at `first` and are the last ones."""
    entries, holding, counts = state.entries, rows.holding[row], state.counts
    effect = entries[s.E_EFFECT, entry]
    if holding >= 0:
        _apply(state, settled, holding, effect, out.lines, first, first + entries[s.E_LINES, entry], -1)
        _gain(state, holding, effect, entries[s.E_GAIN, entry])
    entries[s.E_TAKEN, entry] = 0
    counts[s.C_LINES] = first
