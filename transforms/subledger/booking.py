"""Lines of one event: what its rule says, split over lots, in two currencies, and what rounding leaves."""

from __future__ import annotations

from typing import Final

from transforms.jit import part, shared
from transforms.subledger import book_state as s
from transforms.subledger import checks as c
from transforms.subledger.fields import BUY, FX, REVALUE, SELL
from transforms.subledger.jit import LIMIT, NONE, Longs, long
from transforms.subledger.lots import add, open_lot, share, take
from transforms.subledger.rules.model import (
    AMOUNTS,
    BASE,
    COST,
    COUNTER,
    ENTERED,
    FEE_AMOUNT,
    FEE_UNIT,
    GROSS,
    LINE_EXACT,
    LINE_FORM,
    LINE_LOT,
    LINE_MIXES_FEE,
    LINE_ROLE,
    LINE_SIDE,
    LINE_UNIT,
    ONE,
    UNREALISED,
)
from transforms.subledger.wide import rounded

_RATE: Final = 10**8
MOST_GAIN: Final = 4 * LIMIT
"""What an instrument realises in a request is below it."""
_PRICED: Final = 10**12
_SIGN: Final = -(2**63)
_UNITS: Final = 3


@part
def _put(
    out: s.Posted, counts: Longs, row: int, number: int, account: int, side: int, currency: int, amount: int,
    rate: int, accounted: int,
) -> int:  # fmt: skip
    """Write a line without a lot; its place."""
    place = counts[s.C_LINES]
    counts[s.C_LINES] += 1
    lines = out.lines
    lines[s.K_ROW, place], lines[s.K_HEADER, place] = row, counts[s.C_HEADERS]
    lines[s.K_NUMBER, place] = number
    lines[s.K_ACCOUNT, place], lines[s.K_SIDE, place] = account, side
    lines[s.K_QUANTITY, place], lines[s.K_CURRENCY, place] = NONE, currency
    lines[s.K_AMOUNT, place], lines[s.K_RATE, place], lines[s.K_ACCOUNTED, place] = amount, rate, accounted
    lines[s.K_LOT, place] = NONE
    return long(place)


@part
def _put_lot(out: s.Posted, place: int, quantity: int, lot: int, opened: int, sequence: int, original: int) -> None:
    """Write the lot that a line changes."""
    lines = out.lines
    lines[s.K_QUANTITY, place], lines[s.K_LOT, place] = quantity, lot
    lines[s.K_OPENED, place], lines[s.K_SEQUENCE, place], lines[s.K_ORIGINAL, place] = opened, sequence, original


@shared
def _signed_line(
    out: s.Posted, counts: Longs, row: int, first: int, account: int, side: int, currency: int, amount: int,
    rate: int, accounted: int,
) -> int:  # fmt: skip
    """Write an amount that may be negative: on the other side then. The place of the (last) line, -1 for none.

    Where the two amounts have opposite signs, each gets a line of its own. `first` is the entry's first line.
    """
    if amount == 0 and accounted == 0:
        return -1
    if (amount < 0 and accounted > 0) or (amount > 0 and accounted < 0):
        number = counts[s.C_LINES] - first + 1
        turned = side if amount > 0 else -side
        _put(out, counts, row, number, account, turned, currency, abs(amount), rate, 0)
        return _put(out, counts, row, number + 1, account, -turned, currency, 0, NONE, abs(accounted))
    turned = -side if amount < 0 or accounted < 0 else side
    number = counts[s.C_LINES] - first + 1
    return _put(out, counts, row, number, account, turned, currency, abs(amount), rate, abs(accounted))


@part
def _scaled(coefficient: int, value: int, exact: bool, unit: int) -> int:
    """Coefficient (10^-8) x value; NONE if it is too large."""
    if not exact:
        return rounded(value, coefficient, ONE, unit)
    whole = coefficient // ONE
    return whole * value if abs(value) <= (LIMIT - 1) // abs(whole) else long(NONE)


@shared
def _combined(settled: s.Settled, line: int, values: Longs, which: int, unit: int) -> int:
    """The sum of a line's form over the row's values; NONE if it is too large."""
    total = long(0)
    exact = settled.lines[line, LINE_EXACT] == 1
    for place in range(AMOUNTS):
        coefficient = settled.lines[line, LINE_FORM + place]
        if coefficient != 0:
            one = _scaled(coefficient, values[which, place], exact, unit)
            if one == NONE:
                return NONE
            total += one
    return total if -LIMIT < total < LIMIT else NONE


