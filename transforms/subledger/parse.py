"""Blocks of ledger files into checked rows and rejects: one compiled pass over the bytes, every row with its reason.

Fields may stand in double quotes, with a double quote written twice; a field cannot hold a line end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.subledger import checks as c
from transforms.subledger.currencies import ISO_4217
from transforms.subledger.errors import InputError
from transforms.subledger.fields import COLUMNS, ENTRY, MAX_TEXT, REJECT, REJECTED
from transforms.subledger.ids import MAX_KEY, event_prefix
from transforms.subledger.jit import NONE, Bytes, Ints, Longs, njit
from transforms.subledger.parse_kernel import NAMES, Columns, Rules, Texts, parse_lines
from transforms.subledger.settings import Settings
from transforms.subledger.text_fields import MONTHS, month_number

_QUOTE, _COMMA, _NEWLINE = ord('"'), ord(","), ord("\n")
_APART: Final = 31
"""Separates the columns of a block that had quotes: the unit separator of ASCII, which no field may hold."""


class Header(NamedTuple):
    """The order of a file's columns, as their places in `COLUMNS`."""

    columns: tuple[int, ...]


def read_header(line: bytes) -> Header:
    """The header line of a file. Raises InputError with the columns that are missing, unknown or twice there."""
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"the header line is no UTF-8 (byte {error.start}); it must be {','.join(COLUMNS)}") from None
    names = [name.strip().strip('"') for name in text.split(",")]
    wrong = []
    for what, some in (
        ("missing", [name for name in COLUMNS if name not in names]),
        ("unknown", sorted(set(names) - set(COLUMNS))),
        ("twice there", sorted({name for name in names if names.count(name) > 1})),
    ):
        if some:
            wrong.append(f"{what}: {', '.join(map(repr, some))[:200]}")
    if wrong:
        raise InputError(f"the header has wrong columns; {'; '.join(wrong)}. It must have {','.join(COLUMNS)}")
    return Header(tuple(COLUMNS.index(name) for name in names))


