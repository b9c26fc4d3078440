"""Files of one attempt on the local disk (or a shared one): written whole or not at all, read without copying."""

from __future__ import annotations

import mmap
import os
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Mapped:
    """A table in a mapped file. What was read of it counts as this process's memory until it is given back."""

    table: pa.Table
    _pages: mmap.mmap

    def forget(self) -> None:
        """Give the pages back; what is read again comes from the file again."""
        forget(self._pages)


def forget(pages: Any) -> None:
    """Give the pages of a mapping back, where the system can."""
    if hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def forget_array(values: np.ndarray[Any, Any]) -> None:
    """The same of a mapped array; nothing of another one."""
    pages = getattr(values, "_mmap", None)
    if pages is not None:
        forget(pages)


class Spill:
    """Batches of one schema that go to a scratch file as they come; the file is there when the last one is written.

    with Spill(scratch, "rejects/7", REJECT) as spill:
        spill.add(batch)
        name = spill.close()
    """

    def __init__(self, scratch: Scratch, name: str, schema: pa.Schema) -> None:
        self.rows = 0
        self._scratch, self._name, self._schema = scratch, name, schema
        self._open = ExitStack()
        self._writer: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        """More rows."""
        if not batch.num_rows:
            return
        if self._writer is None:
            file = self._open.enter_context(self._scratch.writing(self._name))
            self._writer = self._open.enter_context(pa.ipc.new_file(file, self._schema))
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> str | None:
        """The file's name, None if there were no rows."""
        self._open.close()
        return self._name if self.rows else None

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *told: Any) -> None:
        self._open.__exit__(*told)


class ScratchLost(RuntimeError):
    """The folder of the attempt is not there."""


@dataclass(frozen=True)
class Scratch:
    """A folder; names are relative to it."""

    folder: str

    def make(self) -> None:
        """Make the folder. Whoever starts the attempt does, and nobody else: once deleted it must stay so."""
        Path(self.folder).mkdir(parents=True)

    def path(self, name: str) -> Path:
        """Where a file is; folders in the scratch folder are made. Raises ScratchLost."""
        path = Path(self.folder) / name
        try:
            for inner in reversed(path.relative_to(self.folder).parents[:-1]):
                (Path(self.folder) / inner).mkdir(exist_ok=True)
            Path(self.folder).stat()
        except FileNotFoundError:
            raise ScratchLost(
                f"there is no scratch folder {self.folder}: the attempt is over, or this machine does not see the "
                f"folder. Remedy: give --scratch a folder that all TaskManagers and the submitting machine share."
            ) from None
        return path

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (Path(self.folder) / name).exists()

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> str:
        """An Arrow file; its name."""

        def write(file: BinaryIO) -> None:
            with pa.ipc.new_file(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)

        return self._write(name, write)

    def read_table(self, name: str) -> pa.Table:
        """An Arrow file, mapped: its pages are read when they are needed."""
        return self.map_table(name).table

    def map_table(self, name: str) -> Mapped:
        """An Arrow file, mapped, whose pages can be given back."""
        with self.path(name).open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Mapped(pa.ipc.open_file(pa.py_buffer(pages)).read_all(), pages)

    def write_array(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """A NumPy file; its name."""
        return self._write(name, lambda file: np.save(file, values, allow_pickle=False))

    def read_array(self, name: str) -> np.ndarray[Any, Any]:
        """A NumPy file, mapped."""
        found: np.ndarray[Any, Any] = np.load(self.path(name), mmap_mode="r", allow_pickle=False)
        return found

    def note(self, name: str, told: object) -> None:
        """Remember what a stage told, so that a restarted job does not do it again."""
        self._write(name, lambda file: pickle.dump(told, file))

    def noted(self, name: str) -> Any:
        """What was remembered, None if nothing was."""
        try:
            return pickle.loads(self.path(name).read_bytes())
        except FileNotFoundError:
            return None

    def add_to_count(self, name: str, who: int, count: int) -> None:
        """Count something of a piece, once however often it is told."""
        self._write(f"{name}/{who}-{count}", lambda file: None)

    def count_of_others(self, name: str, who: int) -> int:
        """The sum of what all other pieces counted so far."""
        try:
            with os.scandir(Path(self.folder) / name) as found:
                told = [one.name.split("-") for one in found if not one.name.startswith(".")]
        except FileNotFoundError:
            return 0
        return sum(int(count) for piece, count in told if piece != str(who))

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file that is there under its name when all of it is written."""
        path = self.path(name)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)

    def _write(self, name: str, write: Callable[[BinaryIO], None]) -> str:
        with self.writing(name) as file:
            write(file)
        return name


def folder_of(scratch: str, request_id: int, attempt: int) -> str:
    """The folder of an attempt under the scratch folder."""
    return str(Path(scratch) / f"request-{request_id}" / f"attempt-{attempt}")


def delete_attempts(scratch: str, request_id: int, last: int) -> None:
    """Remove what the attempts of a request left, up to the given one.

    Workers of an earlier attempt may still write: a folder is renamed before it is emptied, so that they find none.
    """
    folder = Path(scratch) / f"request-{request_id}"
    for attempt in range(1, last + 1):
        with suppress(FileNotFoundError):
            Path(folder_of(scratch, request_id, attempt)).rename(folder / f"deleted-{attempt}-{uuid.uuid4().hex[:8]}")
    for deleted in folder.glob("deleted-*"):
        shutil.rmtree(deleted, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()
