"""Writes simulated ledger files with what they must come to: compressed CSV, supplied balances and a manifest each."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import zstandard

from florin_io.frames import FrameWriter, write_index
from florin_io.objects import ObjectStore
from transforms.subledger_simulate import HEADER, Balance, Mix, Simulator, Totals, World

MANIFEST = "manifest.json"
BALANCES = "balances.csv"
COMPRESSIONS = {"zstd-frames": ".csv.zst", "zstd": ".csv.zst", "gzip": ".csv.gz"}
_GZIP_LEVEL = 6


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came: the request in hand has no manifest."""


@dataclass(frozen=True)
class Progress:
    """How the writing stands."""

    seconds: float
    rows: int
    of: int
    what: str

    def line(self) -> str:
        """One line for people."""
        rate = self.rows / max(self.seconds, 1e-9)
        left = (self.of - self.rows) / max(rate, 1e-9)
        done = f"{self.rows:,} of {self.of:,} rows at {rate:,.0f}/s, {left:.0f} s left"
        return f"{self.seconds:5.0f} s | {done} | {self.what}"


@dataclass(frozen=True)
class Order:
    """What to write: `entries` rows for each request of each world (one world per tenant and entity), in `files` files.

    `out` is a folder or gs://bucket/prefix; below it each request has `tenant/entity/request-N/`."""

    out: str
    worlds: tuple[tuple[str, World], ...]
    mix: Mix
    entries: int
    requests: int = 1
    files: int = 4
    compression: str = "zstd-frames"
    level: int = 3
    source: str = "ledger"

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression is one of {', '.join(COMPRESSIONS)}, got {self.compression}")
        if self.entries < self.files:
            raise ValueError(f"{self.entries} rows do not fill {self.files} files")
        if len({(tenant, world.entity) for tenant, world in self.worlds}) < len(self.worlds):
            raise ValueError("an entity is named twice")


@dataclass(frozen=True)
class Made:
    """A request's files: the manifest's URL, what it says, and whether it was there before."""

    manifest: str
    told: dict[str, Any]
    kept: bool


def make(order: Order, progress: Callable[[Progress], None], stop: threading.Event) -> list[Made]:
    """Write all; what is there already from the same order is kept.

    Raises ValueError (other files are there), ObjectStoreError, OSError, Interrupted.
    """
    began, done = time.monotonic(), 0
    total = order.entries * order.requests * len(order.worlds)
    made: list[Made] = []
    for tenant, world in order.worlds:
        there = [_there(order, tenant, world, number) for number in range(1, order.requests + 1)]
        if all(there):
            made += [found for found in there if found]
            done += order.entries * order.requests
            continue
        simulator = Simulator(world, order.mix)
        for number in range(1, order.requests + 1):

            def count(rows: int, what: str = f"{tenant}/{world.entity} request {number}") -> None:
                nonlocal done
                done += rows
                progress(Progress(time.monotonic() - began, done, total, what))
                if stop.is_set():
                    raise Interrupted

            made.append(_request(order, tenant, world, simulator, number, count))
    return made


class _Writer(Protocol):
    def write(self, lines: memoryview) -> None: ...

    def close(self) -> tuple[int, str]: ...


class _Frames:
    """Multi-frame zstd with its index."""

    def __init__(self, path: Path, file: BinaryIO, level: int) -> None:
        self._path = path
        self._frames = FrameWriter(file, HEADER, level=level)

    def write(self, lines: memoryview) -> None:
        self._frames.write(lines)

    def close(self) -> tuple[int, str]:
        """Bytes and sha256 of the file."""
        written = self._frames.close()
        write_index(self._path, written.index)
        return written.size, written.sha256


class _Stream:
    """One gzip or zstd stream."""

    def __init__(self, path: Path, file: BinaryIO, compression: str, level: int) -> None:
        self._sink: Any = _Hashed(file)
        # No name and no time in gzip's header, so that the same rows are the same bytes.
        self._into: Any = (
            gzip.GzipFile("", "wb", _GZIP_LEVEL, self._sink, mtime=0)
            if compression == "gzip"
            else zstandard.ZstdCompressor(level=level).stream_writer(cast(Any, self._sink), closefd=False)
        )
        self._into.write(HEADER)

    def write(self, lines: memoryview) -> None:
        self._into.write(lines)

    def close(self) -> tuple[int, str]:
        """Bytes and sha256 of the file."""
        self._into.close()
        return self._sink.size, self._sink.sha.hexdigest()


