"""What was published before, put where the kernel looks: open lots, unrealised gains, entries to be taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger import book_state as s
from transforms.subledger.book_tables import Tables
from transforms.subledger.checks import currency_number
from transforms.subledger.errors import BookError
from transforms.subledger.fields import CORRECT, DEBIT, ENTRY_KIND, HEADER, LINE, LOT, POSITION
from transforms.subledger.ids import digest
from transforms.subledger.jit import NONE, Longs

TURN: Final = 1 << 63
"""Turns the top bit of a sequence, so that it is in order as a signed number."""


class Opening(NamedTuple):
    """What is published of some instruments and events, of requests that were not reversed."""

    lots: pa.Table
    """LOT: the newest row of each open lot, and of each that a line below names."""
    positions: pa.Table
    """POSITION: the newest row of each instrument."""
    headers: pa.Table
    """HEADER: of the events, of what took them back, and of the entries that opened lots which their lines name."""
    lines: pa.Table
    """LINE: of the events, and of the entries that opened lots."""

    @classmethod
    def empty(cls) -> Opening:
        """Nothing was published."""
        return cls(LOT.empty_table(), POSITION.empty_table(), HEADER.empty_table(), LINE.empty_table())


def sequence_of(source_id: str) -> int:
    """The order of a source id (`ENTRY.order_seq`)."""
    text = source_id.encode()
    if len(text) <= 18 and text.isdigit():
        return int(text)
    return TURN | int.from_bytes(text[:8].ljust(8, b"\0"), "big") >> 1


def domain_of(instrument: str | None, account_ref: str) -> int:
    """The order domain of an instrument, or of an account (`ENTRY.order_hash`)."""
    key = b"I" + instrument.encode() if instrument is not None else b"A" + account_ref.encode()
    return int.from_bytes(digest(key)[:8], "big")


def supply_lots(tables: Tables, opening: Opening, pooled: bool, asked: set[str]) -> None:
    """Put the lots of the instruments asked for into the lists of their holdings; others are there for entries' sake.

    Raises BookError if lots are not what positions say.
    """
    positions = opening.positions.to_pylist()
    not_asked = {position["instrument"] for position in positions} - asked
    if not_asked:
        raise BookError(f"the position of {min(not_asked)!r} is supplied, which was not asked for, or has rows already")
    lots = opening.lots.filter(pc.is_in(opening.lots.column("instrument"), pa.array(sorted(asked), pa.string())))
    if not pooled:
        lots = lots.filter(pc.greater(lots.column("quantity"), 0))
    # A lot may be there twice: for its instrument, and for an entry that changed it.
    _, firsts = np.unique(lots.column("lot").to_numpy(), return_index=True)
    lots = lots.take(pa.array(firsts))
    for name in lots.column("instrument").unique().to_pylist():
        tables.holding(name, domain_of(name, ""))
    if lots.num_rows:
        _link_lots(tables, lots)
    for position in positions:
        name = position["instrument"]
        place = tables.holding(name, domain_of(name, ""))
        tables.holdings[s.H_UNREALISED, place] = position["unrealised"]
        found = int(tables.holdings[s.H_QUANTITY, place])
        if found != position["quantity"]:
            raise BookError(f"the position of {name!r} is {position['quantity']}, its lots have {found} (in 10^-8)")


def _link_lots(tables: Tables, lots: pa.Table) -> None:
    names = lots.column("instrument").combine_chunks().dictionary_encode()
    numbers = np.array([tables.numbers[name] for name in names.dictionary.to_pylist()], np.int64)
    holdings = numbers[names.indices.to_numpy()]
    opened = lots.column("opened").cast(pa.int32()).to_numpy().astype(np.int64)
    sequence = (lots.column("sequence").to_numpy() ^ np.uint64(TURN)).view(np.int64)
    number = lots.column("lot").to_numpy()
    order = np.lexsort((number, sequence, opened, holdings))
    holdings = holdings[order]
    count, first = len(order), int(tables.counts[s.C_LOTS])
    tables.make_room(count, 0)
    places = np.arange(first, first + count)
    new = tables.lots[:, first : first + count]
    new[s.L_NO], new[s.L_OPENED], new[s.L_SEQUENCE] = number[order], opened[order], sequence[order]
    for column, name in ((s.L_QUANTITY, "quantity"), (s.L_ORIGINAL, "original"), (s.L_COST, "cost"),
                         (s.L_ACCOUNTED, "accounted")):  # fmt: skip
        new[column] = lots.column(name).to_numpy()[order]
    starts = np.concatenate([[True], holdings[1:] != holdings[:-1]])
    ends = np.concatenate([starts[1:], [True]])
    new[s.L_BEFORE] = np.where(starts, -1, places - 1)
    new[s.L_NEXT] = np.where(ends, -1, places + 1)
    new[s.L_CHANGED] = 0
    new[s.L_CURRENCY] = _currencies(lots)[order]
    tables.counts[s.C_LOTS] += count
    tables.holdings[s.H_HEAD, holdings[starts]] = places[starts]
    tables.holdings[s.H_TAIL, holdings[ends]] = places[ends]
    np.add.at(tables.holdings[s.H_LOTS], holdings, 1)
    for column, lot_column in ((s.H_QUANTITY, s.L_QUANTITY), (s.H_COST, s.L_COST), (s.H_ACCOUNTED, s.L_ACCOUNTED)):
        np.add.at(tables.holdings[column], holdings, new[lot_column])
    held = new[s.L_QUANTITY] > 0
    tables.holdings[s.H_CURRENCY, holdings[held]] = new[s.L_CURRENCY, held]
    other = np.flatnonzero(held & (tables.holdings[s.H_CURRENCY, holdings] != new[s.L_CURRENCY]))
    if len(other):
        raise BookError(f"open lots of {tables.names[holdings[other[0]]]!r} are in several currencies")


def _currencies(lots: pa.Table) -> Longs:
    codes = lots.column("currency").combine_chunks().dictionary_encode()
    numbers = np.array([currency_number(code) for code in codes.dictionary.to_pylist()], np.int64)
    found: Longs = numbers[codes.indices.to_numpy()]
    return found


Row = dict[str, Any]


def supply_entries(
    tables: Tables, opening: Opening, asked: set[bytes], ref_of: Callable[[str], int], account_of: Callable[[str], int]
) -> None:
    """Put entries of the events asked for where they can be taken back."""
    headers: list[Row] = opening.headers.to_pylist()
    taken = {header["reference_id"] for header in headers if header["reference_id"] is not None}
    lines = defaultdict[int, list[Row]](list)
    for line in opening.lines.to_pylist():
        lines[line["je_no"]].append(line)
    opened = _opened_lots(opening, headers, lines)
    last = dict[bytes, Row]()
    for header in headers:
        event = header["event_id"]
        if event in asked and (header["event_class"] != CORRECT or header["kind"] == ENTRY_KIND):
            last[event] = header
    tables.state(len(last))
    for event, header in last.items():
        own = sorted(lines[header["je_no"]], key=lambda line: int(line["line_no"]))
        _enter(tables, header, own, opened, event in taken, ref_of(header["account_ref"]), account_of)


Lot = tuple[int, int, int]


def _opened_lots(opening: Opening, headers: list[Row], lines: dict[int, list[Row]]) -> dict[int, Lot]:
    """Day opened, sequence and quantity bought, by lot."""
    found = dict[int, Lot]()
    for header in headers:
        number = header["je_no"]
        own = [line for line in lines.get(number, ()) if line["lot"] == number and line["side"] == DEBIT]
        if own:
            bought = sum(line["quantity"] for line in own)
            found[number] = (_days(header["trade_date"]), sequence_of(header["source_id"]), bought)
    for lot in opening.lots.to_pylist():
        found[lot["lot"]] = (_days(lot["opened"]), lot["sequence"], lot["original"])
    return found


def _days(day: Any) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _enter(
    tables: Tables, header: Row, lines: list[Row], opened: dict[int, Lot], taken: bool, ref: int,
    account_of: Callable[[str], int],
) -> None:  # fmt: skip
    tables.make_room(0, len(lines))
    entry, first = int(tables.counts[s.C_ENTRIES]), int(tables.counts[s.C_KEPT_LINES])
    name = header["instrument"]
    domain = domain_of(name, header["account_ref"])
    event = header["event_id"]
    high, low, place = (
        int.from_bytes(part, "big", signed=True) for part in (event[:8], event[8:], domain.to_bytes(8, "big"))
    )
    holding = -1 if name is None else tables.holding(name, domain)
    gain = NONE if header["gain"] is None else header["gain"]
    tables.entries[:, entry] = (
        high, low, place, holding, ref, header["effect"], header["kind"], gain, first, len(lines), taken
    )  # fmt: skip
    for at, line in enumerate(lines, first):
        lot = line["lot"]
        if lot is not None and lot not in opened:
            raise BookError(
                f"entry {header['je_no']} changed lot {lot}, of which neither the entry nor the lot is given"
            )
        day, sequence, original = opened[lot] if lot is not None else (NONE, TURN, NONE)
        turned = int.from_bytes((sequence ^ TURN).to_bytes(8, "big"), "big", signed=True)
        tables.kept[:, at] = (
            account_of(line["account"]), line["side"], _or_none(line["quantity"]), currency_number(line["currency"]),
            line["amount"], _or_none(line["fx_rate"]), line["accounted"], _or_none(lot), day, turned, original,
        )  # fmt: skip
    tables.counts[s.C_ENTRIES] += 1
    tables.counts[s.C_KEPT_LINES] += len(lines)


def _or_none(value: int | None) -> int:
    return NONE if value is None else value
