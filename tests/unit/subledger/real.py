"""The subledger's own core over several requests, with lists in memory where the database would be."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.unit.subledger.texts import Told, balance_text, event_text, head_text, held_text, line_text
from transforms.subledger import fields
from transforms.subledger.book import Book, Closing, Needs, Posted
from transforms.subledger.opening import Opening
from transforms.subledger.order import sort
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.rules import parse_rules
from transforms.subledger.rulesets import text_of
from transforms.subledger.settings import Settings

Rows = list[dict[str, Any]]


def csv_of(rows: list[dict[str, str]]) -> tuple[bytes, bytes]:
    """Header line and data lines of rows that are columns by name."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fields.COLUMNS, lineterminator="\n")
    writer.writerows(rows)
    return (",".join(fields.COLUMNS) + "\n").encode(), out.getvalue().encode()


class Real:
    """The books of an entity. `batch` rows are posted at once."""

    def __init__(
        self, entity: str, base: str, lots: str, periods: dict[int, bool], rules: str | None = None, batch: int = 1000
    ) -> None:
        self.entity, self.base, self.lot_method, self.periods, self.batch = entity, base, lots, periods, batch
        self.rules = text_of("standard") if rules is None else rules
        self.headers: Rows = []
        self.lines: Rows = []
        self.lots: dict[int, dict[str, Any]] = {}
        self.positions: dict[str, dict[str, Any]] = {}
        self.requests = 0

    def load(self, files: list[list[dict[str, str]]]) -> Told:
        """Post a request."""
        return self.load_texts([csv_of(rows) for rows in files])

    def load_texts(self, files: list[tuple[bytes, bytes]]) -> Told:
        """Post a request of files, each with its header line and its data lines."""
        self.requests += 1
        settings = Settings(
            "acme", self.entity, self.base, self.rules, tuple(sorted(self.periods.items())), self.requests,
            lot_method="AVERAGE" if self.lot_method == "AVERAGE" else "FIFO",
        )  # fmt: skip
        rejects: Rows = []
        batches = []
        for file, (header, data) in enumerate(files):
            entries, rejected = parse_block(pa.py_buffer(data), read_header(header), file, 2, settings)
            batches.append(entries)
            rejects += rejected.to_pylist()
        entries = pa.Table.from_batches(batches, fields.ENTRY).combine_chunks()
        entries, twice = self._without_duplicates(entries)
        rows = sort(entries.to_batches()[0]) if entries.num_rows else entries.to_batches(1)
        book = Book(settings, parse_rules(self.rules), fields.first_je_no(self.requests, 1))
        made: list[Posted | Closing] = []
        if entries.num_rows:
            for start in range(0, rows.num_rows, self.batch):
                part = rows.slice(start, self.batch)
                book.supply(self._opening(book.needs(part)))
                posted = book.post(part)
                rejects += posted.rejects.to_pylist()
                made.append(posted)
        closing = book.close()
        made.append(closing)
        return self._told(made, closing, rejects, twice)

    def _without_duplicates(self, entries: pa.Table) -> tuple[pa.Table, list[str]]:
        seen = {row["event_id"] for row in self.headers}
        keep, twice = [], []
        for place, row in enumerate(entries.select(["file", "line", "id_hi", "id_lo"]).to_pylist()):
            event = row["id_hi"].to_bytes(8, "big") + row["id_lo"].to_bytes(8, "big")
            if event in seen:
                twice.append(f"{row['file'] + 1}:{row['line']} source_id DUPLICATE")
            else:
                keep.append(place)
            seen.add(event)
        return entries.take(pa.array(keep, pa.int64())).combine_chunks(), twice

    def _opening(self, needs: Needs) -> Opening:
        """What was published of what a batch needs, as the database would find it."""
        instruments = set(needs.instruments.to_pylist())
        events = set(needs.events.to_pylist())
        own = [row for row in self.headers if row["event_id"] in events]
        numbers = {row["je_no"] for row in own}
        bought = {line["lot"] for line in self.lines if line["je_no"] in numbers and line["lot"] is not None}
        about = [row for row in self.headers if row["reference_id"] in events]
        headers = {
            row["je_no"]: row for row in [*own, *about, *(row for row in self.headers if row["je_no"] in bought)]
        }
        lines = [line for line in self.lines if line["je_no"] in numbers | bought]
        pool = self.lot_method == "AVERAGE"
        lots = {
            number: lot
            for number, lot in self.lots.items()
            if number in bought or (lot["instrument"] in instruments and (lot["quantity"] or pool))
        }
        positions = [row for name, row in self.positions.items() if name in instruments]
        return Opening(
            pa.Table.from_pylist(list(lots.values()), fields.LOT), pa.Table.from_pylist(positions, fields.POSITION),
            pa.Table.from_pylist(list(headers.values()), fields.HEADER), pa.Table.from_pylist(lines, fields.LINE),
        )  # fmt: skip

    def _told(self, made: list[Posted | Closing], closing: Closing, rejects: Rows, twice: list[str]) -> Told:
        headers = list(_rows(made, "headers"))
        lines = list(_rows(made, "lines"))
        self.headers += headers
        self.lines += lines
        self.lots |= {row["lot"]: row for row in _rows(made, "lots")}
        positions = {row["instrument"]: row for row in _rows(made, "positions")}
        self.positions |= positions
        told = Told(
            rejects=sorted(
                [f"{row['file'] + 1}:{row['line']} {row['column']} {row['kind']}" for row in rejects] + twice
            )
        )
        names = {row["je_no"]: event_text(row["source_id"], row["version"]) for row in self.headers}
        of_entry: dict[int, list[str]] = {}
        for row in lines:
            lot = None if row["lot"] is None else names[row["lot"]]
            of_entry.setdefault(row["je_no"], []).append(
                line_text(
                    "D" if row["side"] > 0 else "C", row["account"], _amount(row["amount"]), row["currency"],
                    _amount(row["accounted"]), _quantity(row["quantity"] or 0), lot,
                )
            )  # fmt: skip
        for row in headers:
            head = head_text(fields.KINDS[row["kind"] - 1], row["accounting_date"], row["late"])
            texts = [head, *sorted(of_entry.get(row["je_no"], []))]
            told.entries.setdefault(names[row["je_no"]], []).append(texts)
        for name, row in positions.items():
            money = [_amount(row[part]) for part in ("cost", "accounted", "unrealised", "realised")]
            told.held[name] = held_text(_quantity(row["quantity"]), *money)
        told.balances = sorted(
            balance_text(
                row["period"], row["account"], row["currency"],
                [row["debit"], row["credit"], row["accounted_debit"], row["accounted_credit"]],
            )
            for row in closing.balances.to_pylist()
        )  # fmt: skip
        return told


def _rows(made: list[Posted | Closing], name: str) -> Iterator[dict[str, Any]]:
    for one in made:
        yield from getattr(one, name, pa.table({})).to_pylist()


def _amount(number: int) -> Decimal:
    return Decimal(number).scaleb(-fields.AMOUNT_SCALE)


def _quantity(number: int) -> Decimal:
    return Decimal(number).scaleb(-fields.QUANTITY_SCALE)
