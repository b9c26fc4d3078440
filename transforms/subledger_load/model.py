"""What the stages of a load know and tell each other. Elements are references: the rows lie in scratch files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from florin_io.frames import Frame
from transforms.subledger.settings import Settings
from transforms.subledger_db.model import Request

Longs = npt.NDArray[np.int64]

RUN_ROWS = 250_000
"""Rows of a sorted run: what a reader holds in memory at once."""
BLOCK_ROWS = 64_000
"""Rows that are posted at once, about."""
FILE_ROWS = 100_000
"""Rows of a result file at most."""


@dataclass(frozen=True)
class Load:
    """One attempt of a request, and where its database, object store and scratch folder are."""

    request: Request
    attempt: int
    settings: Settings
    postgres: str
    schema: str
    objects: str
    scratch: str
    audit: str | None
    parallelism: int
    connections: int
    """COPY connections of one worker."""

    @property
    def most_rejects(self) -> int | None:
        """Rejects above which the request fails whatever else is read; None where nobody counted its rows before."""
        counted = [int(file["rows"]) for file in self.request.files if file.get("rows") is not None]
        if not counted or len(counted) < len(self.request.files):
            return None
        return int(self.settings.max_reject_share * sum(counted))


@dataclass(frozen=True)
class InputFile:
    """A file to load, as the request names it; what it does not say is None."""

    number: int
    url: str
    size: int | None
    sha256: str | None
    rows: int | None


@dataclass(frozen=True)
class Piece:
    """A part of a file that one reader takes: some frames, or (None) the whole file as a stream."""

    number: int
    file: int
    name: str
    path: str
    frames: tuple[Frame, ...] | None
    first_line: int
    columns: tuple[int, ...]
    """The order of the file's columns."""


@dataclass(frozen=True)
class FileReport:
    """A file that was verified, copied and cut into pieces."""

    number: int
    url: str
    size: int
    sha256: str
    audit_copy: str | None
    rows: int | None
    """As the request says."""
    pieces: int


@dataclass(frozen=True)
class Run:
    """Checked rows of a piece in order, in a scratch file; `keys` has their event ids."""

    path: str
    keys: str
    rows: int


@dataclass(frozen=True)
class ScanReport:
    """What was found in a piece: rows read, runs of checked ones, rejects (in a scratch file, if any)."""

    piece: int
    file: int
    read: int
    rejected: int
    rejects: str | None
    runs: tuple[Run, ...]
    periods: tuple[int, ...]
    zone: tuple[int, int] | None
    """Lowest and highest order_seq."""
    stopped: bool = False
    """Whether the rest was not read, for there are too many rejects already."""


@dataclass(frozen=True)
class Task:
    """A range of the order key that one worker posts: numbers of fine ranges, from `first` up to `stop`."""

    number: int
    first: int
    stop: int
    rows: int
    runs: tuple[str, ...]
    places: str
    """Scratch file: where each fine range begins in each run."""
    duplicates: str | None
    """Scratch files: the rows that are not posted (`Marks`)."""
    has_books: bool
    """Whether the entity has published requests."""


@dataclass(frozen=True)
class PlanReport:
    """All that was read, and how it is posted."""

    files: tuple[FileReport, ...]
    scans: tuple[ScanReport, ...]
    tasks: int
    duplicates: int
    refusal: str | None = None
    """Why nothing is posted."""


@dataclass(frozen=True)
class PostReport:
    """What a task posted: rows, lines, result files and rows by table, and scratch files for the last stage."""

    task: int
    posted: int
    rejected: int
    duplicates: int
    lines: int
    loaded: Mapping[str, tuple[int, int]]
    rejects: str | None
    balances: str | None


@dataclass(frozen=True)
class Refusal:
    """Why the request fails for good."""

    message: str


@dataclass(frozen=True)
class Overtaken:
    """Another attempt took over, or the request was cancelled: nothing is to be done any more."""

    message: str


Trouble = Refusal | Overtaken


@dataclass(frozen=True)
class Outcome:
    """How a load ended: PUBLISHED, FAILED (for good), or OVERTAKEN."""

    state: str
    message: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


def row_code(file: Longs, line: Longs) -> Longs:
    """The places of rows in the request as numbers: earlier rows have lower ones."""
    return (file << 40) | line


def place_of(codes: Longs) -> tuple[Longs, Longs]:
    """File and line of each `row_code`."""
    return codes >> 40, codes & ((1 << 40) - 1)
