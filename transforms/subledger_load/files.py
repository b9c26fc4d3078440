"""Input files: found, copied to scratch while their sha256 is taken, kept for audit, and cut into pieces."""

from __future__ import annotations

from pathlib import PurePosixPath

from florin_io import frames
from florin_io.frames import Frame, Index, InputError
from florin_io.objects import ObjectStore
from transforms.subledger.errors import SubledgerError
from transforms.subledger.parse import Header, read_header
from transforms.subledger_load.model import RUN_ROWS, FileReport, InputFile, Load, Piece
from transforms.subledger_load.scratch import Scratch

_PIECES_OF_A_FILE = 1 << 20


def take_file(load: Load, file: InputFile) -> tuple[FileReport, list[Piece]]:
    """Verify a file against the request, keep a copy, and cut it.

    Raises InputError if it is missing, not what the request says, or cannot be read; ObjectStoreError.
    """
    store = ObjectStore(load.objects)
    scratch = Scratch(load.scratch)
    known = f"files/{file.number}.report"
    told = scratch.noted(known)
    if told is not None:
        return told  # type: ignore[no-any-return]
    try:
        found = store.find(file.url)
    except FileNotFoundError as error:
        raise InputError(str(error)) from error
    if file.size is not None and found.size != file.size:
        raise InputError(f"{file.url} has {found.size:,} bytes, the request says {file.size:,}")
    name = f"files/{file.number}"
    sha256 = store.download(found, scratch.path(name))
    if file.sha256 is not None and sha256 != file.sha256:
        raise InputError(f"{file.url} has sha256 {sha256}, the request says {file.sha256}: it is another file")
    index = _index(store, file.url, found.size)
    audit_copy = _keep(load, store, scratch, name, file.url, sha256)
    pieces = _cut(load, file, scratch, name, index)
    report = FileReport(file.number, file.url, found.size, sha256, audit_copy, file.rows, len(pieces))
    scratch.note(known, (report, pieces))
    return report, pieces


def _index(store: ObjectStore, url: str, size: int) -> Index | None:
    """The index beside the file, if there is one."""
    try:
        text = store.read(url + frames.INDEX_SUFFIX)
    except FileNotFoundError:
        return None
    return Index.from_json(text, url + frames.INDEX_SUFFIX, size)


def _keep(load: Load, store: ObjectStore, scratch: Scratch, name: str, url: str, sha256: str) -> str | None:
    """Copy the file to the audit folder, once: its name there has its sha256."""
    if load.audit is None:
        return None
    entity = load.request.entity
    kept = f"{load.audit.rstrip('/')}/{entity.tenant}/{entity.name}/{sha256}/{PurePosixPath(url).name}"
    store.upload(scratch.path(name), kept, sha256)
    return kept


def _cut(load: Load, file: InputFile, scratch: Scratch, name: str, index: Index | None) -> list[Piece]:
    path = scratch.path(name)
    try:
        columns = read_header(frames.first_line(path, file.url)).columns
    except SubledgerError as error:
        raise InputError(f"{file.url}: {error}") from error
    first = file.number * _PIECES_OF_A_FILE
    if index is None or not index.frames:
        return [Piece(first, file.number, file.url, name, None, 1, columns)]
    return [
        Piece(first + number, file.number, file.url, name, part, line, columns)
        for number, (line, part) in enumerate(_groups(index))
    ]


def _groups(index: Index) -> list[tuple[int, tuple[Frame, ...]]]:
    """Frames in groups of about one run's rows, each group with the number of its first line."""
    groups: list[tuple[int, tuple[Frame, ...]]] = []
    waiting: list[Frame] = []
    line, rows = 1, 0
    for frame in index.frames:
        if waiting and rows + frame.rows > RUN_ROWS:
            groups.append((line, tuple(waiting)))
            line += rows + (line == 1)  # the header is a line, and no row
            waiting, rows = [], 0
        waiting.append(frame)
        rows += frame.rows
    return [*groups, (line, tuple(waiting))]


def header_of(piece: Piece) -> Header:
    """The piece's columns as the parser takes them."""
    return Header(piece.columns)
