"""Compressed files as blocks of whole lines, and what is said of damaged ones."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin_io import frames
from florin_io.frames import Block, FrameWriter, Index, InputError

pytestmark = pytest.mark.unit
HEADER = b"id,amount\n"


def lines(count: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    return b"".join(b"%d,%d.%02d\n" % (n, rng.randrange(10_000), rng.randrange(100)) for n in range(count))


def written(path: Path, text: bytes, frame_bytes: int = 5_000) -> Index:
    with path.open("wb") as file:
        writer = FrameWriter(file, HEADER, frame_bytes=frame_bytes)
        writer.write(text)
        told = writer.close()
    frames.write_index(path, told.index)
    assert (told.size, told.rows) == (path.stat().st_size, text.count(b"\n"))
    return told.index


def check(blocks: list[Block], whole: bytes, first: int = 1) -> None:
    assert b"".join(bytes(block.data) for block in blocks) == whole
    for block in blocks[:-1]:
        assert bytes(block.data).endswith(b"\n")
    for block in blocks:
        assert block.first_line == first
        first += bytes(block.data).count(b"\n")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 900), max_size=8), frame=st.integers(20, 9_000), block=st.integers(20, 9_000))
def test_what_is_written_in_any_pieces_is_read_in_any_blocks(
    tmp_path: Path, sizes: list[int], frame: int, block: int
) -> None:
    parts = [lines(size, seed) for seed, size in enumerate(sizes)]
    path = tmp_path / "f.zst"
    with path.open("wb") as file:
        writer = FrameWriter(file, HEADER, frame_bytes=frame)
        for part in parts:
            writer.write(part)
        index = writer.close().index
    whole = HEADER + b"".join(parts)
    check(list(frames.frame_blocks(path, "f", index.frames, 1, block_bytes=block)), whole)
    check(list(frames.stream_blocks(path, "f", block_bytes=block)), whole)
    assert index.rows == sum(sizes)
    assert frames.first_line(path, "f") == HEADER


def test_some_frames_are_read_apart(tmp_path: Path) -> None:
    text = lines(3_000)
    index = written(tmp_path / "f.zst", text)
    before = sum(frame.rows for frame in index.frames[:2])
    blocks = list(frames.frame_blocks(tmp_path / "f.zst", "f", index.frames[2:4], before + 2))
    rows = sum(frame.rows for frame in index.frames[2:4])
    check(blocks, b"".join(text.splitlines(keepends=True)[before : before + rows]), before + 2)


def test_frames_are_ordinary_zstd(tmp_path: Path) -> None:
    text = lines(2_000)
    written(tmp_path / "f.zst", text)
    reader = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO((tmp_path / "f.zst").read_bytes()), read_across_frames=True
    )
    assert reader.read() == HEADER + text


@pytest.mark.parametrize("form", ["gzip", "gzip of two members", "zstd", "plain", "no newline at the end"])
def test_each_form_is_read_as_a_stream(tmp_path: Path, form: str) -> None:
    whole = HEADER + lines(5_000)
    half = len(whole) // 2
    packed = {
        "gzip": gzip.compress(whole),
        "gzip of two members": gzip.compress(whole[:half]) + gzip.compress(whole[half:]),
        "zstd": zstandard.compress(whole),
        "plain": whole,
        "no newline at the end": gzip.compress(whole[:-1]),
    }[form]
    (tmp_path / "f").write_bytes(packed)
    check(list(frames.stream_blocks(tmp_path / "f", "f", block_bytes=7_000)), whole[:-1] if "no " in form else whole)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["truncated", "corrupt"])
def test_a_damaged_stream_is_told_with_its_place(tmp_path: Path, form: str, damage: str) -> None:
    whole = HEADER + lines(100_000)
    packed = bytearray(gzip.compress(whole) if form == "gzip" else zstandard.compress(whole))
    if damage == "truncated":
        del packed[-4:]
    else:
        packed[len(packed) // 2 : len(packed) // 2 + 50] = bytes(50)
    (tmp_path / "f").write_bytes(packed)
    with pytest.raises(InputError, match=f"ledger.csv is {damage}.* byte [0-9,]+"):
        list(frames.stream_blocks(tmp_path / "f", "ledger.csv"))


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InputError, match="ledger.csv is empty"):
        list(frames.stream_blocks(tmp_path / "f", "ledger.csv"))


def test_a_line_without_end_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(HEADER + b"x" * (2 * frames.LONGEST_LINE))
    with pytest.raises(InputError, match="after line 1 a line does not end"):
        list(frames.stream_blocks(tmp_path / "f", "f", block_bytes=frames.LONGEST_LINE + 100))


def test_a_frame_of_other_bytes_than_the_index_says_is_told(tmp_path: Path) -> None:
    index = written(tmp_path / "f.zst", lines(3_000))
    data = bytearray((tmp_path / "f.zst").read_bytes())
    data[index.frames[1].offset + 40] ^= 1
    (tmp_path / "f.zst").write_bytes(data)
    with pytest.raises(InputError, match=f"ledger: the frame at byte {index.frames[1].offset:,} has another sha256"):
        list(frames.frame_blocks(tmp_path / "f.zst", "ledger", index.frames, 1))


def test_a_frame_of_other_rows_than_the_index_says_is_told(tmp_path: Path) -> None:
    index = written(tmp_path / "f.zst", lines(3_000))
    wrong = index.frames[1]._replace(rows=7)
    with pytest.raises(InputError, match="whole lines, its index says 7"):
        list(frames.frame_blocks(tmp_path / "f.zst", "ledger", [index.frames[0], wrong], 1))


def test_an_index_of_another_file_is_refused(tmp_path: Path) -> None:
    index = written(tmp_path / "f.zst", lines(3_000))
    size = (tmp_path / "f.zst").stat().st_size
    assert Index.from_json(index.to_json(), "f.idx", size) == index
    with pytest.raises(InputError, match="covers .* belongs to another file"):
        Index.from_json(index.to_json(), "f.idx", size + 1)
    with pytest.raises(InputError, match="f.idx is no index"):
        Index.from_json("{}", "f.idx", size)
    gap = replace(index, frames=(index.frames[0], *index.frames[2:]))
    with pytest.raises(InputError, match="frame 1 should begin"):
        Index.from_json(gap.to_json(), "f.idx", size)


def test_half_lines_are_not_written(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file, pytest.raises(ValueError, match="must end with a newline"):
        FrameWriter(file, HEADER).write(b"1,2")


def test_reading_ahead_gives_all_items_and_its_errors() -> None:
    assert list(frames.ahead(range(1000))) == list(range(1000))

    def broken() -> Iterator[int]:
        yield 1
        raise InputError("here")

    items = frames.ahead(broken())
    assert next(items) == 1
    with pytest.raises(InputError, match="here"):
        next(items)


def test_reading_ahead_ends_with_its_reader() -> None:
    items = frames.ahead(iter(range(10**9)))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_zstd_of_the_shell_reads_it(tmp_path: Path) -> None:
    written(tmp_path / "f.zst", lines(500))
    try:
        done = subprocess.run(["zstd", "-dc", str(tmp_path / "f.zst")], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no zstd on this machine")
    assert done.stdout == HEADER + lines(500)
