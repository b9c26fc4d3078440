"""From all runs to the tasks that post them: ranges of the order key, and the rows that are there twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from florin_io.postgres import Connection
from transforms.subledger import order
from transforms.subledger_db import lookups, schema, staging
from transforms.subledger_db.model import Fenced
from transforms.subledger_load.duplicates import Marks, Words, duplicates_of
from transforms.subledger_load.model import (
    BLOCK_ROWS,
    FileReport,
    Load,
    Longs,
    Overtaken,
    PlanReport,
    Refusal,
    Run,
    ScanReport,
    Task,
    Trouble,
)  # fmt: skip
from transforms.subledger_load.progress import say_stage
from transforms.subledger_load.runs import hashes_of
from transforms.subledger_load.scan import merged_zone
from transforms.subledger_load.scratch import Scratch

TASKS, TASKS_OF_MANY, MANY_ROWS = 16, 64, 20_000_000
"""How many tasks; of the rows alone, not of the workers: entry numbers depend on it."""
_SAMPLES = 64
_WHERE = "`python -m jobs.subledger report rejects` says why"


def plan(load: Load, told: Sequence[FileReport | ScanReport | Trouble]) -> tuple[PlanReport | Trouble, list[Task]]:
    """What every file and piece told, and the tasks. Makes the attempt's tables."""
    for trouble in (Overtaken, Refusal):
        found = sorted((one for one in told if isinstance(one, trouble)), key=lambda one: one.message)
        if found:
            return found[0], []
    files = tuple(sorted((one for one in told if isinstance(one, FileReport)), key=lambda one: one.number))
    scans = tuple(sorted((one for one in told if isinstance(one, ScanReport)), key=lambda one: one.piece))
    runs = [run for scan in scans for run in scan.runs]
    refusal = _refusal(load, files, scans)
    with schema.connect(load.postgres, "subledger plan", load.schema) as connection:
        try:
            say_stage(connection, load, "planning")
            periods = {period for scan in scans for period in scan.periods}
            staging.create_staging(connection, load.request, load.attempt, periods)
        except Fenced as error:
            return Overtaken(str(error)), []
        if refusal or not runs:
            return PlanReport(files, scans, 0, 0, refusal), []
        scratch = Scratch(load.scratch)
        among = _overlapping(load, connection, scans)

        def published(low: bytes | None, high: bytes | None) -> np.ndarray:  # type: ignore[type-arg]
            return lookups.published_ids(connection, load.request, among, low, high)

        twice = Marks()
        for codes in duplicates_of([scratch.read_array(run.keys) for run in runs], published if among else None):
            twice.add(codes)
        has_books = bool(lookups.books(connection, load.request))
    tasks = _tasks(scratch, runs, twice, has_books)
    return PlanReport(files, scans, len(tasks), twice.count), tasks


def _overlapping(load: Load, connection: Connection, scans: Sequence[ScanReport]) -> list[int]:
    """Published requests that may hold some of these rows already."""
    zone = merged_zone([scan.zone for scan in scans])
    return lookups.overlapping(connection, load.request, zone) if zone else []


def _refusal(load: Load, files: Sequence[FileReport], scans: Sequence[ScanReport]) -> str | None:
    """Why the request fails, as far as reading shows it."""
    read, rejected = sum(scan.read for scan in scans), sum(scan.rejected for scan in scans)
    if any(scan.stopped for scan in scans):
        return (
            f"{rejected:,} of the {read:,} rows read are rejected, and at most {load.most_rejects:,} of all may be: "
            f"the rest was not read; {_WHERE}"
        )
    for file in files:
        found = sum(scan.read for scan in scans if scan.file == file.number)
        if file.rows is not None and found != file.rows:
            return f"{file.url} has {found:,} rows, the request says {file.rows:,}"
    return share_refusal(load, read, rejected)


def share_refusal(load: Load, read: int, rejected: int) -> str | None:
    """Why the request fails if too many of its rows are rejected."""
    most = load.settings.max_reject_share
    if rejected <= most * read:
        return None
    return f"{rejected:,} of {read:,} rows are rejected ({rejected / read:.2%}), at most {most:.2%} may be; {_WHERE}"


def _tasks(scratch: Scratch, runs: Sequence[Run], twice: Marks, has_books: bool) -> list[Task]:
    rows = sum(run.rows for run in runs)
    fine = max(1, -(-rows // BLOCK_ROWS))
    between = order.splitters(np.concatenate([_samples(hashes_of(scratch, run.path)) for run in runs]), fine)
    places = np.stack([order.positions(hashes_of(scratch, run.path), between) for run in runs])
    name = scratch.write_array("plan/places.npy", places)
    duplicates = twice.write(scratch, "plan/duplicates") if twice.count else None
    paths = tuple(run.path for run in runs)
    found: list[Task] = []
    for first, stop in _bounds(np.diff(places, axis=1).sum(axis=0)):
        count = int((places[:, stop] - places[:, first]).sum())
        found.append(Task(len(found), first, stop, count, paths, name, duplicates, has_books))
    return found


def _samples(hashes: Words) -> Words:
    """Hashes at equal distances."""
    step = max(1, BLOCK_ROWS // _SAMPLES)
    return (hashes[step // 2 :: step] if len(hashes) > step else hashes[:1]).copy()


def _bounds(sizes: Longs) -> list[tuple[int, int]]:
    """Fine ranges in groups of about equal rows; an empty group is left out."""
    before = np.concatenate([[0], np.cumsum(sizes)])
    rows = int(before[-1])
    wanted = min(len(sizes), TASKS_OF_MANY if rows >= MANY_ROWS else TASKS)
    cuts = np.searchsorted(before, np.arange(wanted + 1) * rows // wanted).tolist()
    return [(first, stop) for first, stop in itertools.pairwise(cuts) if before[stop] > before[first]]
