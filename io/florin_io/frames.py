"""Compressed text, block by block and cut at line ends: multi-frame zstd with an index, single zstd or gzip streams.

A multi-frame file is ordinary zstd (`zstd -dc` reads it) whose frames end at line ends; the index beside it
(`<file>.idx`) names each frame's place, rows and sha256, so that several readers can share the file.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import zstandard
from isal import igzip, isal_zlib

INDEX_SUFFIX = ".idx"
FRAME_BYTES = 8 * 1024 * 1024
BLOCK_BYTES = 8 * 1024 * 1024
# A frame is decompressed in one piece, so its size bounds a reader's memory.
LONGEST_FRAME = 64 * 1024 * 1024
# A line of a ledger file has some 100 bytes; one of 1 MB is no line.
LONGEST_LINE = 1024 * 1024
_FIRST_BYTES = 4096
_NEWLINE = ord("\n")
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

_gzip_reader: Any = igzip.IGzipFile
_GzipError: Any = isal_zlib.error
T = TypeVar("T")


class InputError(ValueError):
    """A file that cannot be read as what it should be; the message names it and the place."""


class Frame(NamedTuple):
    """One frame: where it is in the file (bytes), its data rows (the header line is none), sha256 of its bytes."""

    offset: int
    size: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The frames of a file in order; they cover it without gaps."""

    frames: tuple[Frame, ...]

    @property
    def rows(self) -> int:
        """Data rows of the whole file."""
        return sum(frame.rows for frame in self.frames)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(frame.size for frame in self.frames)

    def to_json(self) -> str:
        """As it is written beside the file."""
        return json.dumps({"frames": [frame._asdict() for frame in self.frames]}, indent=0) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: str, size: int) -> Index:
        """Read the index called `name` of a file of `size` bytes. Raises InputError if it does not cover the file."""
        try:
            frames = tuple(
                Frame(int(told["offset"]), int(told["size"]), int(told["rows"]), str(told["sha256"]))
                for told in json.loads(text)["frames"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{name} is no index of frames ({error!r}); write it anew, or delete it") from error
        place = 0
        for number, frame in enumerate(frames):
            if frame.offset != place or frame.size <= 0 or frame.rows < 0:
                raise InputError(f"{name}: frame {number} should begin at byte {place}, got {frame}")
            place += frame.size
        if place != size:
            raise InputError(f"{name} covers {place:,} bytes of a file of {size:,}: it belongs to another file")
        return cls(frames)


@dataclass(frozen=True)
class Written:
    """What a FrameWriter wrote: bytes, sha256 of the whole file, data rows, and the index."""

    size: int
    sha256: str
    rows: int
    index: Index


class FrameWriter:
    """Writes whole lines to a file as zstd frames of about `frame_bytes` uncompressed bytes.

        with path.open("wb") as file:
            writer = FrameWriter(file, b"a,b\\n")
            writer.write(lines)
            written = writer.close()
        write_index(path, written.index)

    `header` is the file's first line, with its newline; it is not counted as a row.
    """

    def __init__(self, file: BinaryIO, header: bytes, *, level: int = 3, frame_bytes: int = FRAME_BYTES) -> None:
        if not header.endswith(b"\n") or header.count(b"\n") != 1:
            raise ValueError(f"the header is one line with its newline, got {header[:80]!r}")
        if not 0 < frame_bytes <= LONGEST_FRAME // 2:
            raise ValueError(f"a frame has at most {LONGEST_FRAME // 2} bytes, got {frame_bytes}")
        self._file = file
        self._compress = zstandard.ZstdCompressor(level=level).compress
        self._frame_bytes = frame_bytes
        self._waiting: list[bytes] = [header]
        self._waiting_bytes = len(header)
        self._header_lines = 1
        self._frames: list[Frame] = []
        self._offset = 0
        self._sha = hashlib.sha256()

    def write(self, lines: bytes | memoryview) -> None:
        """Add whole lines, each with its newline; any number of them."""
        data = bytes(lines)
        if not data:
            return
        if not data.endswith(b"\n"):
            raise ValueError(f"what is written must end with a newline, got ...{data[-80:]!r}")
        start = 0
        while len(data) - start + self._waiting_bytes >= self._frame_bytes:
            wanted = min(len(data), start + max(1, self._frame_bytes - self._waiting_bytes))
            end = data.find(b"\n", wanted - 1) + 1
            self._add(data[start:end])
            self._end_frame()
            start = end
        self._add(data[start:])

    def close(self) -> Written:
        """Write what is left. The file itself stays open: it is the caller's."""
        if self._waiting_bytes:
            self._end_frame()
        index = Index(tuple(self._frames))
        return Written(self._offset, self._sha.hexdigest(), index.rows, index)

    def _add(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
            self._waiting_bytes += len(data)

    def _end_frame(self) -> None:
        text = b"".join(self._waiting)
        packed = self._compress(text)
        rows = text.count(b"\n") - self._header_lines
        self._header_lines = 0
        self._frames.append(Frame(self._offset, len(packed), rows, hashlib.sha256(packed).hexdigest()))
        self._sha.update(packed)
        self._file.write(packed)
        self._offset += len(packed)
        self._waiting, self._waiting_bytes = [], 0


def write_index(file: Path, index: Index) -> Path:
    """Write the index beside its file; the path it has then."""
    path = file.with_name(file.name + INDEX_SUFFIX)
    path.write_text(index.to_json(), encoding="utf-8")
    return path


class Block(NamedTuple):
    """Whole lines of a file, the number of the first one (the file's first line has number 1), and how many bytes of
    the file were read for this block and those before it."""

    data: pa.Buffer
    first_line: int
    packed: int


def form_of(path: Path, name: str) -> str:
    """`gzip`, `zstd` or `plain`, by the file's first bytes. Raises InputError if it is empty."""
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise InputError(f"{name} is empty (0 bytes)")
    return "gzip" if start.startswith(_GZIP_MAGIC) else "zstd" if start == _ZSTD_MAGIC else "plain"


def stream_blocks(path: Path, name: str, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a file that is read from its beginning to its end, whatever its form.

    `name` is what errors call the file. Raises InputError where it is corrupt, truncated or no text in lines.
    """
    opened = _open(path, form_of(path, name))
    carry = b""
    line = 1
    try:
        while True:
            text = pa.allocate_buffer(block_bytes + LONGEST_LINE, resizable=True)
            into = memoryview(text).cast("B")
            into[: len(carry)] = carry
            filled = _fill(opened, into, len(carry), block_bytes, name)
            last = filled < block_bytes
            end = filled if last else _line_end(into, filled, len(carry), name, line)
            carry = bytes(into[end:filled])
            if end:
                block = text.slice(0, end)
                yield Block(block, line, opened.raw.tell())
                line += _lines(block)
            if last:
                return
    finally:
        opened.raw.close()


def frame_blocks(
    path: Path, name: str, frames: Sequence[Frame], first_line: int, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """The blocks of some frames that follow each other; `first_line` is the first one's number in the file.

    Raises InputError if a frame's bytes, rows or line ends are not what the index says.
    """
    waiting: list[bytes] = []
    line, packed = first_line, 0
    decompressor = zstandard.ZstdDecompressor()
    with path.open("rb") as file:
        for frame in frames:
            waiting.append(_frame_text(file, name, frame, decompressor, with_header=frame.offset == 0))
            packed += frame.size
            if sum(map(len, waiting)) >= block_bytes:
                data = pa.py_buffer(waiting[0] if len(waiting) == 1 else b"".join(waiting))
                waiting = []
                yield Block(data, line, packed)
                line += _lines(data)
    if any(waiting):
        yield Block(pa.py_buffer(b"".join(waiting)), line, packed)


def first_line(path: Path, name: str) -> bytes:
    """The file's first line with its newline, decompressed. Raises InputError."""
    opened = _open(path, form_of(path, name))
    try:
        text = bytearray(LONGEST_LINE)
        filled = 0
        for wanted in range(_FIRST_BYTES, LONGEST_LINE + 1, _FIRST_BYTES):
            filled = _fill(opened, memoryview(text), filled, wanted, name)
            end = text.find(b"\n", 0, filled) + 1
            if end or filled < wanted:
                return bytes(text[: end or filled])
        raise InputError(f"{name}: its first line does not end within {LONGEST_LINE:,} bytes: this is no CSV file")
    finally:
        opened.raw.close()


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The same items, made by a thread that is at most `depth` items ahead; what it raises is raised here."""
    ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
    stop = threading.Event()

    def put(told: tuple[T | None, BaseException | None, bool]) -> None:
        while not stop.is_set():
            try:
                ready.put(told, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stop.is_set():
                    return
            put((None, None, True))
        except BaseException as error:
            put((None, error, True))

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while True:
            item, error, done = ready.get()
            if error is not None:
                raise error
            if done:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        maker.join()


class _Opened(NamedTuple):
    """A decompressing reader, and the file below it, whose place tells how far it came."""

    readinto: Callable[[memoryview], int | None]
    raw: Any


def _open(path: Path, form: str) -> _Opened:
    if form == "gzip":
        raw = path.open("rb")
        return _Opened(_gzip_reader(fileobj=raw, mode="rb").readinto, raw)
    file = pa.OSFile(str(path), "rb")
    if form == "zstd":
        return _Opened(pa.CompressedInputStream(file, "zstd").readinto, file)
    return _Opened(file.readinto, file)


def _fill(opened: _Opened, into: memoryview, start: int, end: int, name: str) -> int:
    """Read until `into` is full up to `end` or the file ends; how far it is filled."""
    try:
        while start < end:
            got = opened.readinto(into[start:end])
            if not got:
                break
            start += got
    except EOFError as error:
        raise InputError(f"{name} is truncated: its data end at byte {opened.raw.tell():,}, in mid-stream") from error
    except (OSError, _GzipError) as error:
        what = "truncated" if "runcated" in str(error) else "corrupt"
        raise InputError(f"{name} is {what} at or before byte {opened.raw.tell():,} ({error})") from error
    return start


def _line_end(text: memoryview, filled: int, carried: int, name: str, line: int) -> int:
    """The place behind the last newline."""
    tail = bytes(text[max(0, filled - LONGEST_LINE) : filled])
    end = tail.rfind(b"\n") + 1
    if not end:
        raise InputError(f"{name}: after line {line:,} a line does not end within {LONGEST_LINE:,} bytes")
    return filled - len(tail) + end


def _lines(data: pa.Buffer) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))


def _frame_text(
    file: BinaryIO, name: str, frame: Frame, decompressor: zstandard.ZstdDecompressor, *, with_header: bool
) -> bytes:
    file.seek(frame.offset)
    packed = file.read(frame.size)
    place = f"{name}: the frame at byte {frame.offset:,}"
    if hashlib.sha256(packed).hexdigest() != frame.sha256:
        raise InputError(f"{place} has another sha256 than its index says: file or index is damaged")
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= LONGEST_FRAME:
            raise InputError(
                f"{place} has {size:,} bytes uncompressed (-1: unknown); frames have at most {LONGEST_FRAME:,}, "
                "known from their header: write smaller ones, or delete the index so that the file is read as a stream"
            )
        text = bytes(decompressor.decompress(packed))
    except zstandard.ZstdError as error:
        raise InputError(f"{place} is corrupt ({error})") from error
    rows = _lines(pa.py_buffer(text)) - with_header
    if rows != frame.rows or not text.endswith(b"\n"):
        raise InputError(f"{place} has {rows:,} whole lines, its index says {frame.rows:,}: write the index anew")
    return text
