"""Columns of the subledger: the input files, the runs between the steps, and what is posted; their scales and codes.

Money is int64 throughout: quantities, prices and rates in 10^-8, amounts in 10^-4 of every currency. A column's scale
stands in its field's metadata (`scale_of`).
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SOURCE: Final = "ledger"
"""The source of event keys, unless settings name another."""
COLUMNS: Final = (
    "source_id", "version", "event_class", "entity", "trade_date", "settle_date", "account_ref", "instrument",
    "quantity", "price", "currency", "amount", "fee", "fee_currency", "fx_rate", "reference",
)  # fmt: skip
"""Columns of a ledger file; any order is taken."""

QUANTITY_SCALE: Final = 8
"""Decimals of quantities, prices and rates."""
AMOUNT_SCALE: Final = 4
"""Decimals of amounts, whatever the currency's own digits."""

BUY, SELL, INCOME, FEE, FX, SETTLE, REVALUE, CANCEL, CORRECT = range(1, 10)
CLASSES: Final = ("BUY", "SELL", "INCOME", "FEE", "FX", "SETTLE", "REVALUE", "CANCEL", "CORRECT")
"""Event classes; a class's number is its place here, from 1."""

ENTRY_KIND: Final = 1
REVERSAL_KIND: Final = 2
KINDS: Final = ("ENTRY", "REVERSAL")
"""Kinds of journal entries; a kind's number is its place here, from 1. A CORRECT posts one of each."""

DEBIT: Final = 1
CREDIT: Final = -1

REJECTED: Final = "REJECT"
DUPLICATE: Final = "DUPLICATE"
MAX_TEXT: Final = 500
"""Characters of a row that a reject keeps."""


def scaled(name: str, scale: int, nullable: bool = True) -> pa.Field:
    """An int64 column that counts 10^-scale."""
    return pa.field(name, pa.int64(), nullable, {"scale": str(scale)})


def scale_of(field: pa.Field) -> int | None:
    """Decimals of a column's numbers, None for one that has no scale."""
    if pa.types.is_decimal(field.type):
        return int(field.type.scale)
    text = (field.metadata or {}).get(b"scale")
    return None if text is None else int(text)


def _quantity(name: str, nullable: bool = True) -> pa.Field:
    return scaled(name, QUANTITY_SCALE, nullable)


def _amount(name: str, nullable: bool = True) -> pa.Field:
    return scaled(name, AMOUNT_SCALE, nullable)


ID: Final = pa.binary(16)
"""Event and entry ids: 128 bits, the most significant byte first, as a uuid."""
TOTAL: Final = pa.decimal128(38, AMOUNT_SCALE)
"""Sums of amounts over any number of lines."""

ENTRY: Final = pa.schema([
    pa.field("line", pa.int64(), False),
    pa.field("file", pa.int32(), False),
    pa.field("source_id", pa.string(), False),
    pa.field("version", pa.int32(), False),
    pa.field("event_class", pa.int8(), False),
    pa.field("trade_date", pa.date32(), False),
    pa.field("settle_date", pa.date32()),
    pa.field("account_ref", pa.string(), False),
    pa.field("instrument", pa.string()),
    _quantity("quantity"),
    _quantity("price"),
    pa.field("currency", pa.string()),
    _amount("amount"),
    _amount("fee", False),
    pa.field("fee_currency", pa.string()),
    _quantity("fx_rate"),
    pa.field("reference", pa.string()),
    pa.field("id_hi", pa.uint64(), False),
    pa.field("id_lo", pa.uint64(), False),
    pa.field("order_hash", pa.uint64(), False),
    pa.field("order_seq", pa.uint64(), False),
    pa.field("ref_hi", pa.uint64()),
    pa.field("ref_lo", pa.uint64()),
    pa.field("period", pa.int32(), False),
])  # fmt: skip
"""A checked row, as run files hold it. `period` (yyyymm) is the accounting period; where it is not that of the trade
date, the row is late. `ref_hi`, `ref_lo` are the event id that `reference` names. Where the row gave none, `fee` is 0,
`amount` is quantity x price (BUY, SELL, CORRECT), `fx_rate` is 1 for the base currency, `fee_currency` the currency."""

REJECT: Final = pa.schema([
    pa.field("file", pa.int32(), False),
    pa.field("line", pa.int64(), False),
    pa.field("column", pa.string(), False),
    pa.field("reason", pa.string(), False),
    pa.field("kind", pa.string(), False),
    pa.field("text", pa.string(), False),
])  # fmt: skip
"""A row that is not posted, by the line of its file (the header is line 1), the column at fault and the reason."""

