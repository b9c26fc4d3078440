"""Files in an object store or on the local disk: read with their sha256, written only if not there yet.

A URL is gs://bucket/name, or a path. Which store gs:// means is said by STORAGE_EMULATOR_HOST, FLORIN_OBJECTS, the
local stack, or else is Google's own, with the credentials that its libraries find.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from florin_io import endpoints
from florin_io.object_errors import ObjectStoreError as ObjectStoreError

if TYPE_CHECKING:
    from florin_io.gcs import Bucket

_SCHEME = "gs://"
_CHUNK = 1024 * 1024
_GIVE_UP_S = 20.0


class ObjectExists(ValueError):
    """Another content is stored under the name already."""


@dataclass(frozen=True)
class Found:
    """A file that was found: its URL, bytes, and generation (0 on a disk), which changes when it is replaced."""

    url: str
    size: int
    generation: int = 0


@dataclass(frozen=True)
class ObjectStore:
    """The disk, and the object store at `address` (None: the one that the environment names).

    What passes by itself is tried again for `give_up_s` seconds; then, and at once for all else, ObjectStoreError is
    raised.
    """

    address: str | None = None
    give_up_s: float = _GIVE_UP_S

    def find(self, url: str) -> Found:
        """One file. Raises FileNotFoundError, ObjectStoreError."""
        if not url.startswith(_SCHEME):
            if Path(url).is_dir():
                raise FileNotFoundError(f"{url} is a folder, and no file; a pattern names its files: '{url}/*'")
            with _disk(url):
                return Found(url, Path(url).stat().st_size)
        bucket, name = self._remote(url)
        return Found(url, *bucket.find(name))

    def listing(self, prefix: str) -> list[Found]:
        """The files whose URL begins with `prefix`, in order of their names."""
        if not prefix.startswith(_SCHEME):
            with _disk(prefix):
                found = [Found(str(path), path.stat().st_size) for path in _files_under(prefix)]
        else:
            bucket, name = self._remote(prefix)
            found = [Found(f"{_SCHEME}{bucket.name}/{one}", *told) for one, *told in bucket.listing(name)]
        return sorted(found, key=lambda one: one.url)

    def read(self, url: str, start: int = 0, size: int | None = None) -> bytes:
        """A file's bytes, or a part of them (fewer where the file ends). Raises FileNotFoundError, ObjectStoreError."""
        if not url.startswith(_SCHEME):
            with _disk(url), open(url, "rb") as file:
                file.seek(start)
                return file.read(-1 if size is None else size)
        bucket, name = self._remote(url)
        return bucket.read(name, start, size) if size != 0 else b""

    def download(self, found: Found, to: Path) -> str:
        """Copy a file to the disk; its sha256. It appears under its name only when it is whole.

        Raises FileNotFoundError, also if the file was replaced since it was found; ObjectStoreError.
        """
        with _written(to) as part:
            if not found.url.startswith(_SCHEME):
                with _disk(found.url), open(found.url, "rb") as source, part.open("wb") as file:
                    return _copy(source, file)
            bucket, name = self._remote(found.url)

            def fetch() -> str:
                with part.open("wb") as file:
                    into = _Hashing(file)
                    bucket.write_to(into, name, found.generation)
                    return into.sha.hexdigest()

            return bucket.patiently(name, fetch)

    def upload(self, source: Path | bytes, url: str, sha256: str | None = None) -> bool:
        """Store a file under a new name; False if the same content is there already. `sha256` saves reading it twice.

        Raises ObjectExists if another content is there, for nothing is ever replaced; ObjectStoreError.
        """
        known = sha256 or _sha_of(source)
        if not url.startswith(_SCHEME):
            with _disk(url):
                made = _create(source, Path(url))
        else:
            bucket, name = self._remote(url)
            made = bucket.create(name, source, known)
        if not made and (there := self._sha_there(url)) != known:
            raise ObjectExists(
                f"{url} is there already with another content (sha256 {there[:12]}, ours {known[:12]}); nothing was "
                "replaced: choose another name or folder"
            )
        return made

    def _sha_there(self, url: str) -> str:
        """sha256 of what is stored: as noted when it was uploaded, else by reading it."""
        if not url.startswith(_SCHEME):
            with _disk(url):
                return _sha_of(Path(url))
        bucket, name = self._remote(url)
        return bucket.noted_sha(name) or hashlib.sha256(self.read(url)).hexdigest()

    def _remote(self, url: str) -> tuple[Bucket, str]:
        """The bucket of a URL, and the name in it."""
        # Importing Google's libraries takes most of a second, which commands that use files only need not wait.
        from florin_io.gcs import Bucket

        bucket, _, name = url.removeprefix(_SCHEME).partition("/")
        if not bucket:
            raise ValueError(f"{url!r} names no bucket; expected gs://bucket/name")
        return Bucket(self.address or where(), bucket, self.give_up_s), name


def where() -> str:
    """Address of the object store."""
    return os.environ.get("STORAGE_EMULATOR_HOST") or endpoints.resolve().objects


@contextmanager
def _disk(url: str) -> Iterator[None]:
    """Errors of the disk as ours; a missing file stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError as error:
        hint = "; of addresses gs://bucket/name is understood" if "://" in url else ""
        raise FileNotFoundError(f"{url}: there is no such file{hint}") from error
    except OSError as error:
        raise ObjectStoreError(f"{url} cannot be used: {error}") from error


def _files_under(prefix: str) -> Iterator[Path]:
    """Whole files whose path begins so; other folders are not looked into."""
    path = Path(prefix)
    if path.is_dir():
        tops = [path]
    elif prefix.endswith("/") or not path.parent.is_dir():
        tops = []
    else:
        tops = [top for top in path.parent.iterdir() if top.name.startswith(path.name)]
    for top in tops:
        found = top.rglob("*") if top.is_dir() else [top]
        yield from (one for one in found if one.is_file() and not one.name.startswith("."))


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return self._file.write(data)


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    into = _Hashing(target)
    while data := source.read(_CHUNK):
        into.write(data)
    return into.sha.hexdigest()


def _sha_of(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A file beside `path` that becomes it at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _create(source: Path | bytes, path: Path) -> bool:
    """Make a file, whole at once, unless one of its name is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                with source.open("rb") as read:
                    _copy(read, file)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, path)  # unlike a rename, it replaces nothing
            return True
        return False
    finally:
        part.unlink(missing_ok=True)
