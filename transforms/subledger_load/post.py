"""A task: its rows in order through the book, and what the book posts into the database as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from florin_io.postgres import patiently
from transforms.subledger import fields, order
from transforms.subledger.book import Book, Posted
from transforms.subledger.opening import Opening
from transforms.subledger.rules import parse_rules
from transforms.subledger.rules.model import PostingRules
from transforms.subledger_db import lookups, schema
from transforms.subledger_load.duplicates import Marked
from transforms.subledger_load.loader import Loader
from transforms.subledger_load.model import BLOCK_ROWS, Load, PostReport, Task
from transforms.subledger_load.progress import Progress
from transforms.subledger_load.runs import GRID, RunPart, RunReader
from transforms.subledger_load.scratch import Scratch, Spill

_GIVE_UP_S = 60.0
_NOTHING: Final = Opening.empty()


def post_task(load: Load, task: Task) -> PostReport:
    """Post a task's rows and load them. Raises Fenced if another attempt took over."""
    with (
        Progress(load, f"post {task.number}", "posting") as progress,
        Loader(load, task.number, load.connections) as to,
    ):
        return _Post(load, task, to, progress).run()


@lru_cache(maxsize=8)
def _rules_of(text: str) -> PostingRules:
    """Rules are the same in all tasks of a request."""
    return parse_rules(text)


class _Post:
    """A task being posted."""

    def __init__(self, load: Load, task: Task, loader: Loader, progress: Progress) -> None:
        self._load, self._task, self._loader, self._progress = load, task, loader, progress
        self._scratch = Scratch(load.scratch)
        self._runs = [RunReader(self._scratch, path) for path in task.runs]
        self._places = self._scratch.read_array(task.places)
        self._twice = Marked(self._scratch, task.duplicates) if task.duplicates else None
        settings = load.settings
        rules = _rules_of(settings.rules_text)
        first = fields.first_je_no(load.request.request_id, task.number)
        self._book = Book(settings, rules, first, self._wanted())
        self._rejects = Spill(self._scratch, f"rejects/post-{task.number}", fields.REJECT)
        self._posted = self._duplicates = self._lines = 0

    def run(self) -> PostReport:
        with self._rejects:
            return self._run()

    def _run(self) -> PostReport:
        for rows in self._blocks():
            if not rows.num_rows:
                continue
            self._supply(rows)
            posted = self._book.post(rows)
            self._take(posted)
            done = rows.num_rows - posted.rejects.num_rows
            self._posted += done
            self._progress.add(posted=done, rejected=posted.rejects.num_rows)
        closing = self._book.close()
        self._loader.add("lot", closing.lots)
        self._loader.add("position", closing.positions)
        loaded = self._loader.finish()
        number = self._task.number
        return PostReport(
            number, self._posted, self._rejects.rows - self._duplicates, self._duplicates, self._lines, loaded,
            self._rejects.close(),
            self._scratch.write_batches(f"balances/{number}", fields.BALANCE, [closing.balances]),
        )  # fmt: skip

    def _blocks(self) -> Iterator[pa.RecordBatch]:
        """The task's rows in order: a fine range at once, or in parts if an instrument made it large."""
        for fine in range(self._task.first, self._task.stop):
            parts = [
                run.part(int(place[fine]), int(place[fine + 1]))
                for run, place in zip(self._runs, self._places, strict=True)
                if place[fine + 1] > place[fine]
            ]
            yield from self._merged(parts)

    def _wanted(self) -> npt.NDArray[np.uint64]:
        """Event ids that the task's cancels and corrects refer to."""
        first, stop = self._task.first, self._task.stop
        return np.concatenate(
            [
                run.references(int(place[first]), int(place[stop]))
                for run, place in zip(self._runs, self._places, strict=True)
            ]
        )

    def _merged(self, parts: list[RunPart]) -> Iterator[pa.RecordBatch]:
        rows = sum(part.num_rows for part in parts)
        if 0 < rows <= 2 * BLOCK_ROWS:
            tables = [part.rows(0, part.num_rows) for part in parts]
            yield self._sorted(pa.concat_tables(tables).combine_chunks().to_batches()[0])
        elif rows:
            yield from order.merge(parts, max(BLOCK_ROWS, 2 * GRID * len(parts)), self._sorted)

    def _sorted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows in order without duplicates, which are rejected."""
        if self._twice is None:
            return order.sort(rows)
        twice = self._twice.among(rows.column("file").to_numpy().astype(np.int64), rows.column("line").to_numpy())
        if not twice.any():
            return order.sort(rows)
        dropped = order.sort(rows.filter(pa.array(twice)))
        self._rejects.add(_duplicate_rows(dropped))
        self._duplicates += dropped.num_rows
        self._progress.add(duplicate=dropped.num_rows)
        return order.sort(rows, ~twice)

    def _supply(self, rows: pa.RecordBatch) -> None:
        """Give the book what is published of the instruments and events that these rows are about."""
        needs = self._book.needs(rows)
        if not len(needs.instruments) and not len(needs.events):
            return
        if not self._task.has_books:
            self._book.supply(_NOTHING)
            return

        def look() -> Opening:
            load = self._load
            with schema.connect(load.postgres, "subledger post", load.schema) as connection:
                lots, positions = lookups.opening(connection, load.request, needs.instruments.to_pylist())
                headers, lines, more = lookups.entries(connection, load.request, needs.events.to_pylist())
            return Opening(pa.concat_tables([lots, more]), positions, headers, lines)

        self._book.supply(patiently(look, give_up_s=_GIVE_UP_S))

    def _take(self, posted: Posted) -> None:
        self._lines += posted.lines.num_rows
        for parent, rows in (("je_header", posted.headers), ("je_line", posted.lines)):
            for period, part in _by_period(rows):
                self._loader.add(parent, part, period)
        self._loader.add("lot", posted.lots)
        self._loader.add("position", posted.positions)
        self._rejects.add(posted.rejects)


def _by_period(rows: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each period, in their order."""
    periods = rows.column("period").to_numpy()
    found = np.unique(periods).tolist()
    for period in found:
        yield period, rows if len(found) == 1 else rows.filter(pa.array(periods == period))


def _duplicate_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Why they are not posted; of the row itself, the event's key."""
    count = rows.num_rows
    told = {
        "file": rows.column("file"),
        "line": rows.column("line"),
        "column": pa.array(["source_id"] * count),
        "reason": pa.array(["the event is in the request before, or published already"] * count),
        "kind": pa.array([fields.DUPLICATE] * count),
        "text": pc.binary_join_element_wise(rows.column("source_id"), rows.column("version").cast(pa.string()), "/"),
    }
    return pa.RecordBatch.from_arrays([told[name] for name in fields.REJECT.names], schema=fields.REJECT)
