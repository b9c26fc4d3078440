"""The loop of the ledger simulation: orders and their fills row by row, with the books kept alongside.

Everything random comes from one counter, so equal seeds give equal rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from transforms.jit import Compiler, shared
from transforms.subledger_simulate_books import apply, book, copy, gross, half_even, in_base
from transforms.subledger_simulate_model import (
    ACCOUNT,
    AMOUNT,
    BUY,
    CANCEL,
    CANCELS,
    CHARGE,
    CHARGED,
    CLASS,
    CORRECT,
    CURRENCY,
    D_CURRENCY,
    D_OVERSOLD,
    D_RATE,
    D_REFERENCE,
    DATE,
    DEFECTS,
    DUPLICATE,
    DUPLICATES,
    ERRORS,
    FEE,
    FILLS,
    FX,
    ID,
    INCOME,
    INSTRUMENT,
    KIND,
    L_AMOUNT,
    L_CHARGE,
    L_CLASS,
    L_ID,
    L_PRICE,
    L_QUANTITY,
    L_RATE,
    L_TAKEN_BACK,
    LATES,
    LOTS,
    O_ACCOUNT,
    O_AMOUNT,
    O_CHARGE,
    O_CLASS,
    O_CURRENCY,
    O_INSTRUMENT,
    O_LEFT,
    O_PRICE,
    O_QUANTITY,
    PRICE,
    QUANTITY,
    RATE,
    REACH,
    REFERENCE,
    REVALUE,
    S_AVERAGE,
    S_BASE,
    S_DUPLICATES,
    S_ENTRIES,
    S_LATE_OUT,
    S_LINES,
    S_NEXT_ID,
    S_POSTED,
    S_ROWS,
    SELL,
    SETTLE,
    SETTLED,
    UNREALISED,
    VALUATION,
    Books,
    Ints,
    World,
)  # fmt: skip

_kernel = Compiler(Path(__file__).parent, "subledger_simulate*.py").njit


@shared
def chance(books: Books) -> Any:
    """A number in [0, 1)."""
    books.random[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = books.random[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.float64(mixed >> np.uint64(11)) * 2.0**-53


@shared
def below(books: Books, limit: int) -> Any:
    """A whole number from 0 on, below the limit."""
    return np.int64(chance(books) * limit)


@shared
def put(books: Books, row: Ints) -> None:
    """Give a row its source id and count it."""
    row[ID] = books.state[S_NEXT_ID]
    books.state[S_NEXT_ID] += 1
    books.state[S_ROWS] += 1


@shared
def any_instrument(books: Books, world: World) -> Any:
    """One of the instruments, by their popularity."""
    return min(np.searchsorted(world.popularity, chance(books)), len(world.popularity) - 1)


@shared
def new_order(books: Books, world: World) -> None:
    """Choose what comes next: instrument, class, quantity and price, and how many fills."""
    state = books.state
    event = 1 + min(np.searchsorted(world.classes, chance(books)), 5)
    fills = 1 + np.int64(-np.log1p(-chance(books)) * world.shares[FILLS])
    quantity = world.quantities[below(books, len(world.quantities))]
    i = any_instrument(books, world)
    books.prices[i] = max(100, books.prices[i] + (below(books, 9) - 4) * 100)
    if event == SELL and books.totals[i, 0] < quantity:
        event = BUY
    if event == BUY and books.span[i, 1] >= LOTS:
        event = SELL
        quantity = min(quantity, books.totals[i, 0])
    if event == BUY and not state[S_AVERAGE]:
        fills = min(fills, LOTS - books.span[i, 1])
    if event == SELL:
        fills = min(fills, books.totals[i, 0] // quantity)
    state[O_CLASS], state[O_LEFT], state[O_INSTRUMENT], state[O_QUANTITY] = event, fills, i, quantity
    state[O_ACCOUNT], state[O_CURRENCY], state[O_PRICE] = world.accounts[i], world.currencies[i], books.prices[i]
    if event in (FEE, FX):
        state[O_ACCOUNT] = world.cash[0] + below(books, world.cash[1])
        state[O_INSTRUMENT] = -1
        state[O_CURRENCY] = state[S_BASE]
        while event == FX and state[O_CURRENCY] == state[S_BASE]:
            state[O_CURRENCY] = below(books, len(world.digits))
    state[O_AMOUNT] = gross(world, quantity, state[O_PRICE], state[O_CURRENCY])
    if (event in (SETTLE, FX)) and chance(books) < 0.45:
        state[O_AMOUNT] = -state[O_AMOUNT]
    charged = event <= INCOME and chance(books) < world.shares[CHARGED]
    state[O_CHARGE] = state[O_AMOUNT] // 1000 + 1 if charged else 0


@shared
def fill(books: Books, world: World, row: Ints, date: int, settled: int, rate_of: Ints) -> None:
    """The order's next fill as a row, not booked yet."""
    state = books.state
    event = state[O_CLASS]
    row[:] = 0
    row[CLASS], row[DATE], row[ACCOUNT], row[INSTRUMENT] = event, date, state[O_ACCOUNT], state[O_INSTRUMENT]
    row[CURRENCY], row[AMOUNT], row[CHARGE] = state[O_CURRENCY], state[O_AMOUNT], state[O_CHARGE]
    row[RATE] = rate_of[row[CURRENCY]]
    if event in (BUY, SELL):
        row[QUANTITY], row[PRICE], row[SETTLED] = state[O_QUANTITY], state[O_PRICE], settled
    if event == FX:
        row[PRICE] = half_even(row[RATE], 100) + 1


