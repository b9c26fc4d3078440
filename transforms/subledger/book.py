"""The book of a task: rows in order in, balanced entries out, with lots, positions and balances when they are final.

Equal rows give equal entries, however they are cut into batches. What is kept from batch to batch is the open lots of
one instrument and the entries of it that a later row takes back; what an instrument ends with comes out with the batch
in which another one begins.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.subledger import book_state as s
from transforms.subledger import checks as c
from transforms.subledger.book_kernel import post_rows, tally
from transforms.subledger.book_tables import Tables, grown, signed, table
from transforms.subledger.currencies import ISO_4217
from transforms.subledger.errors import BookError
from transforms.subledger.fields import (
    AMOUNT_SCALE,
    BALANCE,
    CLASSES,
    HEADER,
    ID,
    LINE,
    LOT,
    MAX_RUNNING,
    POSITION,
    REJECT,
)
from transforms.subledger.ids import MAX_KEY, entry_suffix
from transforms.subledger.jit import NONE, Longs, Words
from transforms.subledger.opening import Opening, supply_entries, supply_lots
from transforms.subledger.posted import (
    Chunk,
    Dates,
    dates_of,
    header_rows,
    line_rows,
    lot_rows,
    position_rows,
    rejected_rows,
)
from transforms.subledger.rules.model import ROUNDING, PostingRules
from transforms.subledger.settings import Settings

_LINES_PER_ROW: Final = 4
_SUMS: Final = 8
_LOW_BITS: Final = np.uint64(2**18 - 1)


class Needs(NamedTuple):
    """What a batch needs to know of what is published."""

    instruments: pa.StringArray
    events: pa.Array
    """binary(16): events that rows take back and that were not posted here."""


class Posted(NamedTuple):
    """What a batch became: `HEADER`, `LINE`, `REJECT` of its rows; `LOT`, `POSITION` of instruments that it ended."""

    headers: pa.RecordBatch
    lines: pa.RecordBatch
    rejects: pa.RecordBatch
    lots: pa.RecordBatch
    positions: pa.RecordBatch


class Closing(NamedTuple):
    """The last instrument's `LOT` and `POSITION`, and `BALANCE` of all that was posted."""

    lots: pa.RecordBatch
    positions: pa.RecordBatch
    balances: pa.RecordBatch


