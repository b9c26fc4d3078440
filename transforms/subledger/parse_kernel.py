"""The compiled heart of reading: lines of CSV, each checked and its columns written, or its fault noted."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from transforms.jit import part
from transforms.subledger import checks as c
from transforms.subledger import text_fields as t
from transforms.subledger.fields import BUY, CANCEL, CORRECT, SELL
from transforms.subledger.ids import MAX_KEY, murmur, put_number
from transforms.subledger.jit import NONE, Bytes, Ints, Longs, Words, long, njit
from transforms.subledger.wide import rounded

_NEWLINE, _RETURN, _SLASH = 10, 13, 47
_COLUMNS: Final = 16
_PRICED: Final = 10**12
"""10^-8 x 10^-8 to 10^-4."""
_INSTRUMENT_DOMAIN, _ACCOUNT_DOMAIN = 73, 65
"""What the order keys of instruments and of accounts start with, for an account may be named like an instrument."""
_TEXT_ORDER: Final = np.uint64(1 << 63)

NAMES: Final = (c.SOURCE_ID, c.ACCOUNT_REF, c.INSTRUMENT, c.REFERENCE)
"""Columns that are copied as texts; their place here is that in `Texts`."""


class Rules(NamedTuple):
    """What rows are checked against."""

    delimiter: int
    columns: Longs
    """Number of each column of the file in `COLUMNS`."""
    prefix: Bytes
    """Of event keys."""
    entity: Bytes
    base: int
    """Number of the base currency."""
    units: Longs
    """By currency number, the smallest amount in 10^-4; 0 for what is no currency."""
    periods: Ints
    """By month, the accounting period (yyyymm) and 0 if there is none."""


class Columns(NamedTuple):
    """One number for each row that is taken; lines, fault codes and places for each that is not."""

    line: Longs
    version: Ints
    event_class: Bytes
    trade_date: Ints
    settle_date: Longs
    quantity: Longs
    price: Longs
    currency: Longs
    amount: Longs
    fee: Longs
    fee_currency: Longs
    fx_rate: Longs
    period: Ints
    words: Words
    """[6, n]: event id, order, id of the referenced event."""
    has_reference: Bytes
    bad_line: Longs
    bad_code: Longs
    bad_start: Longs
    bad_stop: Longs


class Texts(NamedTuple):
    """Four text columns: bytes one after the other, where each ends, and room for keys."""

    data: tuple[Bytes, Bytes, Bytes, Bytes]
    ends: Ints
    """[4, n + 1]"""
    spans: Longs
    """[16, 2]: the fields of the row at hand."""
    key: Bytes


@part
def _split(data: Bytes, at: int, stop: int, rules: Rules, spans: Longs) -> bool:
    """Where each column of a line begins and ends; False if it has more or fewer."""
    count, width = 0, len(rules.columns)
    start = at
    for place in range(at, stop):
        if data[place] == rules.delimiter:
            if count >= width - 1:
                return False
            column = rules.columns[count]
            spans[column, 0], spans[column, 1] = start, place
            count += 1
            start = place + 1
    if count != width - 1:
        return False
    column = rules.columns[count]
    spans[column, 0], spans[column, 1] = start, stop
    return True


@part
def _event_hash(
    data: Bytes, start: int, stop: int, version: int, prefix: int, key: Bytes
) -> tuple[np.uint64, np.uint64]:
    at = prefix
    for place in range(start, stop):
        key[at] = data[place]
        at += 1
    key[at] = 0
    return murmur(key, 0, put_number(key, at + 1, version))


@part
def _domain_hash(data: Bytes, start: int, stop: int, domain: int, key: Bytes) -> np.uint64:
    """The key begins after the prefix of event keys, which stays."""
    first = MAX_KEY
    key[first] = domain
    for i in range(stop - start):
        key[first + 1 + i] = data[start + i]
    return murmur(key, first, stop - start + 1)[0]


@part
def _sequence(data: Bytes, start: int, stop: int) -> np.uint64:
    """The order of source ids: numbers first, then texts by their first 8 bytes."""
    digits = stop - start <= 18
    number = np.uint64(0)
    for at in range(start, stop):
        digits = digits and 48 <= data[at] <= 57
        number = number * np.uint64(10) + np.uint64(data[at]) - np.uint64(48)
    if digits:
        return number
    word = np.uint64(0)
    for i in range(8):
        byte = np.uint64(data[start + i]) if start + i < stop else np.uint64(0)
        word = (word << np.uint64(8)) | byte
    return _TEXT_ORDER | (word >> np.uint64(1))


@part
def _reference(data: Bytes, start: int, stop: int) -> tuple[int, int]:
    """Where the source id of a reference ends, and its version."""
    slash = stop - 1
    while slash >= start and 48 <= data[slash] <= 57:
        slash -= 1
    if start < slash < stop - 1 and data[slash] == _SLASH:
        version = t.whole(data, slash + 1, stop)
        if version:
            return slash, version
    return stop, 1


@part
def _money(data: Bytes, spans: Longs, rules: Rules, out: Columns, row: int) -> int:
    """Read quantity, price, currency, amount, fee and rate of a row; the fault code, 0 if there is none."""
    event_class = out.event_class[row]
    quantity, wrong = t.decimal(data, spans[c.QUANTITY, 0], spans[c.QUANTITY, 1], 8, 8)
    if wrong:
        return c.fault(c.QUANTITY, wrong)
    price, wrong = t.decimal(data, spans[c.PRICE, 0], spans[c.PRICE, 1], 8, 8)
    if wrong:
        return c.fault(c.PRICE, wrong)
    currency = long(-1)
    unit = long(1)
    if spans[c.CURRENCY, 0] < spans[c.CURRENCY, 1]:
        currency = t.currency(data, spans[c.CURRENCY, 0], spans[c.CURRENCY, 1])
        if currency < 0 or rules.units[currency] == 0:
            return c.fault(c.CURRENCY, c.NO_CURRENCY)
        unit = rules.units[currency]
    elif event_class != CANCEL:
        return c.fault(c.CURRENCY, c.EMPTY)
    amount, wrong = t.decimal(data, spans[c.AMOUNT, 0], spans[c.AMOUNT, 1], 4, 4)
    if wrong:
        return c.fault(c.AMOUNT, wrong)
    if amount != NONE and amount % unit != 0:
        return c.fault(c.AMOUNT, c.DECIMALS)
    if event_class in (BUY, SELL, CORRECT) and amount == NONE and quantity != NONE and price != NONE:
        amount = rounded(quantity, price, _PRICED, unit)
        if amount == NONE:
            return c.fault(c.AMOUNT, c.PRODUCT)
    fee_currency = currency
    if spans[c.FEE_CURRENCY, 0] < spans[c.FEE_CURRENCY, 1]:
        fee_currency = t.currency(data, spans[c.FEE_CURRENCY, 0], spans[c.FEE_CURRENCY, 1])
        if fee_currency < 0 or rules.units[fee_currency] == 0:
            return c.fault(c.FEE_CURRENCY, c.NO_CURRENCY)
        if currency >= 0 and fee_currency not in (currency, rules.base):
            return c.fault(c.FEE_CURRENCY, c.OTHER_CURRENCY)
    fee, wrong = t.decimal(data, spans[c.FEE_COLUMN, 0], spans[c.FEE_COLUMN, 1], 4, 4)
    if wrong:
        return c.fault(c.FEE_COLUMN, wrong)
    if fee == NONE:
        fee = 0
    if fee < 0:
        return c.fault(c.FEE_COLUMN, c.NEGATIVE)
    if fee_currency >= 0 and fee % rules.units[fee_currency] != 0:
        return c.fault(c.FEE_COLUMN, c.DECIMALS)
    rate, wrong = t.decimal(data, spans[c.FX_RATE, 0], spans[c.FX_RATE, 1], 8, 8)
    if wrong:
        return c.fault(c.FX_RATE, wrong)
    out.quantity[row], out.price[row], out.currency[row] = quantity, price, currency
    out.amount[row], out.fee[row], out.fee_currency[row] = amount, fee, fee_currency
    out.fx_rate[row] = rate
    if event_class == CANCEL:
        return 0
    return _rate_fault(rules, out, row)


@part
def _rate_fault(rules: Rules, out: Columns, row: int) -> int:
    """Rates and what a class needs; a rate of the base currency is put in."""
    rate, currency = out.fx_rate[row], out.currency[row]
    if currency == rules.base:
        if rate not in (NONE, 10**8):
            return c.fault(c.FX_RATE, c.NOT_ONE)
        out.fx_rate[row] = 10**8
    elif rate == NONE:
        return c.fault(c.FX_RATE, c.NO_RATE)
    elif rate <= 0:
        return c.fault(c.FX_RATE, c.NOT_POSITIVE)
    return 0


@part
def _dates(data: Bytes, spans: Longs, rules: Rules, out: Columns, row: int) -> int:
    days, month = t.date(data, spans[c.TRADE_DATE, 0], spans[c.TRADE_DATE, 1])
    if days == NONE:
        return c.fault(c.TRADE_DATE, c.NO_DATE)
    if rules.periods[month] == 0:
        return c.fault(c.TRADE_DATE, c.NO_PERIOD)
    out.trade_date[row], out.period[row] = days, rules.periods[month]
    out.settle_date[row] = NONE
    if spans[c.SETTLE_DATE, 0] < spans[c.SETTLE_DATE, 1]:
        days, month = t.date(data, spans[c.SETTLE_DATE, 0], spans[c.SETTLE_DATE, 1])
        if days == NONE:
            return c.fault(c.SETTLE_DATE, c.NO_DATE)
        out.settle_date[row] = days
    return 0


@part
def _names(data: Bytes, spans: Longs) -> int:
    for column in NAMES:
        start, stop = spans[column, 0], spans[column, 1]
        if start == stop and column in (c.SOURCE_ID, c.ACCOUNT_REF):
            return c.fault(column, c.EMPTY)
        wrong = t.name_reason(data, start, stop)
        if wrong:
            return c.fault(column, wrong)
    return 0


@part
def _row(data: Bytes, rules: Rules, out: Columns, texts: Texts, row: int) -> int:
    """Check a row and write its numbers; the fault code, 0 if there is none."""
    spans = texts.spans
    wrong = _names(data, spans)
    if wrong:
        return wrong
    version = t.whole(data, spans[c.VERSION, 0], spans[c.VERSION, 1])
    if version == 0:
        return c.fault(c.VERSION, c.NO_NUMBER)
    event_class = t.event_class(data, spans[c.EVENT_CLASS, 0], spans[c.EVENT_CLASS, 1])
    if event_class == 0:
        return c.fault(c.EVENT_CLASS, c.NO_CLASS)
    if not t.same(data, spans[c.ENTITY, 0], spans[c.ENTITY, 1], rules.entity):
        return c.fault(c.ENTITY, c.OTHER_ENTITY)
    out.version[row], out.event_class[row] = version, event_class
    wrong = _dates(data, spans, rules, out, row)
    if wrong:
        return wrong
    wrong = _money(data, spans, rules, out, row)
    if wrong:
        return wrong
    has_instrument = spans[c.INSTRUMENT, 0] < spans[c.INSTRUMENT, 1]
    refers = event_class in (CANCEL, CORRECT)
    if refers and spans[c.REFERENCE, 0] == spans[c.REFERENCE, 1]:
        return c.fault(c.REFERENCE, c.EMPTY)
    if not refers:
        wrong = c.class_fault(event_class, has_instrument, out.quantity[row], out.price[row], out.currency[row],
                              rules.base, out.amount[row])  # fmt: skip
        if wrong:
            return wrong
    _keys(data, rules, out, texts, row, refers, has_instrument)
    return 0


@part
def _keys(data: Bytes, rules: Rules, out: Columns, texts: Texts, row: int, refers: bool, has_instrument: bool) -> None:
    """Write the ids and the order of a row."""
    spans, words = texts.spans, out.words
    start, stop = spans[c.SOURCE_ID, 0], spans[c.SOURCE_ID, 1]
    prefix = len(rules.prefix)
    words[0, row], words[1, row] = _event_hash(data, start, stop, long(out.version[row]), prefix, texts.key)
    words[3, row] = _sequence(data, start, stop)
    if has_instrument:
        words[2, row] = _domain_hash(
            data, spans[c.INSTRUMENT, 0], spans[c.INSTRUMENT, 1], _INSTRUMENT_DOMAIN, texts.key
        )
    else:
        words[2, row] = _domain_hash(data, spans[c.ACCOUNT_REF, 0], spans[c.ACCOUNT_REF, 1], _ACCOUNT_DOMAIN, texts.key)
    out.has_reference[row] = refers
    if refers:
        start = spans[c.REFERENCE, 0]
        stop, version = _reference(data, start, spans[c.REFERENCE, 1])
        words[4, row], words[5, row] = _event_hash(data, start, stop, version, prefix, texts.key)
    else:
        words[4, row] = words[5, row] = 0


@part
def _copy_names(data: Bytes, texts: Texts, row: int) -> None:
    spans, ends = texts.spans, texts.ends
    for place in range(len(NAMES)):
        column = NAMES[place]
        at = ends[place, row]
        target = texts.data[place]
        for source in range(spans[column, 0], spans[column, 1]):
            target[at] = data[source]
            at += 1
        ends[place, row + 1] = at


@njit
def parse_lines(data: Bytes, first_line: int, rules: Rules, out: Columns, texts: Texts, counts: Longs) -> None:
    """Read all lines; `counts` gets how many were taken and how many not."""
    for i in range(len(rules.prefix)):
        texts.key[i] = rules.prefix[i]
    row, bad, line, at = 0, 0, first_line, 0
    size = len(data)
    while at < size:
        stop = at
        while stop < size and data[stop] != _NEWLINE:
            stop += 1
        end = stop - 1 if stop > at and data[stop - 1] == _RETURN else stop
        wrong = c.fault(c.ROW, c.WIDTH)
        if _split(data, at, end, rules, texts.spans):
            wrong = _row(data, rules, out, texts, row)
        if wrong == 0:
            out.line[row] = line
            _copy_names(data, texts, row)
            row += 1
        else:
            out.bad_line[bad], out.bad_code[bad] = line, wrong
            out.bad_start[bad], out.bad_stop[bad] = at, end
            bad += 1
        line += 1
        at = stop + 1
    counts[0], counts[1] = row, bad
