"""Result files into PostgreSQL over several connections at once, each file with its manifest row."""

from __future__ import annotations

import queue
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from florin_io.pgcopy import Column, Encoder
from florin_io.postgres import TRANSIENT, Connection, patiently
from transforms.subledger import fields
from transforms.subledger_db import schema, staging
from transforms.subledger_load.model import FILE_ROWS, Load

_GIVE_UP_S = 60.0
_MOST_WAITING: Final = 3 * FILE_ROWS
"""Rows of all tables and periods that wait for a file to be full: a request of many periods has many of them."""
_SCHEMAS: Final = {
    "je_header": fields.HEADER, "je_line": fields.LINE, "lot": fields.LOT, "position": fields.POSITION,
    "balance": fields.BALANCE, "reject": fields.REJECT,
}  # fmt: skip
_TYPES: Final = {
    pa.int8(): "int2", pa.int16(): "int2", pa.int32(): "int4", pa.int64(): "int8", pa.uint64(): "int8",
    pa.bool_(): "bool", pa.date32(): "date", pa.string(): "text", fields.ID: "uuid",
}  # fmt: skip


def columns_of(parent: str) -> list[Column]:
    """The columns that a file of a table has, and their types."""
    return [Column(name, _type_of(_SCHEMAS[parent].field(name))) for name in staging.COPY_COLUMNS[parent]]


def _type_of(field: pa.Field) -> str:
    scale = fields.scale_of(field)
    return _TYPES[field.type] if scale is None else f"numeric({scale})"


@dataclass(frozen=True)
class _File:
    """Rows for one leaf, and which file of the task they are."""

    parent: str
    period: int | None
    number: int
    rows: pa.RecordBatch


def copied(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows without the memory of those they were cut from."""
    return rows.take(pa.array(np.arange(rows.num_rows, dtype=np.int32)))


class Loader:
    """Files of one task, cut as rows come in; a file waits while every connection is busy, and whoever adds rows too.

    Leave it by `finish`, or by an exception, after which what is on its way is dropped.
    """

    def __init__(self, load: Load, task: int, connections: int) -> None:
        self._load, self._task = load, task
        self._waiting: dict[tuple[str, int | None], list[pa.RecordBatch]] = defaultdict(list)
        self._rows: Counter[tuple[str, int | None]] = Counter()
        self._loaded: dict[str, tuple[int, int]] = {}
        self._files: queue.Queue[_File | None] = queue.Queue(1)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"copy-{number}", daemon=True) for number in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, parent: str, rows: pa.RecordBatch, period: int | None = None) -> None:
        """More rows of a table (of a period)."""
        if not rows.num_rows:
            return
        waiting = self._waiting[parent, period]
        waiting.append(rows)
        self._rows[parent, period] += rows.num_rows
        if (count := self._rows[parent, period]) >= FILE_ROWS:
            table = pa.Table.from_batches(waiting)
            whole = count - count % FILE_ROWS
            for start in range(0, whole, FILE_ROWS):
                self._put(parent, period, table.slice(start, FILE_ROWS))
            # The rest is of the batch that came last; what was loaded must not stay in memory with it.
            self._waiting[parent, period] = [copied(batch) for batch in table.slice(whole).to_batches()]
            self._rows[parent, period] = count - whole
        elif self._rows.total() > _MOST_WAITING:
            self._load_waiting(*max(self._rows, key=lambda key: self._rows[key]))

    def _load_waiting(self, parent: str, period: int | None) -> None:
        waiting = self._waiting.pop((parent, period), [])
        del self._rows[parent, period]
        if waiting:
            self._put(parent, period, pa.Table.from_batches(waiting))

    def finish(self) -> dict[str, tuple[int, int]]:
        """Load what waits; files and rows by table, of the whole task. Raises what a connection failed with."""
        for parent, period in list(self._waiting):
            self._load_waiting(parent, period)
        self._stop()
        if self._error is not None:
            raise self._error
        return dict(self._loaded)

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _put(self, parent: str, period: int | None, rows: pa.Table) -> None:
        files, total = self._loaded.get(parent, (0, 0))
        self._loaded[parent] = (files + 1, total + rows.num_rows)
        file = _File(parent, period, files, rows.combine_chunks().to_batches()[0])
        while self._error is None:
            try:
                self._files.put(file, timeout=0.2)
                return
            except queue.Full:
                continue
        raise self._error

    def _stop(self) -> None:
        # One for each, whichever takes it: counting by thread, two could be taken in one's place and leave none for it.
        for _ in self._threads:
            while any(thread.is_alive() for thread in self._threads):
                try:
                    self._files.put(None, timeout=0.2)
                    break
                except queue.Full:
                    continue
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _work(self) -> None:
        """What one connection does."""
        encoders: dict[str, Encoder] = {}
        connection: Connection | None = None

        def load(file: _File) -> None:
            nonlocal connection
            if connection is None:
                connection = schema.connect(self._load.postgres, "subledger load", self._load.schema, staging=True)
            try:
                self._copy(connection, encoders, file)
            except TRANSIENT:
                # The server may have taken it: the manifest row says so when we ask again.
                connection.close()
                connection = None
                raise

        try:
            while (file := self._files.get()) is not None:
                if self._error is None:
                    self._load_patiently(load, file)
        except BaseException as error:
            self._error = self._error or error
        finally:
            if connection is not None:
                connection.close()

    @staticmethod
    def _load_patiently(load, file: _File) -> None:  # type: ignore[no-untyped-def]
        patiently(lambda: load(file), give_up_s=_GIVE_UP_S)

    def _copy(self, connection: Connection, encoders: dict[str, Encoder], file: _File) -> None:
        encoder = encoders.get(file.parent)
        if encoder is None:
            encoder = encoders[file.parent] = Encoder(columns_of(file.parent))
        request, attempt = self._load.request.request_id, self._load.attempt
        key = staging.ManifestKey(request, attempt, file.parent, self._task, file.number)
        table = staging.leaf(file.parent, request, attempt, file.period)
        staging.copy_file(connection, table, encoder.encode(file.rows), key)
