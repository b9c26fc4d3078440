"""The load as a Beam pipeline: files, runs, a plan, posting, publication.

    files --> pieces -> sorted runs --+                  +-> tasks: post and COPY --+
      |                               +--> plan, once ---+                          +--> close, once
      +------ what was verified ------+                  +------- the plan ---------+

Elements say where rows are; the rows lie in scratch files. Every stage may run again: it makes the same files, and
files that PostgreSQL has are not loaded twice. What only the sender of the input can put right is an element as well
(Refusal), and ends the job in good order; what is raised is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from florin_io.frames import InputError
from transforms.subledger_db import requests, schema
from transforms.subledger_db.model import Fenced
from transforms.subledger_load.close import close
from transforms.subledger_load.files import take_file
from transforms.subledger_load.model import (
    FileReport,
    InputFile,
    Load,
    Outcome,
    Overtaken,
    Piece,
    PlanReport,
    Refusal,
    Task,
    Trouble,
)
from transforms.subledger_load.plan import plan
from transforms.subledger_load.post import post_task
from transforms.subledger_load.scan import scan_piece
from transforms.subledger_load.scratch import ScratchLost

NAMESPACE = "subledger"
_TOLD = "told"


class LoadLedger(beam.PTransform):  # type: ignore[misc]
    """Loads the files of one request."""

    def __init__(self, load: Load, files: list[InputFile]) -> None:
        super().__init__()
        self._load, self._files = load, files

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[Outcome]:
        """How it ended, once."""
        load = self._load
        files = (
            pipeline
            | "Files" >> beam.Create(self._files)
            | "Spread files" >> beam.Reshuffle()
            | "Verify" >> beam.ParDo(VerifyFile(load)).with_outputs(_TOLD, main="pieces")
        )
        scanned = files.pieces | "Spread pieces" >> beam.Reshuffle() | "Scan" >> beam.ParDo(ScanPiece(load))
        planned = (files[_TOLD], scanned) | "All read" >> beam.Flatten() | "Plan" >> Once(MakePlan(load), "tasks")
        posted = planned.tasks | "Spread tasks" >> beam.Reshuffle() | "Post" >> beam.ParDo(PostTask(load))
        ended = (planned[_TOLD], posted) | "All posted" >> beam.Flatten() | "Close" >> Once(Publish(load), "outcome")
        return ended.outcome


class Once(beam.PTransform):  # type: ignore[misc]
    """A DoFn over all elements as one list."""

    def __init__(self, work: beam.DoFn, main: str) -> None:
        super().__init__()
        self._work, self._main = work, main

    def expand(self, told: beam.PCollection[Any]) -> Any:
        """What the DoFn gives."""
        return (
            told
            | "One key" >> beam.Map(lambda one: (0, one))
            | "Together" >> beam.GroupByKey()
            | "List" >> beam.MapTuple(lambda _, all: list(all))
            | "Work" >> beam.ParDo(self._work).with_outputs(_TOLD, main=self._main)
        )


_TROUBLE = (InputError, Fenced, ScratchLost)


def _trouble(load: Load, error: Exception) -> Trouble:
    """What is told instead of a report. Raises the error again if the attempt is not over, and another try may help."""
    if isinstance(error, InputError):
        return Refusal(str(error))
    if isinstance(error, ScratchLost):
        with closing(schema.connect(load.postgres, "subledger job", load.schema)) as connection:
            if requests.is_current(connection, load.request.request_id, load.attempt):
                raise error
    return Overtaken(str(error))


class VerifyFile(beam.DoFn):  # type: ignore[misc]
    """A file to its pieces; what was verified on the side."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def process(self, file: InputFile) -> Iterator[Any]:
        pieces: list[Piece] = []
        told: FileReport | Trouble
        try:
            told, pieces = take_file(self._load, file)
        except _TROUBLE as error:
            told = _trouble(self._load, error)
        yield beam.pvalue.TaggedOutput(_TOLD, told)
        yield from pieces


class ScanPiece(beam.DoFn):  # type: ignore[misc]
    """A piece to its report."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._read = Metrics.counter(NAMESPACE, "read")
        self._rejected = Metrics.counter(NAMESPACE, "rejected")

    def process(self, piece: Piece) -> Iterator[Any]:
        try:
            report = scan_piece(self._load, piece)
            self._read.inc(report.read)
            self._rejected.inc(report.rejected)
            yield report
        except _TROUBLE as error:
            yield _trouble(self._load, error)


class MakePlan(beam.DoFn):  # type: ignore[misc]
    """All reports to the tasks; the plan on the side."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def process(self, told: list[Any]) -> Iterator[Any]:
        tasks: list[Task] = []
        report: PlanReport | Trouble
        try:
            report, tasks = plan(self._load, told)
        except _TROUBLE as error:
            report = _trouble(self._load, error)
        yield beam.pvalue.TaggedOutput(_TOLD, report)
        yield from tasks


class PostTask(beam.DoFn):  # type: ignore[misc]
    """A task to its report."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._counters = {name: Metrics.counter(NAMESPACE, name) for name in ("posted", "rejected", "duplicate")}

    def process(self, task: Task) -> Iterator[Any]:
        try:
            report = post_task(self._load, task)
            self._counters["posted"].inc(report.posted)
            self._counters["rejected"].inc(report.rejected)
            self._counters["duplicate"].inc(report.duplicates)
            yield report
        except _TROUBLE as error:
            yield _trouble(self._load, error)


class Publish(beam.DoFn):  # type: ignore[misc]
    """All reports to the outcome."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def process(self, told: Iterable[Any]) -> Iterator[Outcome]:
        try:
            yield close(self._load, list(told))
        except ScratchLost as error:
            yield close(self._load, [_trouble(self._load, error)])