@part
def _currency_of(rows: s.Rows, settled: s.Settled, row: int, unit: int) -> int:
    if unit == BASE:
        return settled.base
    return long(rows.fee_currency[row] if unit == FEE_UNIT else rows.currency[row])


@part
def rate_of(rows: s.Rows, settled: s.Settled, row: int, currency: int) -> int:
    """Base units for one of a currency of the row."""
    return rows.fx_rate[row] if currency == rows.currency[row] else _RATE


@shared
def _sold_cost(state: s.State, settled: s.Settled, holding: int, quantity: int, unit: int) -> tuple[int, int]:
    """Cost and accounted cost of what a sale of so much takes; it is held."""
    lots = state.lots
    cost, accounted, left = long(0), long(0), quantity
    node = state.holdings[s.H_HEAD, holding]
    while left > 0:
        taken = min(left, lots[s.L_QUANTITY, node])
        whole = lots[s.L_QUANTITY, node]
        if taken > 0:
            cost += share(lots[s.L_COST, node], taken, whole, unit)
            accounted += share(lots[s.L_ACCOUNTED, node], taken, whole, settled.base_unit)
        left -= taken
        node = lots[s.L_NEXT, node]
    return cost, accounted


@shared
def _sell_lines(
    rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, first: int, account: int
) -> None:
    """A credit for each lot that a sale takes of; the lots stay as they are."""
    lots, counts = state.lots, state.counts
    currency = rows.currency[row]
    unit = settled.units[currency]
    left = rows.quantity[row]
    node = state.holdings[s.H_HEAD, rows.holding[row]]
    while left > 0:
        whole = lots[s.L_QUANTITY, node]
        taken = min(left, whole)
        if taken > 0:
            cost = share(lots[s.L_COST, node], taken, whole, unit)
            accounted = share(lots[s.L_ACCOUNTED, node], taken, whole, settled.base_unit)
            number = counts[s.C_LINES] - first + 1
            place = _put(out, counts, row, number, account, -1, currency, cost, NONE, accounted)
            _put_lot(out, place, taken, lots[s.L_NO, node], lots[s.L_OPENED, node], lots[s.L_SEQUENCE, node],
                     lots[s.L_ORIGINAL, node])  # fmt: skip
            left -= taken
        node = lots[s.L_NEXT, node]


@shared
def _buy_line(
    rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, first: int, account: int, amount: int,
    accounted: int,
) -> None:  # fmt: skip
    """The debit that opens a lot, or adds to the pool; the lots stay as they are."""
    counts = state.counts
    number = counts[s.C_LINES] - first + 1
    currency = rows.currency[row]
    rate = rate_of(rows, settled, row, currency)
    place = _put(out, counts, row, number, account, 1, currency, amount, rate, accounted)
    lot, opened = counts[s.C_JE_NO], rows.trade_date[row]
    sequence, original = long(rows.words[3, row]) ^ long(_SIGN), rows.quantity[row]
    pool = state.holdings[s.H_HEAD, rows.holding[row]]
    if settled.average and pool >= 0:
        lots = state.lots
        lot, opened, sequence = lots[s.L_NO, pool], lots[s.L_OPENED, pool], lots[s.L_SEQUENCE, pool]
        original = lots[s.L_ORIGINAL, pool]
    _put_lot(out, place, rows.quantity[row], lot, opened, sequence, original)


