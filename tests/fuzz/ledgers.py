"""The subledger: lines of ledger files, and the compressed files that hold them."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import struct
import tempfile
from pathlib import Path

import zstandard

from florin_io import frames
from florin_io.frames import Frame, FrameWriter, Index
from tests.fuzz.shared import END, Target, parts_of
from tests.unit.subledger.rows import random_rows
from transforms.subledger.errors import InputError
from transforms.subledger.fields import COLUMNS, ENTRY, REJECT
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.settings import Settings

_HEADER = ",".join(COLUMNS).encode() + b"\n"
_SETTINGS = Settings("acme", "ACME-EQ", "USD", "", ((202601, True), (202602, True)), 1)
_FILE = Path(tempfile.mkdtemp(prefix="florin-fuzz-")) / "ledger"


def lines(data: bytes) -> None:
    """A header and lines: every line is taken or rejected, and what is taken is what Arrow says it is."""
    first, newline, rest = data.partition(b"\n")
    try:
        header = read_header(first + newline)
    except InputError:
        header, rest = read_header(_HEADER), data
    rest = rest[: rest.rfind(b"\n") + 1]
    if not rest:
        return
    entries, rejects = parse_block(rest, header, 1, 2, _SETTINGS)
    entries.validate(full=True)
    rejects.validate(full=True)
    assert entries.schema.equals(ENTRY)
    assert rejects.schema.equals(REJECT)
    taken = sorted(entries.column("line").to_pylist() + rejects.column("line").to_pylist())
    assert taken == list(range(2, 2 + rest.count(b"\n"))), taken


def _rows(count: int) -> bytes:
    found = (dict.fromkeys(COLUMNS, "") | row for row in random_rows(1, count))
    return b"".join(",".join(row[name] for name in COLUMNS).encode() + b"\n" for row in found)


def _line_seeds() -> list[bytes]:
    quoted = _rows(1).replace(b"ACME-EQ", b'"ACME-EQ"').replace(b",USD,", b',"US""D",')
    return [_HEADER + _rows(12), _HEADER.replace(b"\n", b"\r\n") + _rows(2).replace(b"\n", b"\r\n"), quoted, _rows(3)]


def files(data: bytes) -> None:
    """A compressed file and the index beside it."""
    index, packed = parts_of(data, 2)
    _FILE.write_bytes(packed)
    try:
        frames.first_line(_FILE, "ledger")
        for block in frames.stream_blocks(_FILE, "ledger", block_bytes=64 * 1024):
            assert block.data.size
    except frames.InputError:
        pass
    try:
        found = Index.from_json(index, "index", len(packed)).frames
    except frames.InputError:
        # Frames whose checksums fit, so that what is behind these is tried, too.
        found = tuple(_cut(packed, index))
    try:
        for block in frames.frame_blocks(_FILE, "ledger", found, 1, block_bytes=64 * 1024):
            assert block.data.size
    except frames.InputError:
        pass


def _cut(packed: bytes, sizes: bytes) -> list[Frame]:
    made, place = [], 0
    for (size,) in struct.iter_unpack(">H", sizes[: len(sizes) // 2 * 2][:20]):
        part = packed[place : place + size]
        if not part:
            break
        rows = 1
        with contextlib.suppress(zstandard.ZstdError):
            if zstandard.frame_content_size(part) <= 1 << 20:
                text = zstandard.ZstdDecompressor().decompress(part, max_output_size=1 << 20)
                rows = text.count(b"\n") - (place == 0)
        made.append(Frame(place, len(part), rows, hashlib.sha256(part).hexdigest()))
        place += len(part)
    return made


def _file_seeds() -> list[bytes]:
    text = _HEADER + _rows(8)
    file = io.BytesIO()
    writer = FrameWriter(file, _HEADER, frame_bytes=200)
    writer.write(_rows(8))
    written = writer.close()
    sizes = b"".join(struct.pack(">H", frame.size) for frame in written.index.frames)
    return [
        written.index.to_json().encode() + END + file.getvalue(),
        sizes + END + file.getvalue(),
        END + gzip.compress(text, mtime=0),
        END + zstandard.compress(text),
        END + text,
    ]


TARGETS = {
    "ledger-lines": Target("headers and lines of ledger files", lines, _line_seeds),
    "ledger-files": Target("plain, gzip and zstd files, indexes of frames", files, _file_seeds),
}
