"""One bucket of an object store that speaks Google's protocol."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
import tenacity

from florin_io.object_errors import ObjectStoreError

with warnings.catch_warnings():
    # Of a grpc that is "too old" for what comes in 2027: Beam says which one we have, and nothing here uses it.
    warnings.simplefilter("ignore", FutureWarning)
    import google.cloud.storage as storage
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.auth.credentials import AnonymousCredentials

GOOGLE = "https://storage.googleapis.com"
_TIMEOUT_S = (5, 60)
# Retries are ours, so that all of them end after the same time.
_CALL: dict[str, Any] = {"timeout": _TIMEOUT_S, "retry": None}
_SHA = "sha256"
# What a server that is busy, starting or stopping, or a connection that broke, looks like.
_PASSING = (
    requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, api.TooManyRequests,
    api.ServerError, auth.TransportError,
)  # fmt: skip
_LASTING = (api.GoogleAPICallError, requests.RequestException, auth.GoogleAuthError)

T = TypeVar("T")


@dataclass(frozen=True)
class Bucket:
    """A bucket of the store at an address. Methods raise FileNotFoundError, ObjectStoreError after `give_up_s`."""

    address: str
    name: str
    give_up_s: float

    def find(self, name: str) -> tuple[int, int]:
        """Bytes and generation."""
        blob = self._blob(name)
        self.patiently(name, lambda: blob.reload(**_CALL))
        return int(blob.size), int(blob.generation)

    def listing(self, prefix: str) -> list[tuple[str, int, int]]:
        """Name, bytes and generation of everything whose name begins so."""

        def look() -> Iterator[tuple[str, int, int]]:
            for one in _client(self.address).list_blobs(self.name, prefix=prefix, **_CALL):
                yield str(one.name), int(one.size), int(one.generation)

        return self.patiently(prefix, lambda: list(look()))

    def read(self, name: str, start: int, size: int | None) -> bytes:
        """A part of an object; nothing behind its end."""
        blob = self._blob(name)
        end = None if size is None else start + size - 1

        def fetch() -> bytes:
            try:
                return bytes(blob.download_as_bytes(start=start, end=end, raw_download=True, checksum=None, **_CALL))
            except api.RequestRangeNotSatisfiable:
                return b""

        return self.patiently(name, fetch)

    def write_to(self, file: Any, name: str, generation: int) -> None:
        """Write one generation of an object to a file, once."""
        self._blob(name, generation).download_to_file(file, raw_download=True, checksum=None, **_CALL)

    def create(self, name: str, source: Path | bytes, sha256: str) -> bool:
        """Upload under a new name; False if the name is taken."""
        return self.patiently(name, lambda: self._create(name, source, sha256))

    def noted_sha(self, name: str) -> str | None:
        """sha256 that was noted when the object was uploaded."""
        blob = self._blob(name)
        self.patiently(name, lambda: blob.reload(**_CALL))
        found = (blob.metadata or {}).get(_SHA)
        return str(found) if found else None

    def patiently(self, name: str, call: Callable[[], T]) -> T:
        """`call()`, again while the store is away. Raises FileNotFoundError, ObjectStoreError."""
        url = f"gs://{self.name}/{name}"
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
            raise self._unusable(name, error) from error

    def _unusable(self, name: str, error: Exception) -> ObjectStoreError:
        return ObjectStoreError(
            f"gs://{self.name}/{name}: {self.address} cannot be used ({_first_line(error)}). Remedy: start the local "
            "stack (`python -m flink up`), name yours in FLORIN_OBJECTS, or look at its credentials"
        )

    def _blob(self, name: str, generation: int | None = None) -> Any:
        try:
            return _client(self.address).bucket(self.name).blob(name, generation=generation)
        except auth.GoogleAuthError as error:
            raise self._unusable(name, error) from error

    def _create(self, name: str, source: Path | bytes, sha256: str) -> bool:
        blob = self._blob(name)
        # Google's store checks the condition itself; the local one forgets it in uploads of more than 8 MB.
        if blob.exists(**_CALL):
            return False
        blob.metadata = {_SHA: sha256}
        told: dict[str, Any] = {"if_generation_match": 0, "checksum": "crc32c", **_CALL}
        try:
            if isinstance(source, bytes):
                blob.upload_from_string(source, content_type="application/octet-stream", **told)
            else:
                blob.upload_from_filename(str(source), content_type="application/octet-stream", **told)
        except api.PreconditionFailed:
            return False
        return True


@functools.cache
def _client(address: str) -> storage.Client:
    if address == GOOGLE:
        return storage.Client()
    # Only Google's own store asks who we are.
    return storage.Client("florin", AnonymousCredentials(), client_options={"api_endpoint": address})  # type: ignore[no-untyped-call]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
