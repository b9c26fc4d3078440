"""The loop of the ledger simulation: orders and their fills row by row, with lots and balances kept alongside.

It keeps books of its own in whole minor units, so that what a request must come to is known without asking the
subledger. Everything random comes from one counter, so equal seeds give equal rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.jit import Compiler, shared

Ints = NDArray[np.int64]
_kernel = Compiler(Path(__file__).parent, "subledger_simulate*.py").njit

BUY, SELL, INCOME, FEE, FX, SETTLE, REVALUE, CANCEL, CORRECT = range(1, 10)

ROLES: Final = ("securities", "settlement", "fees", "gain", "income", "cash", "fx_position", "valuation", "unrealised")
SECURITIES, SETTLEMENT, FEES, GAIN, INCOMES, CASH, FX_POSITION, VALUATION, UNREALISED = range(len(ROLES))

ROW_COLUMNS: Final = 14
(
    ID, CLASS, DATE, SETTLED, ACCOUNT, INSTRUMENT, QUANTITY, PRICE, CURRENCY, AMOUNT, CHARGE, RATE, REFERENCE, KIND,
) = range(ROW_COLUMNS)  # fmt: skip
"""Columns of a simulated row: dates in days since 1970, prices in 10^-4, amounts in minor units, rates in 10^-6. 0
stands for what is empty, -1 for no account, instrument or currency. KIND is 0 for a good row, else a defect or
DUPLICATE."""

DEFECTS: Final = (
    "", "trade_date", "event_class", "amount", "amount", "currency", "fx_rate", "account_ref", "entity", "quantity",
    "reference", "trade_date", "version",
)  # fmt: skip
"""By defect: the column that the reject must name."""
(
    D_DATE, D_CLASS, D_NUMBER, D_DIGITS, D_CURRENCY, D_RATE, D_ACCOUNT, D_ENTITY, D_OVERSOLD, D_REFERENCE, D_FUTURE,
    D_VERSION,
) = range(1, len(DEFECTS))  # fmt: skip
DUPLICATE: Final = 20

LOTS: Final = 128
"""Most open lots of an instrument; then it is sold rather than bought."""
REACH: Final = 4096
"""How many rows back a duplicate's first is at most."""

LAST_COLUMNS: Final = 14
(
    L_CLASS, L_ID, L_QUANTITY, L_PRICE, L_AMOUNT, L_CHARGE, L_RATE, L_COST, L_ACCOUNTED, L_LINES, L_HEAD, L_COUNT,
    L_PLACE, L_TAKEN_BACK,
) = range(LAST_COLUMNS)  # fmt: skip
"""What is kept of the last event of an instrument, so that it can be taken back."""

STATE_COLUMNS: Final = 19
(
    S_NEXT_ID, S_ROWS, S_POSTED, S_ENTRIES, S_LINES, S_DUPLICATES, S_LATE_OUT, S_BASE, S_AVERAGE, O_CLASS, O_LEFT,
    O_INSTRUMENT, O_ACCOUNT, O_QUANTITY, O_PRICE, O_CURRENCY, O_AMOUNT, O_CHARGE, S_DAY,
) = range(STATE_COLUMNS)  # fmt: skip
"""Running numbers of the request (S_) and the order that is being filled (O_)."""

SHARES: Final = 6
ERRORS, DUPLICATES, LATES, CANCELS, CHARGED, FILLS = range(SHARES)
"""Places in `World.shares`: shares of rows, share of orders with a fee, fills of an average order."""


class Books(NamedTuple):
    """All that changes. Per instrument: a ring of lots int64[n, LOTS, 3] (quantity, cost, accounted cost), its head and
    count, totals (quantity, cost, accounted cost, unrealised booked), the lot a sale has cut as it was, the last event,
    the price. `balances` int64[role, group, currency, 2] are debits less credits, entered and accounted; `touched`
    tells which were posted to; `rejected` counts by defect; `late` rows wait for their turn."""

    random: NDArray[np.uint64]
    state: Ints
    ring: Ints
    span: Ints
    totals: Ints
    cut: Ints
    last: Ints
    prices: Ints
    balances: Ints
    touched: NDArray[np.bool_]
    rejected: Ints
    late: Ints
    scratch: Ints


class World(NamedTuple):
    """What stays: cumulative shares of instruments and of order classes; of each instrument its currency and account;
    of each account its group; digits of currencies, rates by day and currency; quantities of fills; the first of
    the cash accounts and how many there are."""

    popularity: NDArray[np.float64]
    classes: NDArray[np.float64]
    currencies: Ints
    accounts: Ints
    groups: Ints
    digits: Ints
    rates: Ints
    quantities: Ints
    shares: NDArray[np.float64]
    cash: Ints


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
