"""What the kernel of the book looks into: rows, rules, open lots, entries that may be taken back, and what it posts.

Tables are int64[columns, rows] with a name for each column; the kernel fills rows up to a count in `Counts`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from transforms.subledger.jit import Bytes, Longs, Words

(H_HEAD, H_TAIL, H_CLOSED, H_LOTS, H_QUANTITY, H_COST, H_ACCOUNTED, H_CURRENCY, H_UNREALISED, H_REALISED,
 H_TOUCHED) = range(11)  # fmt: skip
HOLDING_COLUMNS: Final = 11
"""Holdings, one for each instrument at hand: its list of open lots in order, how many they are, the sums over them;
the list of lots that are closed and were published; whether something was posted."""

(L_NO, L_OPENED, L_SEQUENCE, L_QUANTITY, L_ORIGINAL, L_COST, L_ACCOUNTED, L_NEXT, L_BEFORE, L_CHANGED,
 L_CURRENCY) = range(11)  # fmt: skip
LOT_COLUMNS: Final = 11
"""Lots; the sequence has its top bit turned, so that it is in order as a signed number."""

(E_HIGH, E_LOW, E_DOMAIN, E_HOLDING, E_REF, E_EFFECT, E_KIND, E_GAIN, E_FIRST, E_LINES, E_TAKEN) = range(11)
ENTRY_COLUMNS: Final = 11
"""Entries that may be taken back: of an event, what it has booked last."""

(K_ACCOUNT, K_SIDE, K_QUANTITY, K_CURRENCY, K_AMOUNT, K_RATE, K_ACCOUNTED, K_LOT, K_OPENED, K_SEQUENCE,
 K_ORIGINAL) = range(11)  # fmt: skip
LINE_COLUMNS: Final = 11
"""Lines; of one with a lot, what is needed to open the lot again."""
K_ROW, K_HEADER, K_NUMBER = range(11, 14)
POSTED_LINE_COLUMNS: Final = 14
"""Lines as they are posted, with their row, the place of their header, and their number from 1."""

(P_ROW, P_JE_NO, P_KIND, P_EFFECT, P_GAIN) = range(5)
HEADER_COLUMNS: Final = 5

R_ROW, R_CODE = range(2)
REJECT_COLUMNS: Final = 2

(C_HEADERS, C_LINES, C_REJECTS, C_LOTS, C_ENTRIES, C_KEPT_LINES, C_JE_NO, C_NEED_LINES, C_NEED_LOTS,
 C_NEED_KEPT) = range(10)  # fmt: skip
COUNTS: Final = 10
"""Rows used of each table, the next entry's number, and how many rows more the next event may need at most."""


class Rows(NamedTuple):
    """A batch as columns of n."""

    event_class: Longs
    quantity: Longs
    price: Longs
    currency: Longs
    amount: Longs
    fee: Longs
    fee_currency: Longs
    fx_rate: Longs
    trade_date: Longs
    words: Words
    """[6, n]: event id, order, id of the referenced event."""
    holding: Longs
    """Its holding, -1 for a row without instrument."""
    ref: Longs
    """Number of its account_ref."""
    keep: Bytes
    """1 if a later event may take it back."""
    chosen: Longs
    """[classes, n or 1]: the rule that applies to it if it is of that class, -1 if none does."""


class Settled(NamedTuple):
    """What does not change from row to row."""

    base: int
    base_unit: int
    units: Longs
    average: bool
    first_je_no: int
    suffix: Bytes
    """Of keys of entries, before their kind."""
    first: Longs
    uses_fee: Longs
    lines: Longs
    """The rules' program."""
    rounding: int
    """Number of the role."""
    accounts: Longs
    """[account_refs, roles]: number of the account, -1 if there is none."""


class State(NamedTuple):
    """What goes on from batch to batch."""

    holdings: Longs
    lots: Longs
    entries: Longs
    kept: Longs
    places: Longs
    """Hash table of entries by event id: their place + 1; its size is a power of two."""
    counts: Longs


class Posted(NamedTuple):
    """What is posted."""

    headers: Longs
    ids: Bytes
    """[n, 16]"""
    lines: Longs
    rejects: Longs
    key: Bytes
    """Room for the key of an entry's id."""
    values: Longs
    """[2, 5]: what the row's amounts are made of, entered and accounted."""
    sums: Longs
    """[3, 2]: debits less credits of the row's entry, for each currency it is in, entered and accounted."""