@shared
def _values(rows: s.Rows, state: s.State, settled: s.Settled, values: Longs, row: int, event_class: int) -> int:
    """Work out what the row's amounts are made of; the fault code, 0 if there is none. Changes nothing."""
    values[:] = 0
    currency, holding, base_unit = rows.currency[row], rows.holding[row], settled.base_unit
    rate = rate_of(rows, settled, row, currency)
    if event_class == REVALUE:
        held = state.holdings[:, holding]
        if held[s.H_QUANTITY] > 0 and held[s.H_CURRENCY] != currency:
            return c.fault(c.CURRENCY, c.HELD_OTHERWISE)
        value = rounded(held[s.H_QUANTITY], rows.price[row], _PRICED, settled.units[currency])
        if value != NONE:
            value = rounded(value, rate, _RATE, base_unit)
        if value == NONE:
            return c.fault(c.PRICE, c.OVERFLOW)
        change = value - held[s.H_ACCOUNTED] - held[s.H_UNREALISED]
        if not -LIMIT < change < LIMIT:
            return c.fault(c.PRICE, c.OVERFLOW)
        values[0, UNREALISED] = values[1, UNREALISED] = change
        return 0
    values[0, GROSS], values[0, FEE_AMOUNT] = rows.amount[row], rows.fee[row]
    values[1, GROSS] = rounded(rows.amount[row], rate, _RATE, base_unit)
    values[1, FEE_AMOUNT] = rounded(
        rows.fee[row], rate_of(rows, settled, row, rows.fee_currency[row]), _RATE, base_unit
    )
    if event_class == FX:
        dealt = rows.price[row] if rows.price[row] != NONE else rate
        values[0, COUNTER] = values[1, COUNTER] = rounded(rows.amount[row], dealt, _RATE, base_unit)
    if values[1, GROSS] == NONE or values[1, FEE_AMOUNT] == NONE or values[1, COUNTER] == NONE:
        return c.fault(c.AMOUNT, c.OVERFLOW)
    if event_class in (BUY, SELL):
        return _trade_values(rows, state, settled, values, row, event_class)
    return 0


@part
def _trade_values(rows: s.Rows, state: s.State, settled: s.Settled, values: Longs, row: int, event_class: int) -> int:
    held, currency, quantity = state.holdings[:, rows.holding[row]], rows.currency[row], rows.quantity[row]
    if event_class == SELL and quantity > held[s.H_QUANTITY]:
        return c.fault(c.QUANTITY, c.TOO_MUCH)
    if held[s.H_QUANTITY] > 0 and held[s.H_CURRENCY] != currency:
        return c.fault(c.CURRENCY, c.HELD_OTHERWISE)
    if event_class == SELL:
        unit = settled.units[currency]
        values[0, COST], values[1, COST] = _sold_cost(state, settled, rows.holding[row], quantity, unit)
        if abs(held[s.H_REALISED] + values[1, GROSS] - values[1, COST]) >= MOST_GAIN:
            return c.fault(c.AMOUNT, c.OVERFLOW)
    elif held[s.H_QUANTITY] + quantity >= LIMIT:
        return c.fault(c.QUANTITY, c.TOO_LARGE)
    return 0


@shared
def _line(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, first: int, line: int) -> int:
    """Write one line of the rule; the fault code, 0 if there is none."""
    program, values = settled.lines, out.values
    unit = program[line, LINE_UNIT]
    currency = _currency_of(rows, settled, row, unit)
    if program[line, LINE_MIXES_FEE] and values[0, FEE_AMOUNT] != 0 and rows.fee_currency[row] != currency:
        return c.fault(c.FEE_CURRENCY, c.MIXED_FEE)
    historical = program[line, LINE_FORM + COST] != 0
    rate = long(NONE) if historical else long(rate_of(rows, settled, row, currency))
    if unit == BASE:
        rate = long(_RATE)
    amount = long(0)
    if currency >= 0:
        amount = _combined(settled, line, values, 0, settled.units[currency])
    if historical or unit == BASE:
        accounted = _combined(settled, line, values, 1, settled.base_unit)
    else:
        accounted = rounded(amount, rate, _RATE, settled.base_unit) if amount != NONE else amount
    if amount == NONE or accounted == NONE:
        return c.fault(c.AMOUNT, c.OVERFLOW)
    lot = program[line, LINE_LOT] == 1
    if amount == 0 and accounted == 0 and not lot:
        return 0
    account = settled.accounts[rows.ref[row], program[line, LINE_ROLE]]
    if account < 0:
        return c.fault(c.ACCOUNT_REF, c.NO_ACCOUNT)
    side = program[line, LINE_SIDE]
    # Units of one currency balance together.
    group = ENTERED if currency == rows.currency[row] else unit
    out.sums[group, 0] += side * amount
    out.sums[group, 1] += side * accounted
    if not lot:
        _signed_line(out, state.counts, row, first, account, side, currency, amount, rate, accounted)
    elif side < 0:
        _sell_lines(rows, state, settled, out, row, first, account)
    else:
        holding = rows.holding[row]
        if state.holdings[s.H_COST, holding] + amount >= LIMIT:
            return c.fault(c.AMOUNT, c.TOO_LARGE)
        if state.holdings[s.H_ACCOUNTED, holding] + accounted >= LIMIT:
            return c.fault(c.AMOUNT, c.TOO_LARGE)
        _buy_line(rows, state, settled, out, row, first, account, amount, accounted)
    return 0