@shared
def amend(books: Books, world: World, row: Ints, date: int, rate_of: Ints) -> Any:
    """Take back or correct the last event of the order's instrument; False if there is none to take back."""
    i = books.state[O_INSTRUMENT]
    if i < 0 or books.last[i, L_CLASS] == 0:
        return False
    last = books.last[i]
    event, account, currency = last[L_CLASS], world.accounts[i], world.currencies[i]
    row[:] = 0
    row[CLASS], row[DATE], row[ACCOUNT], row[INSTRUMENT], row[REFERENCE] = CANCEL, date, account, i, last[L_ID]
    row[CURRENCY] = -1
    before = books.scratch
    before[:] = 0
    before[CLASS], before[INSTRUMENT], before[ACCOUNT], before[CURRENCY] = event, i, account, currency
    before[AMOUNT], before[CHARGE], before[RATE] = last[L_AMOUNT], last[L_CHARGE], last[L_RATE]
    put(books, row)
    if last[L_TAKEN_BACK]:
        apply(books, world, before, 1, 1)
        last[L_CLASS] = 0
        return True
    quantity, price = last[L_QUANTITY], last[L_PRICE]
    apply(books, world, before, -1, 1)
    if chance(books) < 0.6:
        # Only what moves no lot is rebooked: the lots may have moved on.
        rebooked = (event in (INCOME, SETTLE)) and chance(books) < 0.2
        last[L_CLASS], last[L_ID], last[L_TAKEN_BACK] = event if rebooked else 0, row[ID], 1
        return True
    row[CLASS], row[CURRENCY], row[RATE] = CORRECT, currency, rate_of[currency]
    row[QUANTITY], row[PRICE] = quantity, price + 100 if price else 0
    row[AMOUNT] = gross(world, quantity, row[PRICE], currency) if price else before[AMOUNT] + 1
    if row[AMOUNT] == 0:
        row[AMOUNT] = 1
    row[CLASS] = event
    apply(books, world, row, 1, 0)
    row[CLASS] = CORRECT
    return True


@shared
def spoil(books: Books, row: Ints) -> None:
    """Make a row one that must be rejected."""
    defect = 1 + below(books, len(DEFECTS) - 1)
    if defect == D_RATE and row[CURRENCY] == books.state[S_BASE]:
        defect = D_CURRENCY
    if defect == D_OVERSOLD and row[INSTRUMENT] < 0:
        defect = D_REFERENCE
    if defect == D_OVERSOLD:
        row[CLASS], row[QUANTITY], row[PRICE] = SELL, books.totals[row[INSTRUMENT], 0] + 1, 10_000
        row[AMOUNT] = max(row[AMOUNT], -row[AMOUNT])
    if defect == D_REFERENCE:
        row[CLASS], row[REFERENCE] = CANCEL, 1
    row[KIND] = defect
    books.rejected[defect] += 1
    put(books, row)


