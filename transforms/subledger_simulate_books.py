"""The books that the ledger simulation keeps of its own rows, in whole minor units: so what a request must come to is
known without asking the subledger."""

from __future__ import annotations

from typing import Any

from transforms.jit import shared
from transforms.subledger_simulate_model import (
    ACCOUNT,
    AMOUNT,
    BUY,
    CASH,
    CHARGE,
    CLASS,
    CURRENCY,
    FEE,
    FEES,
    FX,
    FX_POSITION,
    GAIN,
    ID,
    INCOME,
    INCOMES,
    INSTRUMENT,
    L_ACCOUNTED,
    L_AMOUNT,
    L_CHARGE,
    L_CLASS,
    L_COST,
    L_COUNT,
    L_HEAD,
    L_ID,
    L_LINES,
    L_PLACE,
    L_PRICE,
    L_QUANTITY,
    L_RATE,
    L_TAKEN_BACK,
    LOTS,
    PRICE,
    QUANTITY,
    RATE,
    S_AVERAGE,
    S_BASE,
    S_ENTRIES,
    S_LINES,
    SECURITIES,
    SELL,
    SETTLEMENT,
    Books,
    Ints,
    World,
)  # fmt: skip


@shared
def copy(target: Ints, source: Ints) -> None:
    """Copy numbers; the arrays are as long as each other."""
    for n in range(len(source)):
        target[n] = source[n]


@shared
def half_even(number: int, divisor: int) -> Any:
    """number / divisor, rounded half to even."""
    whole = number // divisor
    twice = 2 * (number - whole * divisor)
    return whole + 1 if twice > divisor or (twice == divisor and whole & 1) else whole


@shared
def in_base(books: Books, world: World, amount: int, currency: int, rate: int) -> Any:
    """Minor units of a currency in those of the base currency."""
    base = books.state[S_BASE]
    if currency == base:
        return amount
    return half_even(amount * rate, 10 ** (6 + world.digits[currency] - world.digits[base]))


@shared
def book(books: Books, role: int, group: int, currency: int, amount: int, accounted: int) -> None:
    """Add to a balance; credits are negative."""
    books.balances[role, group, currency, 0] += amount
    books.balances[role, group, currency, 1] += accounted
    books.touched[role, group, currency] = True


@shared
def charge_lines(books: Books, world: World, group: int, currency: int, charge: int, rate: int, sign: int) -> Any:
    """Book a fee in the row's currency; how many lines."""
    if charge == 0:
        return 0
    accounted = in_base(books, world, charge, currency, rate)
    book(books, FEES, group, currency, sign * charge, sign * accounted)
    book(books, SETTLEMENT, group, currency, -sign * charge, -sign * accounted)
    return 2


@shared
def take_lots(books: Books, i: int, quantity: int) -> Any:
    """Take from the oldest lots; pieces, cost and accounted cost."""
    pieces, cost, accounted = 0, 0, 0
    while quantity > 0:
        lot = books.ring[i, books.span[i, 0]]
        if lot[0] <= quantity:
            quantity -= lot[0]
            cost += lot[1]
            accounted += lot[2]
            books.span[i, 0] = (books.span[i, 0] + 1) % LOTS
            books.span[i, 1] -= 1
        else:
            books.last[i, L_PLACE] = books.span[i, 0]
            copy(books.cut[i], lot)
            part, part_accounted = half_even(lot[1] * quantity, lot[0]), half_even(lot[2] * quantity, lot[0])
            lot[0] -= quantity
            lot[1] -= part
            lot[2] -= part_accounted
            cost += part
            accounted += part_accounted
            quantity = 0
        pieces += 1
    return pieces, cost, accounted


@shared
def take_pool(books: Books, i: int, quantity: int) -> Any:
    """Take from what is held at average cost; pieces, cost and accounted cost."""
    held, cost, accounted = books.totals[i, 0], books.totals[i, 1], books.totals[i, 2]
    if quantity == held:
        return 1, cost, accounted
    return 1, half_even(cost * quantity, held), half_even(accounted * quantity, held)


