"""What the ledger simulation keeps: rows, orders and books as tables of whole numbers, and their columns' names."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

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
