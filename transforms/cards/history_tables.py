"""Tables of past transactions, from CSV or Parquet, into packets: all rows of a block at once, each bad row with its
reason."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.cards import wire
from transforms.cards.fields import PACKET, WIDTHS
from transforms.cards.history_cells import Records
from transforms.cards.history_files import HistoryError

COLUMNS = ("card", "timestamp", "country", "response", "amount", "currency", "merchant", "city", "code")
"""Columns that a table must have; others are ignored."""


class Reject(NamedTuple):
    """A row that is no transaction: its number from 0, why, and what it holds."""

    row: int
    reason: str
    text: str


def texts_of(table: pa.RecordBatch, where: str) -> pa.Array:
    """Each row as the text of a transaction, null where a field is. `where` names the table in errors.

    Text columns are taken as they are; numbers of fixed-width fields get their leading zeros back; a timestamp column
    becomes milliseconds. Raises HistoryError for a missing column or one that can be neither.
    """
    missing = [name for name in COLUMNS if name not in table.schema.names]
    if missing:
        raise HistoryError(f"{where} has no column {', '.join(missing)}; it needs {','.join(COLUMNS)}")
    return pc.binary_join_element_wise(*(_text(table.column(name), name, where) for name in COLUMNS), ",")


def _text(column: pa.Array, name: str, where: str) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.dictionary_decode(), name, where)
    if pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and name == "timestamp":
        return column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64()).cast(pa.string())
    if not pa.types.is_integer(kind):
        raise HistoryError(f"{where}: column {name} is {kind}; it must be text or whole numbers")
    digits = column.cast(pa.string())
    return digits if name in ("timestamp", "amount") else pc.utf8_lpad(digits, WIDTHS[name], "0")


def packets_of(texts: pa.Array) -> npt.NDArray[np.uint8]:
    """Packets uint8[n, 100] of transactions' texts; one of NUL bytes, which no parser takes, for null or too long."""
    lengths = pc.fill_null(pc.binary_length(texts), PACKET).to_numpy(zero_copy_only=False)
    fits = lengths < PACKET
    short = texts.filter(pa.array(fits))
    packets = np.zeros((len(texts), PACKET), np.uint8)
    place = np.arange(PACKET)
    packets[np.where(fits, lengths, 0)[:, None] > place] = _characters(short)
    packets[fits, PACKET - 1] = ord("\n")
    return packets


def _characters(texts: pa.StringArray) -> npt.NDArray[np.uint8]:
    """The bytes of all texts, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def records_of(packets: npt.NDArray[np.uint8], first: int) -> tuple[Records, npt.NDArray[np.int64], list[str]]:
    """The transactions in packets, at places `first` and on of the input; the rows that are none, and why."""
    parsed = wire.parse(np.ascontiguousarray(packets), loaded=True)
    bad = np.flatnonzero(parsed.statuses)
    every = Records(parsed.cards, np.arange(first, first + len(packets), dtype=np.uint64), parsed.items, parsed.texts)
    good = every if not len(bad) else every.take(np.flatnonzero(parsed.statuses == wire.OK))
    return good, bad, [wire.REASONS[parsed.statuses[row]][0] for row in bad]


def records_of_table(table: pa.RecordBatch, first: int, row: int, where: str) -> tuple[Records, list[Reject]]:
    """The transactions in a block of a table whose first row is number `row`, at places `first` and on of the input."""
    texts = texts_of(table, where)
    packets = packets_of(texts)
    records, bad, reasons = records_of(packets, first)
    rejects = []
    for place, reason in zip(bad.tolist(), reasons, strict=True):
        text = texts[place].as_py()
        why = "a field is empty" if text is None else "longer than a packet" if len(text) >= PACKET else reason
        shown = text if text is not None else ",".join(str(table.column(name)[place]) for name in COLUMNS)
        rejects.append(Reject(row + place, why, shown))
    return records, rejects
