"""Rows for the subledger's benchmarks: simulated ledger text, and what the subledger's core makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from transforms.subledger import fields
from transforms.subledger.book import Book
from transforms.subledger.opening import Opening
from transforms.subledger.order import InMemory, merge, sort
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.rules import parse_rules
from transforms.subledger.rulesets import text_of
from transforms.subledger.settings import Settings
from transforms.subledger_load.loader import columns_of
from transforms.subledger_load.model import BLOCK_ROWS, FILE_ROWS, RUN_ROWS
from transforms.subledger_load.runs import GRID
from transforms.subledger_simulate import HEADER, Mix, Simulator, World

WORLD = World()
CLEAN = Mix(duplicates=0)
"""The core alone knows no duplicates: they are found between its steps."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Made:
    """Header and line rows that the core made, in files as they are loaded; seconds of each step on one core."""

    entries: int
    headers: list[pa.RecordBatch]
    lines: list[pa.RecordBatch]
    seconds: dict[str, float]


def ledger_text(rows: int) -> list[bytes]:
    """Simulated rows as blocks of CSV, without header."""
    simulator = Simulator(WORLD, CLEAN)
    return [bytes(simulator.lines(block)) for block in simulator.rows(rows)]


def settings() -> Settings:
    """Of the request that the benchmarks post."""
    periods = tuple(WORLD.periods())
    return Settings("bench", WORLD.entity, WORLD.base, text_of("standard"), periods, 1, max_reject_share=1.0)


def make(text: list[bytes]) -> Made:
    """Everything between reading and COPY, on one core: parse and check, sort, merge, post."""
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[..., _T], *arguments: Any) -> _T:
        began = time.perf_counter()
        found = work(*arguments)
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - began
        return found

    told, header = settings(), read_header(HEADER)
    parsed, line = [], 2
    for block in text:
        parsed.append(timed("parse", parse_block, block, header, 0, line, told)[0])
        line += block.count(b"\n")
    runs = [timed("sort", sort, batch) for batch in _of_rows(parsed, fields.ENTRY, RUN_ROWS)]
    book = Book(told, parse_rules(told.rules_text), fields.first_je_no(1, 0))
    nothing = Opening.empty()
    headers, lines = [], []
    merged = merge(timed("merge", lambda: [InMemory(run, GRID) for run in runs]), BLOCK_ROWS)
    while (batch := timed("merge", next, merged, None)) is not None:
        book.needs(batch)
        book.supply(nothing)
        posted = timed("post", book.post, batch)
        headers.append(posted.headers)
        lines.append(posted.lines)
    timed("post", book.close)
    entries = sum(batch.num_rows for batch in parsed)
    return Made(
        entries,
        list(_of_rows(headers, fields.HEADER, FILE_ROWS)),
        list(_of_rows(lines, fields.LINE, FILE_ROWS)),
        seconds,
    )


def _of_rows(batches: list[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of so many."""
    table = pa.Table.from_batches(batches, schema)
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows).combine_chunks().to_batches()[0]


def table_sql(name: str, parent: str) -> str:
    """SQL of a plain table of the columns that are loaded, typed as the subledger's."""
    types = {"numeric(4)": "numeric(18, 4)", "numeric(8)": "numeric(18, 8)"}
    columns = ", ".join(f'"{column.name}" {types.get(column.type, column.type)}' for column in columns_of(parent))
    return f"CREATE TABLE {name} ({columns})"