class _Hashed(io.RawIOBase):
    """A file that knows the sha256 of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.sha = file, 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha.update(data)
        self.size += len(data)
        return self._file.write(data)


def _place(order: Order, tenant: str, world: World, number: int) -> str:
    return f"{order.out.rstrip('/')}/{tenant}/{world.entity}/request-{number}"


def _made_with(order: Order, world: World, number: int) -> dict[str, Any]:
    """What decides the bytes."""
    return {
        "world": asdict(world), "mix": asdict(order.mix), "entries": order.entries, "request": number,
        "requests": order.requests, "files": order.files, "level": order.level,
    }  # fmt: skip


def _there(order: Order, tenant: str, world: World, number: int) -> Made | None:
    """The manifest of the same order; None if nothing is there. Raises ValueError if something else is."""
    url = f"{_place(order, tenant, world, number)}/{MANIFEST}"
    try:
        told: dict[str, Any] = json.loads(ObjectStore().read(url))
    except FileNotFoundError:
        return None
    same = told.get("made_with") == _made_with(order, world, number) and told["compression"] == order.compression
    if not same or told["source"] != order.source:
        raise ValueError(f"{url} is of another simulation: name another --out, or delete that folder")
    return Made(url, told, kept=True)


def _request(
    order: Order, tenant: str, world: World, simulator: Simulator, number: int, count: Callable[[int], None]
) -> Made:
    place = _place(order, tenant, world, number)
    with _folder(place) as folder:
        blocks = simulator.rows(order.entries, number, order.requests)
        files = list(_files(order, simulator, blocks, folder, count))
        balances = _balances(simulator.balances())
        (folder / BALANCES).write_bytes(balances)
        told = _manifest(order, tenant, world, number, files, balances, simulator.totals())
        if "://" in place:
            for path in sorted(folder.iterdir()):
                ObjectStore().upload(path, f"{place}/{path.name}")
        text = (json.dumps(told, indent=1) + "\n").encode()
        # Last, for only a manifest makes the files a request.
        if "://" in place:
            ObjectStore().upload(text, f"{place}/{MANIFEST}")
        else:
            (folder / MANIFEST).write_bytes(text)
    return Made(f"{place}/{MANIFEST}", told, kept=False)


@contextmanager
def _folder(place: str) -> Iterator[Path]:
    """Where files are made: the place itself, or a temporary folder if it is not on this disk."""
    if "://" in place:
        with tempfile.TemporaryDirectory(prefix="florin-ledger-") as name:
            yield Path(name)
    else:
        path = Path(place)
        path.mkdir(parents=True, exist_ok=True)
        yield path


def _files(
    order: Order, simulator: Simulator, blocks: Iterator[Any], folder: Path, count: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """Write all blocks, spread over the files in order; what the manifest says of each."""
    written = 0
    rest = next(blocks)
    for number in range(1, order.files + 1):
        until = order.entries * number // order.files
        path = folder / f"entries-{number:04d}{COMPRESSIONS[order.compression]}"
        rows = until - written
        with path.open("wb") as file:
            frames = order.compression == "zstd-frames"
            writer: _Writer = (
                _Frames(path, file, order.level) if frames else _Stream(path, file, order.compression, order.level)
            )
            while written < until:
                now = rest[: until - written]
                writer.write(simulator.lines(now))
                written += len(now)
                count(len(now))
                rest = rest[len(now) :]
                if not len(rest) and written < order.entries:
                    rest = next(blocks)
            size, sha256 = writer.close()
        yield {"name": path.name, "size": size, "sha256": sha256, "rows": rows, "compression": order.compression}
    # The simulator has last things to check.
    for _ in blocks:
        raise AssertionError("the simulator made more rows than were asked for")


def _balances(balances: list[Balance]) -> bytes:
    lines = ["account,currency,amount,accounted"]
    lines += [f"{told.account},{told.currency},{told.amount},{told.accounted}" for told in balances]
    return ("\n".join(lines) + "\n").encode()


def _manifest(
    order: Order, tenant: str, world: World, number: int, files: list[dict[str, Any]], balances: bytes, totals: Totals
) -> dict[str, Any]:
    rejected = totals.rejected
    return {
        "format": 1, "tenant": tenant, "entity": world.entity, "source": order.source, "base_currency": world.base,
        "lot_method": world.lots,
        "periods": [{"period": period, "open": is_open} for period, is_open in world.periods()],
        "compression": order.compression,
        "files": files,
        "balances": {"name": BALANCES, "sha256": hashlib.sha256(balances).hexdigest()},
        "totals": {
            "rows": totals.rows, "posted": totals.posted, "rejected": sum(rejected.values()),
            "duplicates": totals.duplicates, "entries": totals.entries, "lines": totals.lines,
            "rejected_by_column": rejected,
        },
        "made_with": _made_with(order, world, number),
    }  # fmt: skip
