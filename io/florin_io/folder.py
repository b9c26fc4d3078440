"""A folder of files on the local disk or in an object store: read whole, written so that a file is there or is not."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

_CHUNK = 16 * 1024 * 1024


class FolderUnreachable(ConnectionError):
    """The folder cannot be read or written; the message says why."""


@dataclass(frozen=True)
class Folder:
    """Files under `where`: a local path, or a URL that Beam has a file system for (gs://bucket/path).

    Any method raises FolderUnreachable where access is refused or the file system is not installed.
    """

    where: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disk."""
        return "://" not in self.where

    def path(self, name: str) -> str:
        """A file's full path."""
        return f"{self.where.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if it is not there."""
        try:
            if self.is_local:
                return Path(self.path(name)).stat().st_size
            files = FileSystems.match([self.path(name)])[0].metadata_list  # type: ignore[no-untyped-call]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, BeamIOError) as error:
            raise self._unreachable(error) from error
        return int(files[0].size_in_bytes) if files else None

    def read(self, name: str) -> pa.Buffer:
        """A file's contents; a local one is mapped, not copied. Raises FileNotFoundError."""
        path = self.path(name)
        if self.size(name) is None:
            raise FileNotFoundError(path)
        try:
            if not self.is_local:
                with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                    return pa.py_buffer(b"".join(iter(lambda: file.read(_CHUNK), b"")))
            # A file of no bytes cannot be mapped.
            with pa.memory_map(path) if self.size(name) else pa.OSFile(path) as mapped:
                return mapped.read_buffer()
        except (OSError, ValueError, BeamIOError) as error:
            raise self._unreachable(error) from error

    def write(self, name: str, data: pa.Buffer | bytes) -> None:
        """Make or replace a file. It appears under its name only when it is whole and on disk."""
        try:
            if self.is_local:
                self._write_local(Path(self.path(name)), data)
                return
            # An object store shows an object only when all of it has been taken.
            with FileSystems.create(self.path(name), compression_type=CompressionTypes.UNCOMPRESSED) as file:
                file.write(memoryview(data))
        except (OSError, ValueError, BeamIOError) as error:
            raise self._unreachable(error) from error

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.size(name) is None:
            return
        try:
            if self.is_local:
                Path(self.path(name)).unlink(missing_ok=True)
            else:
                FileSystems.delete([self.path(name)])  # type: ignore[no-untyped-call]
        except (OSError, ValueError, BeamIOError) as error:
            raise self._unreachable(error) from error

    def _write_local(self, path: Path, data: pa.Buffer | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            with part.open("wb") as file:
                file.write(memoryview(data))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _unreachable(self, error: Exception) -> FolderUnreachable:
        return FolderUnreachable(f"{self.where} cannot be used: {error}")
