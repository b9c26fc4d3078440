"""The bytes of a snapshot cell in Beam state: what wrote it, for which log, and where in the log it stands.

Layout (big endian): magic `FLRN`, format version u8, header length u16, header (JSON), CRC-32 of header and payload
u32, payload. To Flink all of it is opaque, so everything needed to refuse a wrong cell stands inside it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import msgspec

MAGIC = b"FLRN"
FORMAT = 1
_PREFIX = struct.Struct(">4sBH")
_CRC = struct.Struct(">I")
_NOTE = re.compile(r"(\S+)/(\d+)(?: since (\d+))?(?: |$)")
_DAMAGED = "restore another savepoint"


class CellError(ValueError):
    """A cell that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class CellHeader:
    """What a cell says of itself.

    `offset` is the next record of the log that is not in the cell, `clock` the log time in ms it was written at;
    `group` names the consumer group whose committed offset says what was already emitted.
    """

    core: str
    version: int
    group: str
    topic: str
    partition: int
    partitions: int
    offset: int
    clock: int


_header = msgspec.json.Decoder(CellHeader).decode


def encode(header: CellHeader, payload: bytes) -> bytes:
    """The cell's bytes."""
    text = json.dumps(asdict(header), separators=(",", ":")).encode()
    crc = zlib.crc32(payload, zlib.crc32(text))
    return b"".join((_PREFIX.pack(MAGIC, FORMAT, len(text)), text, _CRC.pack(crc), payload))


def decode(cell: bytes) -> tuple[CellHeader, bytes]:
    """Header and payload. Raises CellError for damaged bytes or an unknown format version."""
    if len(cell) < _PREFIX.size:
        raise CellError(f"snapshot cell of {len(cell)} bytes is too short to be one; {_DAMAGED}")
    magic, version, length = _PREFIX.unpack_from(cell)
    if magic != MAGIC:
        raise CellError(f"snapshot cell starts with {magic!r} instead of {MAGIC!r}: it was not written by Florin")
    if version != FORMAT:
        raise CellError(
            f"snapshot cell has format version {version}, this program reads {FORMAT}: restore it with the "
            "release that "
            "wrote it, or start from a savepoint of this release"
        )
    start = _PREFIX.size + length + _CRC.size
    text = cell[_PREFIX.size : _PREFIX.size + length]
    payload = cell[start:]
    if len(cell) < start or _CRC.unpack_from(cell, start - _CRC.size)[0] != zlib.crc32(payload, zlib.crc32(text)):
        raise CellError(f"snapshot cell is damaged (checksum differs); {_DAMAGED}")
    try:
        return _header(text), payload
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CellError(f"snapshot cell has a header that cannot be read ({error}); {_DAMAGED}") from error


def check(header: CellHeader, expected: CellHeader, emitted: int) -> None:
    """Refuse a cell that belongs to another job or log.

    `expected` carries what the running shard is (version, offset and clock are not compared); `emitted` is the
    committed offset: records below it have been emitted already. Raises CellError.
    """
    where = f"{expected.topic} partition {expected.partition}"
    if header.core != expected.core:
        raise CellError(f"{where}: the snapshot is of core {header.core!r}, the job runs {expected.core!r}")
    if header.group != expected.group:
        raise CellError(
            f"{where}: the snapshot belongs to group {header.group!r}, the job runs as {expected.group!r}; "
            "under another group "
            "everything would be emitted again. Give the job its old --job_name"
        )
    log = (header.topic, header.partition, header.partitions)
    if log != (expected.topic, expected.partition, expected.partitions):
        raise CellError(
            f"{where} of {expected.partitions}: the snapshot is of {header.topic} partition {header.partition} of "
            f"{header.partitions}; the number of partitions is fixed for the life of a job"
        )
    if header.offset > emitted:
        raise CellError(
            f"{where}: the snapshot stands at offset {header.offset}, but group {header.group!r} has committed "
            f"only {emitted}: "
            "the group's offsets were reset or belong to another cluster; restore them before starting"
        )


@dataclass(frozen=True)
class Emitter:
    """Who emitted the records below a committed offset; its text stands beside the offset in Kafka.

    `since` is the offset from which on that version decided every record; None where an older release did not say.
    """

    core: str
    version: int
    since: int | None = None

    def __str__(self) -> str:
        name = f"{self.core}/{self.version}"
        return name if self.since is None else f"{name} since {self.since}"

    @classmethod
    def of(cls, note: str) -> Emitter | None:
        """The emitter that a note names, whatever else it says; None if it names none."""
        found = _NOTE.match(note)
        if found is None:
            return None
        core, version, since = found.groups()
        return cls(core, int(version), None if since is None else int(since))


def check_version(
    versions: Iterable[int], expected: CellHeader, resumes: int, emitted: int, emitter: Emitter | None
) -> Emitter:
    """Refuse a replay of emitted records by another version of the core than decided them; who emits from now on.

    `versions` are those of all cells of a snapshot. One of an older version is no harm if the shard `resumes` where
    that one had stopped, which is where `emitter`, as read beside the committed offset, began. Raises CellError.
    """
    own = Emitter(expected.core, expected.version, None if emitted else 0)
    other, since = "another version", own.since
    if emitter is not None and (emitter.core, emitter.version) != (own.core, own.version):
        other, since = f"version {emitter.version}", emitted
    elif emitter is not None and emitter.since is not None:
        since = emitter.since
    elif others := sorted(set(versions) - {expected.version}):
        other, since = f"version {others[-1]}", emitted
    if since is not None and resumes < since:
        where = f"{expected.topic} partition {expected.partition}"
        raise CellError(
            f"{where}: records {resumes} to {since - 1} were emitted by {other} of the core and would be replayed by "
            f"version {expected.version}. Restore this savepoint with the release that emitted them, then change "
            "releases with `python -m flink savepoint JOB --for-upgrade`, which stops every shard at a control record "
            "first; or restore a younger savepoint"
        )
    return replace(own, since=since)