def parse_block(
    data: pa.Buffer | bytes | bytearray, header: Header, file: int, first_line: int, settings: Settings
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The rows (`ENTRY`) and the rejects (`REJECT`) of whole lines, without the header line.

    `first_line` is the number of the first line in its file, in which the header is line 1.
    """
    original = _fixed(np.frombuffer(data, np.uint8))
    lines, delimiter = original, _COMMA
    if _QUOTE in original:
        lines, delimiter = np.empty(len(original), np.uint8), _APART
        size = np.zeros(1, np.int64)
        _unquote(original, lines, size)
        lines = _fixed(lines[: size[0]])
    count = int(np.count_nonzero(lines == _NEWLINE)) + 1
    out, texts = _columns(count), _texts(count, len(lines))
    counts = np.zeros(2, np.int64)
    parse_lines(lines, first_line, _rules(settings, header.columns, delimiter), out, texts, counts)
    rows, bad = int(counts[0]), int(counts[1])
    entries = _entries(out, texts, rows, file)
    rejects = _rejects(out, bad, lines, file, delimiter)
    if _is_utf8(lines):
        return entries, rejects
    return _without_bytes(entries, rejects, file)


def _fixed(lines: Bytes) -> Bytes:
    """The same bytes, not to be written: a kernel is compiled once for those that may be and once for those not."""
    lines.flags.writeable = False
    return lines


@njit
def _unquote(data: Bytes, target: Bytes, size: Longs) -> None:
    """Copy lines with the quotes taken off and the unit separator between columns.

    A quote in the middle of a field, or one that does not end, leaves a control character, for which the row is
    rejected; so does a unit separator that was there.
    """
    at, put, stop = 0, 0, len(data)
    field_start, quoted = True, False
    while at < stop:
        sign = data[at]
        at += 1
        if sign == 10:
            if quoted:
                target[put] = 1
                put += 1
            field_start, quoted = True, False
        elif sign == 34:
            if field_start and not quoted:
                quoted, field_start = True, False
                continue
            if quoted and at < stop and data[at] == 34:
                at += 1
            elif quoted and (at == stop or data[at] in (44, 10, 13)):
                quoted = False
                continue
            else:
                sign = 1
        elif sign == 31:
            sign = 1
        elif sign == 44 and not quoted:
            sign = 31
            field_start = True
            target[put] = sign
            put += 1
            continue
        field_start = field_start and sign == 10
        target[put] = sign
        put += 1
    size[0] = put


def _rules(settings: Settings, columns: tuple[int, ...], delimiter: int) -> Rules:
    digits = () if settings.digits == ISO_4217 else tuple(sorted(settings.digits.items()))
    key = (settings.tenant, settings.source, settings.entity, settings.base_currency, digits, settings.periods)
    return _rules_of(*key, columns, delimiter)


@lru_cache(maxsize=16)
def _rules_of(
    tenant: str, source: str, entity: str, base: str, digits: tuple[tuple[str, int], ...],
    periods: tuple[tuple[int, bool], ...], columns: tuple[int, ...], delimiter: int,
) -> Rules:  # fmt: skip
    return Rules(
        delimiter,
        np.array(columns, np.int64),
        np.frombuffer(bytearray(event_prefix(tenant, source)), np.uint8),
        np.frombuffer(bytearray(entity.encode()), np.uint8),
        c.currency_number(base),
        c.units_of(dict(digits) or ISO_4217),
        accounting_periods(periods),
    )


def accounting_periods(periods: tuple[tuple[int, bool], ...]) -> Ints:
    """By month, the period that it is booked in: itself or the first open one after it; 0 where there is none."""
    table = np.zeros(MONTHS, np.int32)
    opened = sorted(((month_number(period), period) for period, is_open in periods if is_open), reverse=True)
    stop = MONTHS
    for number, period in opened:
        if 0 <= number < MONTHS:
            table[: number + 1] = period
            stop = min(stop, number)
    return table


def _columns(count: int) -> Columns:
    def longs() -> Longs:
        return np.empty(count, np.int64)

    def ints() -> Ints:
        return np.empty(count, np.int32)

    def small() -> Bytes:
        return np.empty(count, np.uint8)

    return Columns(
        longs(), ints(), small(), ints(), longs(), longs(), longs(), longs(), longs(), longs(), longs(), longs(),
        ints(), np.empty((6, count), np.uint64), small(), longs(), longs(), longs(), longs(),
    )  # fmt: skip


def _texts(count: int, size: int) -> Texts:
    one, two, three, four = (np.empty(size, np.uint8) for _ in NAMES)
    ends = np.empty((len(NAMES), count + 1), np.int32)
    ends[:, 0] = 0
    # Room for a key of an event, and after it for that of an order domain.
    return Texts((one, two, three, four), ends, np.zeros((len(COLUMNS), 2), np.int64), np.zeros(2 * MAX_KEY, np.uint8))


def _bits(valid: np.ndarray[Any, Any]) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def optional(values: Longs, kind: pa.DataType | None = None) -> pa.Array:
    """A column of int64, or of a narrower type, in which NONE is null."""
    valid = values != NONE
    kept: np.ndarray[Any, Any] = values
    if kind is not None and kind.bit_width == 32:
        kept = np.where(valid, values, 0).astype(np.int32)
    return pa.Array.from_buffers(kind or pa.int64(), len(values), [_bits(valid), pa.py_buffer(kept)])


def _text(texts: Texts, place: int, rows: int, nullable: bool) -> pa.Array:
    ends = texts.ends[place, : rows + 1]
    bits = _bits(ends[1:] > ends[:-1]) if nullable and rows else None
    # A copy of what is used: the room given to it would stay in memory with the batch.
    data = texts.data[place][: ends[rows]].copy()
    return pa.Array.from_buffers(pa.string(), rows, [bits, pa.py_buffer(ends), pa.py_buffer(data)])


def currency_column(numbers: Longs) -> pa.Array:
    """Texts of currency numbers, null for those below 0."""
    # Few are there: their counts find them sooner than sorting does.
    found = np.flatnonzero(np.bincount(numbers + 1, minlength=c.CURRENCIES + 1))
    places = np.zeros(c.CURRENCIES + 1, np.int32)
    places[found] = np.arange(len(found))
    codes = pa.array([c.currency_text(int(number) - 1) if number else None for number in found], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places[numbers + 1]), codes).cast(pa.string())


def _entries(out: Columns, texts: Texts, rows: int, file: int) -> pa.RecordBatch:
    def plain(values: np.ndarray[Any, Any]) -> pa.Array:
        return pa.array(values[:rows].copy())

    refers = out.has_reference[:rows].astype(bool)

    def reference(place: int) -> pa.Array:
        words = pa.py_buffer(out.words[place, :rows].copy())
        return pa.Array.from_buffers(pa.uint64(), rows, [_bits(refers), words])

    columns = {
        "line": plain(out.line),
        "file": pa.array(np.full(rows, file, np.int32)),
        "source_id": _text(texts, 0, rows, False),
        "version": plain(out.version),
        "event_class": plain(out.event_class.view(np.int8)),
        "trade_date": plain(out.trade_date).view(pa.date32()),
        "settle_date": optional(out.settle_date[:rows], pa.date32()),
        "account_ref": _text(texts, 1, rows, False),
        "instrument": _text(texts, 2, rows, True),
        "quantity": optional(out.quantity[:rows].copy()),
        "price": optional(out.price[:rows].copy()),
        "currency": currency_column(out.currency[:rows]),
        "amount": optional(out.amount[:rows].copy()),
        "fee": plain(out.fee),
        "fee_currency": currency_column(out.fee_currency[:rows]),
        "fx_rate": optional(out.fx_rate[:rows].copy()),
        "reference": _text(texts, 3, rows, True),
        "id_hi": plain(out.words[0]),
        "id_lo": plain(out.words[1]),
        "order_hash": plain(out.words[2]),
        "order_seq": plain(out.words[3]),
        "ref_hi": reference(4),
        "ref_lo": reference(5),
        "period": plain(out.period),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in ENTRY.names], schema=ENTRY)


def reject_rows(
    files: list[int], lines: list[int], codes: list[int], texts: list[str], kind: str = REJECTED
) -> pa.RecordBatch:
    """Rejects by their fault codes."""
    columns = [
        pa.array(files, pa.int32()),
        pa.array(lines, pa.int64()),
        pa.array([c.column_of(code) for code in codes], pa.string()),
        pa.array([c.reason_of(code) for code in codes], pa.string()),
        pa.array([kind] * len(codes), pa.string()),
        pa.array(texts, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECT)


def _rejects(out: Columns, bad: int, lines: Bytes, file: int, delimiter: int) -> pa.RecordBatch:
    starts, stops = out.bad_start[:bad].tolist(), out.bad_stop[:bad].tolist()
    data = lines.data
    shown = [_shown(bytes(data[a : min(b, a + 4 * MAX_TEXT)]), delimiter) for a, b in zip(starts, stops, strict=True)]
    return reject_rows([file] * bad, out.bad_line[:bad].tolist(), out.bad_code[:bad].tolist(), shown)


def _shown(row: bytes, delimiter: int) -> str:
    """A row as the reject table can hold it: text, without NUL and other control characters."""
    text = row.decode("utf-8", "replace")
    if delimiter != _COMMA:
        fields = (f'"{field}"' if "," in field else field for field in text.split(chr(delimiter)))
        text = ",".join(fields)
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return text[:MAX_TEXT]


def _is_utf8(lines: Bytes) -> bool:
    if len(lines) == 0 or lines.max() < 128:
        return True
    try:
        str(lines.data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_bytes(
    entries: pa.RecordBatch, rejects: pa.RecordBatch, file: int
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Turn rows whose names are no UTF-8 into rejects."""
    wrong = dict[int, int]()
    for column in NAMES:
        for row, name in enumerate(entries.column(COLUMNS[column]).cast(pa.binary()).to_pylist()):
            if name is not None and row not in wrong and not _decodes(name):
                wrong[row] = c.code(column, c.NO_UTF8)
    rows = sorted(wrong)
    kept = np.ones(entries.num_rows, bool)
    kept[rows] = False
    lines = entries.column("line").to_numpy()[rows].tolist()
    more = reject_rows([file] * len(rows), lines, [wrong[row] for row in rows], [""] * len(rows))
    both = pa.Table.from_batches([rejects, more]).sort_by("line").combine_chunks()
    together = both.to_batches()[0] if both.num_rows else rejects
    return entries.filter(pa.array(kept)), together


def _decodes(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