@shared
def _rest(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, first: int) -> int:
    """What rounding left goes to its account, in each currency; the fault code, 0 if there is none."""
    for unit in range(_UNITS):
        if out.sums[unit, 0] == 0 and out.sums[unit, 1] == 0:
            continue
        account = settled.accounts[rows.ref[row], settled.rounding]
        if account < 0:
            return c.fault(c.ACCOUNT_REF, c.NO_ACCOUNT)
        currency = _currency_of(rows, settled, row, unit)
        _signed_line(out, state.counts, row, first, account, 1, currency, -out.sums[unit, 0], NONE, -out.sums[unit, 1])
    return 0


@shared
def _change(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, event_class: int,
            first: int) -> int:  # fmt: skip
    """Change lots and sums as the lines written say; the gain, NONE for classes that have none."""
    if event_class not in (BUY, SELL, REVALUE):
        return NONE
    holding = rows.holding[row]
    held = state.holdings[:, holding]
    held[s.H_TOUCHED] = 1
    if event_class == REVALUE:
        held[s.H_UNREALISED] += out.values[0, UNREALISED]
        return long(out.values[0, UNREALISED])
    held[s.H_CURRENCY] = rows.currency[row]
    lines = out.lines
    for place in range(first, state.counts[s.C_LINES]):
        if lines[s.K_LOT, place] == NONE:
            continue
        quantity, cost, accounted = lines[s.K_QUANTITY, place], lines[s.K_AMOUNT, place], lines[s.K_ACCOUNTED, place]
        if event_class == SELL:
            # In the order of the lines, each is the first lot with something left.
            node = held[s.H_HEAD]
            while state.lots[s.L_QUANTITY, node] == 0:
                node = state.lots[s.L_NEXT, node]
            first_je_no = long(-1) if settled.average else long(settled.first_je_no)
            take(state, holding, node, quantity, cost, accounted, first_je_no)
        else:
            node = open_lot(state, holding, lines[s.K_LOT, place], lines[s.K_OPENED, place],
                            lines[s.K_SEQUENCE, place], 0)  # fmt: skip
            state.lots[s.L_ORIGINAL, node] += quantity
            lines[s.K_ORIGINAL, place] = state.lots[s.L_ORIGINAL, node]
            add(state, holding, node, quantity, cost, accounted)
    if event_class == BUY:
        return NONE
    gain = out.values[1, GROSS] - out.values[1, COST]
    held[s.H_REALISED] += gain
    return long(gain)


@shared
def book(
    rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, event_class: int
) -> tuple[int, int]:
    """Write the lines of a row booked as an event of a class and change what it changes; fault code and gain.

    With a fault nothing is changed; lines may have been written beyond what counts say before.
    """
    counts = state.counts
    first = counts[s.C_LINES]
    wrong = c.class_fault(event_class, rows.holding[row] >= 0, rows.quantity[row], rows.price[row], rows.currency[row],
                          settled.base, rows.amount[row])  # fmt: skip
    chosen = _rule_of(rows, row, event_class)
    if wrong == 0 and chosen < 0:
        wrong = c.fault(c.EVENT_CLASS, c.NO_RULE)
    if wrong == 0 and rows.fee[row] != 0 and settled.uses_fee[chosen] == 0:
        wrong = c.fault(c.FEE_COLUMN, c.NO_FEE)
    if wrong == 0:
        wrong = _values(rows, state, settled, out.values, row, event_class)
    if wrong == 0:
        out.sums[:] = 0
        line = settled.first[chosen]
        while wrong == 0 and line < settled.first[chosen + 1]:
            wrong = _line(rows, state, settled, out, row, first, line)
            line += 1
    if wrong == 0:
        wrong = _rest(rows, state, settled, out, row, first)
    if wrong:
        counts[s.C_LINES] = first
        return wrong, NONE
    return 0, _change(rows, state, settled, out, row, event_class, first)


@part
def _rule_of(rows: s.Rows, row: int, event_class: int) -> int:
    chosen = rows.chosen
    return long(chosen[event_class - 1, row if chosen.shape[1] > 1 else 0])