@shared
def trade(books: Books, world: World, i: int, group: int, sign: int, again: int) -> Any:
    """Book or take back (`sign` -1) the BUY or SELL that `last` describes; how many lines. `again` is 0 when a SELL's
    cost has to be found first."""
    last, totals, span = books.last[i], books.totals[i], books.span[i]
    currency, amount, quantity = world.currencies[i], last[L_AMOUNT], last[L_QUANTITY]
    accounted = in_base(books, world, amount, currency, last[L_RATE])
    average = books.state[S_AVERAGE]
    if last[L_CLASS] == BUY:
        book(books, SECURITIES, group, currency, sign * amount, sign * accounted)
        book(books, SETTLEMENT, group, currency, -sign * amount, -sign * accounted)
        totals[0] += sign * quantity
        totals[1] += sign * amount
        totals[2] += sign * accounted
        if not average:
            if sign > 0:
                lot = books.ring[i, (span[0] + span[1]) % LOTS]
                lot[0], lot[1], lot[2] = quantity, amount, accounted
            span[1] += sign
        return 2
    if not again:
        last[L_HEAD], last[L_COUNT], last[L_PLACE] = span[0], span[1], -1
        found = take_pool(books, i, quantity) if average else take_lots(books, i, quantity)
        last[L_LINES], last[L_COST], last[L_ACCOUNTED] = found
    elif not average:
        span[0], span[1] = last[L_HEAD], last[L_COUNT]
        if last[L_PLACE] >= 0:
            copy(books.ring[i, last[L_PLACE]], books.cut[i])
    cost, cost_accounted = last[L_COST], last[L_ACCOUNTED]
    gain, gain_accounted = amount - cost, accounted - cost_accounted
    book(books, SETTLEMENT, group, currency, sign * amount, sign * accounted)
    book(books, SECURITIES, group, currency, -sign * cost, -sign * cost_accounted)
    totals[0] -= sign * quantity
    totals[1] -= sign * cost
    totals[2] -= sign * cost_accounted
    lines = 1 + last[L_LINES]
    if gain or gain_accounted:
        book(books, GAIN, group, currency, -sign * gain, -sign * gain_accounted)
        lines += 2 if gain * gain_accounted < 0 else 1
    return lines


@shared
def plain(books: Books, world: World, event: int, group: int, currency: int, amount: int, rate: int, sign: int) -> Any:
    """Book INCOME, FEE or SETTLE; how many lines."""
    accounted = in_base(books, world, amount, currency, rate)
    debit = FEES if event == FEE else SETTLEMENT
    credit = INCOMES if event == INCOME else SETTLEMENT if event == FEE else CASH
    book(books, debit, group, currency, sign * amount, sign * accounted)
    book(books, credit, group, currency, -sign * amount, -sign * accounted)
    return 2


@shared
def exchange(books: Books, world: World, group: int, currency: int, amount: int, price: int, rate: int) -> Any:
    """Book an FX against the base currency; how many lines."""
    base = books.state[S_BASE]
    accounted = in_base(books, world, amount, currency, rate)
    counter = half_even(amount * price, 10 ** (4 + world.digits[currency] - world.digits[base]))
    book(books, CASH, group, currency, amount, accounted)
    book(books, FX_POSITION, group, currency, -amount, -accounted)
    book(books, FX_POSITION, group, base, counter, counter)
    book(books, CASH, group, base, -counter, -counter)
    return 4


@shared
def apply(books: Books, world: World, row: Ints, sign: int, again: int) -> None:
    """Book a row (or the last event of its instrument again, with another sign)."""
    event, i, currency, rate = row[CLASS], row[INSTRUMENT], row[CURRENCY], row[RATE]
    group = world.groups[row[ACCOUNT]]
    if i >= 0 and not again:
        last = books.last[i]
        last[L_CLASS], last[L_ID], last[L_QUANTITY], last[L_PRICE] = event, row[ID], row[QUANTITY], row[PRICE]
        last[L_AMOUNT], last[L_CHARGE], last[L_RATE], last[L_TAKEN_BACK] = row[AMOUNT], row[CHARGE], rate, 0
    if event in (BUY, SELL):
        lines = trade(books, world, i, group, sign, again)
    elif event == FX:
        lines = exchange(books, world, group, currency, row[AMOUNT], row[PRICE], rate)
    else:
        lines = plain(books, world, event, group, currency, row[AMOUNT], rate, sign)
    lines += charge_lines(books, world, group, currency, row[CHARGE], rate, sign)
    books.state[S_LINES] += lines
    books.state[S_ENTRIES] += 1


@shared
def gross(world: World, quantity: int, price: int, currency: int) -> Any:
    """quantity x price in minor units."""
    return half_even(quantity * price, 10 ** (4 - world.digits[currency]))
