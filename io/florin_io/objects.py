"""Files in an object store or on the local disk: read with their sha256, written only if not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ObjectStoreError(ConnectionError):
    """The store cannot be reached or refuses; the message names the object and the remedy. Trying later may help."""


class ObjectExists(ValueError):
    """Another content is stored under the name already."""


@dataclass(frozen=True)
class Found:
    """A file that was found: its URL (gs://bucket/name, or a path), bytes, and generation (0 on a disk)."""

    url: str
    size: int
    generation: int


def find(url: str) -> Found:
    """One file. Raises FileNotFoundError, ObjectStoreError."""
    raise NotImplementedError


def listing(prefix: str) -> list[Found]:
    """The files whose URL begins with `prefix` (a folder's content, on a disk), in order of their names."""
    raise NotImplementedError


def read(url: str, start: int = 0, size: int | None = None) -> bytes:
    """A file's bytes, or a part of them. Raises FileNotFoundError, ObjectStoreError."""
    raise NotImplementedError


def download(found: Found, to: Path) -> str:
    """Copy a file to the disk; its sha256. The file appears under its name only when it is whole."""
    raise NotImplementedError


def upload(source: Path | bytes, url: str, sha256: str) -> bool:
    """Store a file under a new name; False if the same content is there already.

    Raises ObjectExists if another content is there; nothing is ever replaced. Raises ObjectStoreError.
    """
    raise NotImplementedError
