"""Files in an object store or on the local disk: read with their sha256, written only if not there yet.

A URL is gs://bucket/name, or a path. Which store gs:// means is said by STORAGE_EMULATOR_HOST, FLORIN_OBJECTS, the
local stack, or else is Google's own, with the credentials that its libraries find.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import requests
import tenacity

from florin_io import endpoints

with warnings.catch_warnings():
    # Of a grpc that is "too old" for what comes in 2027: Beam says which one we have, and nothing here uses it.
    warnings.simplefilter("ignore", FutureWarning)
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

GOOGLE = "https://storage.googleapis.com"
_SCHEME = "gs://"
_CHUNK = 1024 * 1024
_TIMEOUT_S = (5, 60)
_GIVE_UP_S = 20.0
_SHA = "sha256"
# What a server that is busy, starting or stopping, or a connection that broke, looks like.
_PASSING = (
    requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, api.TooManyRequests,
    api.ServerError, auth.TransportError,
)  # fmt: skip
_LASTING = (api.GoogleAPICallError, requests.RequestException, auth.GoogleAuthError)

T = TypeVar("T")


class ObjectStoreError(ConnectionError):
    """The store or disk cannot be reached or refuses; the message names the file and the remedy."""


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
            with _disk(url):
                return Found(url, Path(url).stat().st_size)
        blob = self._blob(url)
        self._patiently(url, lambda: blob.reload(timeout=_TIMEOUT_S, retry=None))
        return Found(url, int(blob.size), int(blob.generation))

    def listing(self, prefix: str) -> list[Found]:
        """The files whose URL begins with `prefix`, in order of their names."""
        if not prefix.startswith(_SCHEME):
            with _disk(prefix):
                top = Path(prefix) if Path(prefix).is_dir() else Path(prefix).parent
                paths = [path for path in top.rglob("*") if path.is_file() and not path.name.startswith(".")]
                found = [Found(str(path), path.stat().st_size) for path in paths if str(path).startswith(prefix)]
        else:
            bucket, name = _split(prefix)

            def look() -> list[Found]:
                blobs = self._client().list_blobs(bucket, prefix=name, timeout=_TIMEOUT_S, retry=None)
                return [Found(f"{_SCHEME}{bucket}/{one.name}", int(one.size), int(one.generation)) for one in blobs]

            found = self._patiently(prefix, look)
        return sorted(found, key=lambda one: one.url)

    def read(self, url: str, start: int = 0, size: int | None = None) -> bytes:
        """A file's bytes, or a part of them (fewer where the file ends). Raises FileNotFoundError, ObjectStoreError."""
        if not url.startswith(_SCHEME):
            with _disk(url), open(url, "rb") as file:
                file.seek(start)
                return file.read(-1 if size is None else size)
        if size == 0:
            return b""
        blob = self._blob(url)
        end = None if size is None else start + size - 1

        def fetch() -> bytes:
            try:
                got = blob.download_as_bytes(
                    start=start, end=end, raw_download=True, timeout=_TIMEOUT_S, retry=None, checksum=None
                )
            except api.RequestRangeNotSatisfiable:
                return b""
            return bytes(got)

        return self._patiently(url, fetch)

    def download(self, found: Found, to: Path) -> str:
        """Copy a file to the disk; its sha256. It appears under its name only when it is whole.

        Raises FileNotFoundError, also if the file was replaced since it was found; ObjectStoreError.
        """
        with _written(to) as part:
            if not found.url.startswith(_SCHEME):
                with _disk(found.url), open(found.url, "rb") as source, part.open("wb") as file:
                    return _copy(source, file)
            blob = self._blob(found.url, found.generation)

            def fetch() -> str:
                with part.open("wb") as file:
                    into = _Hashing(file)
                    blob.download_to_file(
                        into, raw_download=True, timeout=_TIMEOUT_S, retry=None,
                        checksum=None,
                    )  # fmt: skip
                    return into.sha.hexdigest()

            return self._patiently(found.url, fetch)

    def upload(self, source: Path | bytes, url: str, sha256: str | None = None) -> bool:
        """Store a file under a new name; False if the same content is there already. `sha256` saves reading it twice.

        Raises ObjectExists if another content is there, for nothing is ever replaced; ObjectStoreError.
        """
        known = sha256 or _sha_of(source)
        if not url.startswith(_SCHEME):
            with _disk(url):
                made = _create(source, Path(url))
        else:
            made = self._patiently(url, lambda: self._upload(source, url, known))
        if not made and (there := self._sha_there(url)) != known:
            raise ObjectExists(
                f"{url} is there already with another content (sha256 {there[:12]}, ours {known[:12]}); nothing was "
                "replaced: choose another name or folder"
            )
        return made

    def _upload(self, source: Path | bytes, url: str, sha256: str) -> bool:
        blob = self._blob(url)
        # Google's store checks the condition itself; the local one forgets it in uploads of more than 8 MB.
        if blob.exists(timeout=_TIMEOUT_S, retry=None):
            return False
        blob.metadata = {_SHA: sha256}
        told: dict[str, Any] = {"if_generation_match": 0, "timeout": _TIMEOUT_S, "retry": None, "checksum": "crc32c"}
        try:
            if isinstance(source, bytes):
                blob.upload_from_string(source, content_type="application/octet-stream", **told)
            else:
                blob.upload_from_filename(str(source), content_type="application/octet-stream", **told)
        except api.PreconditionFailed:
            return False
        return True

    def _sha_there(self, url: str) -> str:
        """sha256 of what is stored: as noted when it was uploaded, else by reading it."""
        if not url.startswith(_SCHEME):
            with _disk(url):
                return _sha_of(Path(url))
        blob = self._blob(url)
        self._patiently(url, lambda: blob.reload(timeout=_TIMEOUT_S, retry=None))
        noted = (blob.metadata or {}).get(_SHA)
        return str(noted) if noted else hashlib.sha256(self.read(url)).hexdigest()

    def _client(self) -> storage.Client:
        return _client(self.address or where())

    def _blob(self, url: str, generation: int | None = None) -> Any:
        bucket, name = _split(url)
        return self._client().bucket(bucket).blob(name, generation=generation)

    def _patiently(self, url: str, call: Callable[[], T]) -> T:
        """`call()`, again while the store is away. Raises FileNotFoundError, ObjectStoreError."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PASSING),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
            stop=tenacity.stop_after_delay(self.give_up_s),
            reraise=True,
        )
        try:
            return retrying(call)
        except (api.NotFound, api.PreconditionFailed) as error:
            raise FileNotFoundError(
                f"{url}: there is no such object, or it was replaced meanwhile ({error})"
            ) from error
        except _LASTING as error:
            raise ObjectStoreError(
                f"{url}: {self.address or where()} cannot be used ({_first_line(error)}). Remedy: start the local "
                "stack (`python -m flink up`), name yours in FLORIN_OBJECTS, or look at its credentials"
            ) from error


def where() -> str:
    """Address of the object store."""
    return os.environ.get("STORAGE_EMULATOR_HOST") or endpoints.resolve().objects


@functools.cache
def _client(address: str) -> storage.Client:
    if address == GOOGLE:
        return storage.Client()
    # Only Google's own store asks who we are.
    return storage.Client("florin", AnonymousCredentials(), client_options={"api_endpoint": address})  # type: ignore[no-untyped-call]


def _split(url: str) -> tuple[str, str]:
    bucket, _, name = url.removeprefix(_SCHEME).partition("/")
    if not bucket:
        raise ValueError(f"{url!r} names no bucket; expected gs://bucket/name")
    return bucket, name


@contextmanager
def _disk(url: str) -> Iterator[None]:
    """Errors of the disk as ours; a missing file stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{url}: there is no such file") from error
    except OSError as error:
        raise ObjectStoreError(f"{url} cannot be used: {error}") from error


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


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