class Book:
    """Posts the rows of one task of a request. After an exception it is of no use."""

    def __init__(self, settings: Settings, rules: PostingRules, first_je_no: int, wanted: Words | None = None) -> None:
        """`wanted`, [n, 2]: ids of events that rows of the task take back; None: any may be."""
        self._settings = settings
        self._rules = rules
        self._first_je_no = first_je_no
        self._wanted = None if wanted is None else np.sort(wanted[:, 0])
        self._maybe = np.zeros(int(_LOW_BITS) + 1, np.uint8)
        if self._wanted is not None:
            self._maybe[self._wanted & _LOW_BITS] = 1
        self._average = settings.lot_method == "AVERAGE"
        self._tables = Tables(self._average, first_je_no)
        self._seen = set[str]()
        self._asked = set[bytes]()
        self._new = set[str]()
        self._refs = dict[str, int]()
        codes = sorted(rules.accounts)
        self._codes = pa.array(codes, pa.string())
        self._code_numbers = {code: number for number, code in enumerate(codes)}
        self._accounts: Longs = np.zeros((64, len(rules.roles)), np.int64)
        self._program = rules.program()
        self._units = c.units_of(dict(settings.digits) or ISO_4217)
        self._sums = defaultdict[tuple[int, int, int], list[int]](lambda: [0, 0, 0, 0])
        self._order: tuple[int, ...] = (0,)

    def needs(self, batch: pa.RecordBatch) -> Needs:
        """What `supply` should be called with before the batch is posted, if it was published."""
        names = pc.unique(batch.column("instrument")).drop_null()
        new = [name for name in names.to_pylist() if name not in self._seen]
        self._new = set(new)
        refers = batch.filter(batch.column("ref_hi").is_valid()).select(["ref_hi", "ref_lo"])
        ids = np.empty((2, refers.num_rows), np.int64)
        for place in range(2):
            ids[place] = signed(refers.column(place).to_numpy())
        ids = np.unique(ids[:, ~self._tables.known(ids)], axis=1)
        words = ids.astype(">i8").T.tobytes()
        events = pa.Array.from_buffers(ID, ids.shape[1], [None, pa.py_buffer(words)])
        self._asked = set(events.to_pylist())
        return Needs(pa.array(new, pa.string()), events)

    def supply(self, opening: Opening) -> None:
        """Tell what is published of what `needs` named. Raises BookError if that does not fit together."""
        supply_lots(self._tables, opening, self._average, self._new)
        self._new.clear()
        supply_entries(self._tables, opening, self._unknown(), self._ref, self._account)

    def post(self, batch: pa.RecordBatch) -> Posted:
        """Post rows (`ENTRY`), which come after those posted before. Raises BookError if they do not."""
        if not batch.num_rows:
            return Posted(*(pa.RecordBatch.from_pylist([], schema) for schema in (HEADER, LINE, REJECT, LOT, POSITION)))
        hashes = batch.column("order_hash").to_numpy()
        self._check_order(batch, hashes)
        rows = self._rows_of(batch, hashes)
        dates = dates_of(batch)
        chunk = self._run(rows)
        lines = line_rows(batch, dates, chunk, self._codes)
        self._tally(chunk, dates)
        headers = header_rows(batch, dates, chunk, self._rules.basis)
        rejects = rejected_rows(batch, chunk.rejects, self._settings.entity)
        lots, positions = self._finish(int(hashes[-1]))
        self._asked.clear()
        self._new.clear()
        return Posted(headers, lines, rejects, lots, positions)

    def close(self) -> Closing:
        """What is left when all rows are posted."""
        lots, positions = self._finish(None)
        return Closing(lots, positions, self._balances())

    def _check_order(self, batch: pa.RecordBatch, hashes: Words) -> None:
        if (hashes[1:] < hashes[:-1]).any() or int(hashes[0]) < self._order[0]:
            raise BookError("rows are not in order: sort them with transforms.subledger.order")
        self._order = (int(hashes[-1]),)

    def _unknown(self) -> set[bytes]:
        """Events asked for that have no entry here yet."""
        events = sorted(self._asked)
        ids = np.frombuffer(b"".join(events), ">i8").astype(np.int64).reshape(-1, 2).T
        return {
            event
            for event, known in zip(events, self._tables.known(np.ascontiguousarray(ids)), strict=True)
            if not known
        }

    def _account(self, code: str) -> int:
        """The number of an account; of one that rules do not have, too, for it was posted to before."""
        found = self._code_numbers.get(code)
        if found is None:
            found = self._code_numbers[code] = len(self._code_numbers)
            self._codes = pa.concat_arrays([self._codes, pa.array([code], pa.string())])
        return found

    def _ref(self, account_ref: str) -> int:
        """The number of an account_ref, whose accounts are looked up at first sight."""
        found = self._refs.get(account_ref)
        if found is not None:
            return found
        place = len(self._refs)
        self._refs[account_ref] = place
        if place == len(self._accounts):
            self._accounts = np.concatenate([self._accounts, np.zeros_like(self._accounts)])
        codes = (accounts.account(account_ref) for accounts in self._rules.mapping.values())
        self._accounts[place] = [-1 if code is None else self._code_numbers[code] for code in codes]
        return place

    def _rows_of(self, batch: pa.RecordBatch, hashes: Words) -> s.Rows:
        """The batch as the kernel takes it; its instruments get holdings."""

        def numbers(name: str) -> Longs:
            column = batch.column(name)
            filled = pc.fill_null(column, pa.scalar(NONE, column.type)) if column.null_count else column
            values: Longs = filled.to_numpy().astype(np.int64, copy=False)
            return values

        words = np.empty((6, batch.num_rows), np.uint64)
        for place, name in enumerate(("id_hi", "id_lo", "order_hash", "order_seq", "ref_hi", "ref_lo")):
            words[place] = pc.fill_null(batch.column(name), 0).to_numpy()
        return s.Rows(
            event_class=numbers("event_class"),
            quantity=numbers("quantity"),
            price=numbers("price"),
            currency=_currencies(batch.column("currency")),
            amount=numbers("amount"),
            fee=numbers("fee"),
            fee_currency=_currencies(batch.column("fee_currency")),
            fx_rate=numbers("fx_rate"),
            trade_date=batch.column("trade_date").cast(pa.int32()).to_numpy().astype(np.int64),
            words=words,
            holding=self._holdings_of(batch.column("instrument"), hashes),
            ref=self._refs_of(batch.column("account_ref")),
            keep=self._kept(words[0]),
            chosen=self._chosen(batch),
        )

    def _holdings_of(self, instruments: pa.StringArray, hashes: Words) -> Longs:
        encoded = instruments.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        indices = pc.fill_null(encoded.indices, len(names)).to_numpy().astype(np.int64)
        firsts = np.zeros(len(names) + 1, np.int64)
        # The first of several writes to one place is the last one of the reversed ones.
        firsts[indices[::-1]] = np.arange(len(indices))[::-1]
        places = self._tables.holdings_of(names, hashes[firsts[: len(names)]].tolist())
        self._seen.update(names)
        found: Longs = np.array([*places, -1], np.int64)[indices]
        return found

    def _refs_of(self, account_refs: pa.StringArray) -> Longs:
        encoded = account_refs.dictionary_encode()
        places = np.array([self._ref(name) for name in encoded.dictionary.to_pylist()], np.int64)
        found: Longs = places[encoded.indices.to_numpy()]
        return found

    def _kept(self, high: Words) -> npt.NDArray[np.uint8]:
        if self._wanted is None:
            return np.ones(len(high), np.uint8)
        if not len(self._wanted):
            return np.zeros(len(high), np.uint8)
        # Half an id is enough: one kept in vain does no harm. Most are none by their lowest bits alone.
        kept: npt.NDArray[np.uint8] = self._maybe[high & _LOW_BITS]
        maybe = np.flatnonzero(kept)
        places = np.minimum(np.searchsorted(self._wanted, high[maybe]), len(self._wanted) - 1)
        kept[maybe] = self._wanted[places] == high[maybe]
        return kept

    def _chosen(self, batch: pa.RecordBatch) -> Longs:
        rules = self._rules.rules
        wide = batch.num_rows if any(rule.when is not None for rule in rules) else 1
        chosen = np.full((len(CLASSES), wide), -1, np.int64)
        for number in range(len(rules) - 1, -1, -1):
            rule = rules[number]
            if rule.when is None:
                chosen[rule.event_class - 1] = number
            else:
                chosen[rule.event_class - 1, rule.when.holds(batch, self._settings.base_currency)] = number
        return chosen

    def _settled(self) -> s.Settled:
        base = c.currency_number(self._settings.base_currency)
        suffix = np.frombuffer(bytearray(entry_suffix(self._rules.version, self._rules.basis)), np.uint8)
        return s.Settled(
            base, int(self._units[base]), self._units, self._average, self._first_je_no, suffix, self._program.first,
            self._program.uses_fee, self._program.lines, self._rules.roles.index(ROUNDING), self._accounts,
        )  # fmt: skip

    def _run(self, rows: s.Rows) -> Chunk:
        """Have the kernel post the rows, in as many goes as its tables need."""
        count = len(rows.event_class)
        tables, settled, counts = self._tables, self._settled(), self._tables.counts
        counts[[s.C_HEADERS, s.C_LINES, s.C_REJECTS]] = 0
        state = tables.state(count)
        kept = count * _LINES_PER_ROW if self._wanted is None else 0
        tables.make_room(2 * count, kept)
        lines = table(s.POSTED_LINE_COLUMNS, count * _LINES_PER_ROW + 1024)
        out = s.Posted(
            table(s.HEADER_COLUMNS, 2 * count), np.empty((2 * count, 16), np.uint8), lines,
            table(s.REJECT_COLUMNS, count), np.zeros(MAX_KEY, np.uint8), np.zeros((2, 5), np.int64),
            np.zeros((3, 2), np.int64),
        )  # fmt: skip
        start = 0
        while True:
            start = post_rows(rows, state._replace(lots=tables.lots, kept=tables.kept), settled, out, start)
            if start == count:
                break
            needed = int(counts[s.C_LINES] + counts[s.C_NEED_LINES])
            out = out._replace(lines=grown(out.lines, int(counts[s.C_LINES]), needed))
            tables.make_room(int(counts[s.C_NEED_LOTS]), int(counts[s.C_NEED_KEPT]))
        if counts[s.C_JE_NO] - self._first_je_no > MAX_RUNNING:
            raise BookError(f"more than {MAX_RUNNING} entries in one task: cut the request into more tasks")
        headers, posted, rejects = (int(counts[place]) for place in (s.C_HEADERS, s.C_LINES, s.C_REJECTS))
        return Chunk(out.headers[:, :headers], out.ids[:headers], out.lines[:, :posted], out.rejects[:, :rejects])

    def _finish(self, domain: int | None) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Lots and positions of the instruments before a domain (None: of all that had rows), which are let go."""
        tables = self._tables
        domains = np.array(tables.domains, np.uint64)
        order = np.argsort(domains, kind="stable")
        seen = np.array([name in self._seen for name in tables.names], bool)
        done = seen if domain is None else seen & (domains != np.uint64(domain))
        ended = order[done[order]]
        touched = ended[tables.holdings[s.H_TOUCHED, ended] == 1]
        lots, positions = lot_rows(tables, touched), position_rows(tables, touched)
        self._seen.difference_update(tables.names[place] for place in ended)
        tables.keep(np.flatnonzero(~done), domain or 0)
        return lots, positions

    def _tally(self, chunk: Chunk, dates: Dates) -> None:
        """Add lines to the balances."""
        lines = chunk.lines
        if not lines.shape[1]:
            return
        # Few of each are there, so their combinations make a small table.
        periods = np.flatnonzero(np.bincount(dates.period))
        period = np.searchsorted(periods, dates.period)
        currencies = np.flatnonzero(np.bincount(lines[s.K_CURRENCY], minlength=c.CURRENCIES))
        places = np.zeros(c.CURRENCIES, np.int64)
        places[currencies] = np.arange(len(currencies))
        keys = period[lines[s.K_ROW]] * len(currencies) + places[lines[s.K_CURRENCY]]
        keys = keys * len(self._codes) + lines[s.K_ACCOUNT]
        size = len(periods) * len(currencies) * len(self._codes)
        found = np.arange(size)
        if size > len(keys):
            found, keys = np.unique(keys, return_inverse=True)
        sums = np.zeros((len(found), _SUMS), np.int64)
        tally(keys, lines[s.K_SIDE], lines[s.K_AMOUNT], lines[s.K_ACCOUNTED], sums)
        for place in np.flatnonzero(sums.any(axis=1)):
            rest, account = divmod(int(found[place]), len(self._codes))
            of_period, currency = divmod(rest, len(currencies))
            total = self._sums[int(periods[of_period]), account, int(currencies[currency])]
            for at in range(4):
                total[at] += int(sums[place, 2 * at]) + (int(sums[place, 2 * at + 1]) << 32)

    def _balances(self) -> pa.RecordBatch:
        codes = self._codes.to_pylist()
        rows: list[dict[str, Any]] = []
        named = ((period, codes[account], c.currency_text(currency), total)
                 for (period, account, currency), total in self._sums.items())  # fmt: skip
        for period, account, currency, total in sorted(named):
            sums = dict(zip(BALANCE.names[3:], (Decimal(f"{each}E-{AMOUNT_SCALE}") for each in total), strict=True))
            rows.append({"period": period, "account": account, "currency": currency, **sums})
        return pa.RecordBatch.from_pylist(rows, BALANCE)


def _currencies(column: pa.StringArray) -> Longs:
    """Currency numbers, -1 for null."""
    encoded = column.dictionary_encode()
    numbers = [c.currency_number(code) for code in encoded.dictionary.to_pylist()]
    indices = pc.fill_null(encoded.indices, len(numbers)).to_numpy()
    found: Longs = np.array([*numbers, -1], np.int64)[indices]
    return found
