"""How far a piece or task of an attempt is, as a row in the database that `status` adds up."""

from __future__ import annotations

import time
from types import TracebackType

import psycopg

from florin_io.postgres import Connection, PostgresUnreachable
from transforms.subledger_db import requests, schema
from transforms.subledger_load.model import Load

_EVERY_S = 1.0


def say_stage(connection: Connection, load: Load, stage: str) -> None:
    """Tell what is done now where no rows are counted."""
    requests.report_progress(connection, load.request.request_id, load.attempt, stage, stage=stage)


class Progress:
    """Counts of one piece or task, told at most once a second, and at the end. Where telling fails, work goes on."""

    def __init__(self, load: Load, worker: str, stage: str) -> None:
        self._load, self._worker, self._stage = load, worker, stage
        self._counts = dict.fromkeys(("rows_read", "bytes_read", "rows_posted", "rows_rejected", "rows_duplicate"), 0)
        self._told = time.monotonic()
        self._connection: Connection | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._tell()
        if self._connection is not None:
            self._connection.close()

    def add(
        self, *, read: int = 0, posted: int = 0, rejected: int = 0, duplicate: int = 0, packed: int | None = None
    ) -> None:
        """More rows; `packed`: bytes of the file that were read so far."""
        if packed is not None:
            self._counts["bytes_read"] = packed
        for name, more in (("read", read), ("posted", posted), ("rejected", rejected), ("duplicate", duplicate)):
            self._counts[f"rows_{name}"] += more
        if time.monotonic() - self._told >= _EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        load = self._load
        try:
            if self._connection is None:
                self._connection = schema.connect(load.postgres, "subledger progress", load.schema, staging=True)
            requests.report_progress(
                self._connection, load.request.request_id, load.attempt, self._worker, stage=self._stage,
                **self._counts,
            )  # fmt: skip
        except (psycopg.Error, PostgresUnreachable):
            self._connection = None
