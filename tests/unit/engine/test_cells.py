"""Snapshot cells: what they say of themselves, and what is refused."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.cells import FORMAT, MAGIC, CellError, CellHeader, Emitter, check, check_version, decode, encode

pytestmark = pytest.mark.unit
HEADER = CellHeader("transfer", 1, "florin-transfer", "transfer-log", 2, 4, 1000, 1_767_225_600_000)


@given(st.binary(max_size=2000), st.integers(0, 2**62), st.integers(0, 2**62))
def test_a_cell_comes_back_as_it_was_written(payload: bytes, offset: int, clock: int) -> None:
    header = dataclasses.replace(HEADER, offset=offset, clock=clock)
    assert decode(encode(header, payload)) == (header, payload)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_any_changed_byte_is_refused(payload: bytes, data: st.DataObject) -> None:
    cell = bytearray(encode(HEADER, payload))
    at = data.draw(st.integers(0, len(cell) - 1))
    cell[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((CellError, ValueError)):
        decode(bytes(cell))


@given(st.integers(0, 200))
def test_a_truncated_cell_is_refused(length: int) -> None:
    cell = encode(HEADER, b"payload")
    if length < len(cell):
        with pytest.raises(CellError):
            decode(cell[:length])


def test_an_unknown_format_version_names_both_versions_and_the_remedy() -> None:
    cell = bytearray(encode(HEADER, b"payload"))
    struct.pack_into(">4sB", cell, 0, MAGIC, FORMAT + 1)
    with pytest.raises(
        CellError, match=rf"format version {FORMAT + 1}, this program reads {FORMAT}.*release that wrote it"
    ):
        decode(bytes(cell))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core": "cards"}, "core 'cards', the job runs 'transfer'"),
        ({"group": "florin-other"}, "belongs to group 'florin-other'.*old --job_name"),
        ({"topic": "other-log"}, "is of other-log partition 2 of 4"),
        ({"partition": 3}, "partition 3 of 4"),
        ({"partitions": 8}, "partition 2 of 8.*fixed for the life of a job"),
        ({"offset": 1001}, "stands at offset 1001.*committed only 1000"),
    ],
)
def test_a_cell_of_another_job_or_log_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CellError, match=f"(?s){message}"):
        check(dataclasses.replace(HEADER, **change), HEADER, emitted=1000)


def test_a_cell_behind_the_committed_offset_is_replayed_by_the_same_version() -> None:
    check(dataclasses.replace(HEADER, offset=10), HEADER, emitted=1000)


OWN = Emitter("transfer", 1)


def test_another_version_goes_on_where_every_shard_stopped() -> None:
    for emitter in (None, Emitter("transfer", 0), Emitter("transfer", 0, 10)):
        assert check_version([0, 0], HEADER, 1000, 1000, emitter) == Emitter("transfer", 1, 1000)


def test_cells_that_older_versions_wrote_and_none_changed_since_do_not_hinder_an_upgrade() -> None:
    check(dataclasses.replace(HEADER, version=0, offset=10), HEADER, emitted=1000)
    check_version([0, HEADER.version, 0], HEADER, 1000, 1000, Emitter("transfer", 0, 0))


@pytest.mark.parametrize(
    ("versions", "emitter", "told"),
    [
        ([1, 2], OWN, "records 999 to 999 were emitted by version 2 of the core"),
        ([1, 2], None, "records 999 to 999 were emitted by version 2 of the core"),
        ([1, 1], Emitter("transfer", 2, 5), "records 999 to 999 were emitted by version 2 of the core"),
        ([1, 1], Emitter("transfer", 1, 1000), "records 999 to 999 were emitted by another version of the core"),
        ([], Emitter("transfer", 1, 1000), "records 999 to 999 were emitted by another version of the core"),
    ],
)
def test_another_version_may_not_replay_what_was_emitted(
    versions: list[int], emitter: Emitter | None, told: str
) -> None:
    with pytest.raises(CellError, match=f"{told} and would be replayed by version 1.*--for-upgrade"):
        check_version(versions, HEADER, 999, 1000, emitter)


@pytest.mark.parametrize(("versions", "since"), [([1], None), ([1, 0], 999), ([0], 999), ([], 0)])
def test_a_version_replays_what_it_emitted_itself(versions: list[int], since: int | None) -> None:
    emitter = Emitter("transfer", 1, since)
    assert check_version(versions, HEADER, 999, 1000, emitter) == emitter


def test_the_first_start_decides_from_the_beginning() -> None:
    assert check_version([], HEADER, 0, 0, None) == Emitter("transfer", 1, 0)


@pytest.mark.parametrize("emitter", [OWN, Emitter("transfer-sequencer", 12, 345)])
@pytest.mark.parametrize("more", ["", " paused"])
def test_the_note_beside_an_offset_tells_who_emitted(emitter: Emitter, more: str) -> None:
    assert Emitter.of(f"{emitter}{more}") == emitter


@pytest.mark.parametrize("note", ["", "x", "transfer/", "transfer/one", "transfer/1x", "/1"])
def test_another_note_tells_nothing(note: str) -> None:
    assert Emitter.of(note) is None


@pytest.mark.parametrize("header", [b"", b"[]", b"{}", b'{"core":5}', b"\xff", b"[" * 60_000])
def test_a_header_that_cannot_be_read_is_refused_though_its_checksum_fits(header: bytes) -> None:
    crc = struct.pack(">I", zlib.crc32(header))
    with pytest.raises(CellError, match="header that cannot be read .*restore another savepoint"):
        decode(struct.pack(">4sBH", MAGIC, FORMAT, len(header)) + header + crc)