HEADER: Final = pa.schema([
    pa.field("je_no", pa.int64(), False),
    pa.field("je_id", ID, False),
    pa.field("event_id", ID, False),
    pa.field("kind", pa.int8(), False),
    pa.field("basis", pa.string(), False),
    pa.field("event_class", pa.int8(), False),
    pa.field("effect", pa.int8(), False),
    pa.field("source_id", pa.string(), False),
    pa.field("version", pa.int32(), False),
    pa.field("trade_date", pa.date32(), False),
    pa.field("accounting_date", pa.date32(), False),
    pa.field("period", pa.int32(), False),
    pa.field("late", pa.bool_(), False),
    pa.field("instrument", pa.string()),
    pa.field("account_ref", pa.string(), False),
    pa.field("gain", pa.int64(), True, {"scale": str(AMOUNT_SCALE)}),
    pa.field("reference", pa.string()),
    pa.field("reference_id", ID),
    pa.field("file", pa.int32(), False),
    pa.field("line", pa.int64(), False),
])  # fmt: skip
"""A journal entry. `event_class` is the event's own (CANCEL, CORRECT included), `effect` the class whose booking this
is or takes back (BUY to REVALUE). `gain` is the accounted gain of it: realised of a SELL, change of the unrealised of
a REVALUE, with the opposite sign where taken back. `reference_id` is set for REVERSAL only: the event taken back,
which cannot be taken back again."""

LINE: Final = pa.schema([
    pa.field("je_no", pa.int64(), False),
    pa.field("line_no", pa.int32(), False),
    pa.field("account", pa.string(), False),
    pa.field("side", pa.int8(), False),
    _quantity("quantity"),
    pa.field("currency", pa.string(), False),
    _amount("amount", False),
    _quantity("fx_rate"),
    _amount("accounted", False),
    pa.field("lot", pa.int64()),
    pa.field("period", pa.int32(), False),
    pa.field("accounting_date", pa.date32(), False),
    pa.field("instrument", pa.string()),
])  # fmt: skip
"""A line: `amount` in its currency and `accounted` in the base currency are not negative, `side` says which way.
`fx_rate` is null where the accounted amount is not the row's rate times the amount: cost and gain have the rates of
their lots. `quantity` and `lot` (the je_no of the buying entry) stand on lines that change a lot."""

LOT: Final = pa.schema([
    pa.field("instrument", pa.string(), False),
    pa.field("lot", pa.int64(), False),
    pa.field("opened", pa.date32(), False),
    pa.field("sequence", pa.uint64(), False),
    _quantity("quantity", False),
    _quantity("original", False),
    _amount("cost", False),
    _amount("accounted", False),
    pa.field("currency", pa.string(), False),
])  # fmt: skip
"""A lot as it stands after the request: what is left of it, and its cost in its currency and in the base currency."""

POSITION: Final = pa.schema([
    pa.field("instrument", pa.string(), False),
    _quantity("quantity", False),
    _amount("cost", False),
    _amount("accounted", False),
    pa.field("currency", pa.string()),
    _amount("unrealised", False),
    _amount("realised", False),
])  # fmt: skip
"""An instrument after the request; currency null where nothing is held. `unrealised` is accounted, life to date,
`realised` accounted, of this request."""

BALANCE: Final = pa.schema([
    pa.field("period", pa.int32(), False),
    pa.field("account", pa.string(), False),
    pa.field("currency", pa.string(), False),
    pa.field("debit", TOTAL, False),
    pa.field("credit", TOTAL, False),
    pa.field("accounted_debit", TOTAL, False),
    pa.field("accounted_credit", TOTAL, False),
])  # fmt: skip
"""What this request posted to an account in a period."""

SUPPLIED: Final = pa.schema([
    pa.field("account", pa.string(), False),
    pa.field("currency", pa.string(), False),
    pa.field("amount", TOTAL, False),
    pa.field("accounted", TOTAL, False),
])  # fmt: skip
"""Closing balances as the client has them: debits minus credits over all periods, this request included."""

MAX_REQUEST: Final = 2**20 - 1
MAX_TASK: Final = 2**12 - 1
MAX_RUNNING: Final = 2**31


def first_je_no(request: int, task: int) -> int:
    """The first of the 2^31 entry numbers of a request's task. Raises ValueError."""
    if not 0 <= request <= MAX_REQUEST or not 0 <= task <= MAX_TASK:
        raise ValueError(f"request {request}, task {task}: entry numbers have room for {MAX_REQUEST} and {MAX_TASK}")
    return (request << 43) | (task << 31)


def request_of(je_no: int) -> int:
    """The request that posted the entry (or opened the lot) of a number."""
    return je_no >> 43