@_kernel
def fill_rows(books: Books, world: World, out: Ints, at: int, until: int, date: int, settled: int, day: int) -> None:
    """Write the rows `at` to `until` of one day; earlier rows of `out` may be repeated as duplicates."""
    state, shares, rate_of = books.state, world.shares, world.rates[day]
    while at < until:
        row = out[at]
        if state[S_LATE_OUT] < len(books.late) and state[S_LATE_OUT] < state[S_ROWS] * shares[LATES]:
            copy(row, books.late[state[S_LATE_OUT]])
            state[S_LATE_OUT] += 1
            put(books, row)
            state[S_POSTED] += 1
            at += 1
            continue
        if at > 0 and chance(books) < shares[DUPLICATES]:
            first = at - 1 - below(books, min(at, REACH))
            if out[first, KIND] == 0:
                copy(row, out[first])
                row[KIND] = DUPLICATE
                state[S_DUPLICATES] += 1
                state[S_ROWS] += 1
                at += 1
                continue
        if chance(books) < shares[CANCELS] and amend(books, world, row, date, rate_of):
            state[O_LEFT] = 0
            state[S_POSTED] += 1
            at += 1
            continue
        if state[O_LEFT] == 0:
            new_order(books, world)
        fill(books, world, row, date, settled, rate_of)
        at += 1
        if chance(books) < shares[ERRORS]:
            spoil(books, row)
            continue
        put(books, row)
        apply(books, world, row, 1, 0)
        state[O_LEFT] -= 1
        state[O_CHARGE] = 0
        state[S_POSTED] += 1


@_kernel
def revalue(books: Books, world: World, out: Ints, at: int, limit: int, date: int, day: int) -> Any:
    """Write a REVALUE for each instrument that is held, at most `limit`; how many."""
    state = books.state
    base, begun = state[S_BASE], at
    for i in range(len(books.totals)):
        totals = books.totals[i]
        if at - begun == limit:
            break
        if totals[0] == 0:
            continue
        row, currency = out[at], world.currencies[i]
        row[:] = 0
        row[CLASS], row[DATE], row[ACCOUNT], row[INSTRUMENT] = REVALUE, date, world.accounts[i], i
        row[CURRENCY], row[PRICE], row[RATE] = currency, books.prices[i], world.rates[day, currency]
        value = in_base(books, world, gross(world, totals[0], row[PRICE], currency), currency, row[RATE])
        change = value - totals[2] - totals[3]
        totals[3] += change
        put(books, row)
        if change:
            group = world.groups[row[ACCOUNT]]
            book(books, VALUATION, group, base, change, change)
            book(books, UNREALISED, group, base, -change, -change)
            state[S_LINES] += 2
        books.last[i, L_CLASS] = 0
        state[S_ENTRIES] += 1
        state[S_POSTED] += 1
        at += 1
    return at - begun


@_kernel
def make_late(books: Books, world: World, dates: Ints, buys: bool) -> None:
    """Fill `late` with rows of a closed period, oldest first, and book them: they come before all others in order."""
    for n in range(len(books.late)):
        row = books.late[n]
        i = any_instrument(books, world)
        currency = world.currencies[i]
        row[:] = 0
        row[CLASS] = BUY if buys and n % 2 == 0 and books.span[i, 1] < LOTS // 4 else INCOME if n % 3 else SETTLE
        row[DATE], row[ACCOUNT], row[INSTRUMENT] = dates[n * len(dates) // len(books.late)], world.accounts[i], i
        row[CURRENCY], row[RATE] = currency, world.rates[0, currency]
        quantity, price = world.quantities[n % len(world.quantities)], books.prices[i]
        row[AMOUNT] = gross(world, quantity, price, currency)
        if row[CLASS] == BUY:
            row[QUANTITY], row[PRICE] = quantity, price
        apply(books, world, row, 1, 0)
        books.last[i, L_CLASS] = 0
