"""What the kernel posted, as tables: headers, lines, lots, positions, and the rows that it did not post."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger import book_state as s
from transforms.subledger.book_tables import Tables, unsigned
from transforms.subledger.fields import (
    CLASSES,
    COLUMNS,
    ENTRY,
    HEADER,
    ID,
    LINE,
    LOT,
    MAX_TEXT,
    POSITION,
    REVERSAL_KIND,
    scale_of,
)
from transforms.subledger.jit import Bytes, Ints, Longs
from transforms.subledger.opening import TURN
from transforms.subledger.parse import currency_column, optional, reject_rows
from transforms.subledger.rules.conditions import late_rows


class Dates(NamedTuple):
    """When the rows of a batch are booked."""

    late: npt.NDArray[np.bool_]
    accounting: Ints
    """Days since 1970."""
    period: Ints


def dates_of(batch: pa.RecordBatch) -> Dates:
    """The accounting dates of rows (`ENTRY`): the trade date, or the first day of the period of a late row."""
    late = late_rows(batch)
    period = batch.column("period").to_numpy()
    days = batch.column("trade_date").cast(pa.int32()).to_numpy().copy()
    months = (period[late].astype(np.int64) // 100 - 1970) * 12 + period[late] % 100 - 1
    days[late] = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return Dates(late, days, period)


class Chunk(NamedTuple):
    """What the kernel posted of some rows of a batch."""

    headers: Longs
    ids: Bytes
    lines: Longs
    rejects: Longs


def _id(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64], valid: npt.NDArray[np.bool_] | None) -> pa.Array:
    words = np.empty((len(high), 2), ">u8")
    words[:, 0], words[:, 1] = high, low
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(ID, len(high), [bits, pa.py_buffer(words)])


def header_rows(batch: pa.RecordBatch, dates: Dates, chunk: Chunk, basis: str) -> pa.RecordBatch:
    """Headers (`HEADER`) of a batch."""
    table = chunk.headers
    rows = table[s.P_ROW]
    picked = pa.array(rows)
    kind = table[s.P_KIND]
    turns = kind == REVERSAL_KIND
    high, low = (batch.column(name).to_numpy()[rows] for name in ("id_hi", "id_lo"))
    ref_high, ref_low = (pc.fill_null(batch.column(name), 0).to_numpy()[rows] for name in ("ref_hi", "ref_lo"))

    def taken(name: str) -> pa.Array:
        return pc.take(batch.column(name), picked, boundscheck=False)

    columns = {
        "je_no": pa.array(table[s.P_JE_NO]),
        "je_id": pa.Array.from_buffers(ID, len(rows), [None, pa.py_buffer(chunk.ids)]),
        "event_id": _id(high, low, None),
        "kind": pa.array(kind.astype(np.int8)),
        "basis": pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [basis]).cast(pa.string()),
        "event_class": taken("event_class"),
        "effect": pa.array(table[s.P_EFFECT].astype(np.int8)),
        "source_id": taken("source_id"),
        "version": taken("version"),
        "trade_date": taken("trade_date"),
        "accounting_date": pa.array(dates.accounting[rows]).view(pa.date32()),
        "period": pa.array(dates.period[rows]),
        "late": pa.array(dates.late[rows]),
        "instrument": taken("instrument"),
        "account_ref": taken("account_ref"),
        "gain": optional(table[s.P_GAIN]),
        "reference": taken("reference"),
        "reference_id": _id(ref_high, ref_low, turns),
        "file": taken("file"),
        "line": taken("line"),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in HEADER.names], schema=HEADER)


def line_rows(batch: pa.RecordBatch, dates: Dates, chunk: Chunk, codes: pa.Array) -> pa.RecordBatch:
    """Lines (`LINE`) of a batch; `codes` are the accounts by their numbers."""
    table = chunk.lines
    rows = table[s.K_ROW]
    accounts = pa.DictionaryArray.from_arrays(pa.array(table[s.K_ACCOUNT].astype(np.int32)), codes)
    columns = {
        "je_no": pa.array(chunk.headers[s.P_JE_NO][table[s.K_HEADER]]),
        "line_no": pa.array(table[s.K_NUMBER].astype(np.int32)),
        "account": accounts.cast(pa.string()),
        "side": pa.array(table[s.K_SIDE].astype(np.int8)),
        "quantity": optional(table[s.K_QUANTITY]),
        "currency": currency_column(table[s.K_CURRENCY]),
        "amount": pa.array(table[s.K_AMOUNT]),
        "fx_rate": optional(table[s.K_RATE]),
        "accounted": pa.array(table[s.K_ACCOUNTED]),
        "lot": optional(table[s.K_LOT]),
        "period": pa.array(dates.period[rows]),
        "accounting_date": pa.array(dates.accounting[rows]).view(pa.date32()),
        "instrument": pc.take(batch.column("instrument"), pa.array(rows), boundscheck=False),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in LINE.names], schema=LINE)


def rejected_rows(batch: pa.RecordBatch, rejects: Longs, entity: str) -> pa.RecordBatch:
    """Rejects (`REJECT`) of a batch, with their rows written anew."""
    if not rejects.shape[1]:
        return reject_rows([], [], [], [])
    rows = batch.take(pa.array(rejects[s.R_ROW]))
    texts = [_text({**row, "entity": entity}) for row in rows.to_pylist()]
    codes = rejects[s.R_CODE].tolist()
    return reject_rows(rows.column("file").to_pylist(), rows.column("line").to_pylist(), codes, texts)


_SCALES: Final = {name: scale_of(ENTRY.field(name)) for name in COLUMNS if name in ENTRY.names}


def _text(row: dict[str, Any]) -> str:
    fields = []
    for name in COLUMNS:
        value = row.get(name)
        scale = _SCALES.get(name)
        if value is None:
            fields.append("")
        elif name == "event_class":
            fields.append(CLASSES[value - 1])
        elif scale is not None:
            fields.append(_decimal(value, scale))
        else:
            fields.append(str(value))
    return ",".join(fields)[:MAX_TEXT]


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(abs(value), 10**scale)
    return f"{'-' * (value < 0)}{whole}" + (f".{rest:0{scale}d}".rstrip("0") if rest else "")


def lot_rows(tables: Tables, holdings: Longs) -> pa.RecordBatch:
    """Lots (`LOT`) of some holdings that are to be told."""
    owners, places = tables.lots_of(holdings)
    lots = tables.lots[:, places]
    names = pa.array([tables.names[place] for place in holdings], pa.string())
    columns = {
        "instrument": names.take(pa.array(owners)),
        "lot": pa.array(lots[s.L_NO]),
        "opened": pa.array(lots[s.L_OPENED].astype(np.int32)).view(pa.date32()),
        "sequence": pa.array(unsigned(lots[s.L_SEQUENCE]) ^ np.uint64(TURN)),
        "quantity": pa.array(lots[s.L_QUANTITY]),
        "original": pa.array(lots[s.L_ORIGINAL]),
        "cost": pa.array(lots[s.L_COST]),
        "accounted": pa.array(lots[s.L_ACCOUNTED]),
        "currency": currency_column(lots[s.L_CURRENCY]),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in LOT.names], schema=LOT)


def position_rows(tables: Tables, holdings: Longs) -> pa.RecordBatch:
    """Positions (`POSITION`) of some holdings."""
    table = tables.holdings[:, holdings]
    currencies = np.where(table[s.H_QUANTITY] > 0, table[s.H_CURRENCY], -1)
    columns = {
        "instrument": pa.array([tables.names[place] for place in holdings], pa.string()),
        "quantity": pa.array(table[s.H_QUANTITY]),
        "cost": pa.array(table[s.H_COST]),
        "accounted": pa.array(table[s.H_ACCOUNTED]),
        "currency": currency_column(currencies),
        "unrealised": pa.array(table[s.H_UNREALISED]),
        "realised": pa.array(table[s.H_REALISED]),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in POSITION.names], schema=POSITION)
