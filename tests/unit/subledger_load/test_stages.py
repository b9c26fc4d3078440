"""The stages that need no database: files to pieces, pieces to sorted runs, runs to tasks."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from florin_io import frames
from florin_io.frames import FrameWriter, InputError
from transforms.subledger import fields, order, rulesets
from transforms.subledger.settings import Settings
from transforms.subledger_db.model import Entity, Request
from transforms.subledger_load import files, loader, plan, scan
from transforms.subledger_load.model import FileReport, InputFile, Load, ScanReport
from transforms.subledger_load.runs import RunReader
from transforms.subledger_load.scratch import Scratch
from transforms.subledger_simulate import HEADER, Mix, Simulator, World

pytestmark = pytest.mark.unit
ROWS = 3_000


@pytest.fixture(scope="module")
def ledger() -> bytes:
    """Lines of a simulated ledger without its header."""
    simulator = Simulator(World(entity="E", instruments=50), Mix())
    return b"".join(bytes(simulator.lines(block)) for block in simulator.rows(ROWS))


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    entity = Entity(1, 1, "acme", "E", "USD", "FIFO", 0.01)
    periods = ((202601, True), (202602, True))
    request = Request(
        7, entity, 1, "LOAD", "RUNNING", 1, 5, "k", "ledger", [], None, {}, None, rulesets.text_of("standard"), "", "",
        periods, None, None, datetime.now(UTC),
    )  # fmt: skip
    settings = Settings("acme", "E", "USD", request.rules_text, periods, 7)
    monkeypatch.setattr(scan, "Progress", Silent)
    Scratch(str(tmp_path / "scratch")).make()
    return Load(
        request, 1, settings, "postgresql://nowhere", "subledger", "http://127.0.0.1:1", str(tmp_path / "scratch"),
        str(tmp_path / "audit"), 2, 1,
    )  # fmt: skip


class Silent:
    """No database to tell."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def add(self, **_: int) -> None: ...


def framed(path: Path, lines: bytes, frame_bytes: int = 20_000) -> InputFile:
    with path.open("wb") as file:
        writer = FrameWriter(file, HEADER, frame_bytes=frame_bytes)
        writer.write(lines)
        told = writer.close()
    frames.write_index(path, told.index)
    return InputFile(0, str(path), told.size, told.sha256, told.rows)


def test_a_file_is_verified_kept_once_and_cut_at_frames(
    tmp_path: Path, load: Load, ledger: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "RUN_ROWS", 1_000)
    file = framed(tmp_path / "ledger.csv.zst", ledger)
    report, pieces = files.take_file(load, file)
    assert report.sha256 == file.sha256
    assert report.audit_copy is not None
    assert f"/acme/E/{file.sha256}/ledger.csv.zst" in report.audit_copy
    assert Path(report.audit_copy).read_bytes() == Path(file.url).read_bytes()
    assert len(pieces) > 2
    assert sum(frame.rows for piece in pieces for frame in piece.frames or ()) == ROWS
    # Each piece's first line is where the one before ended; the header is line 1.
    line = 1
    for piece in pieces:
        assert piece.first_line == line
        line += sum(frame.rows for frame in piece.frames or ()) + (line == 1)


def test_pieces_and_a_stream_of_the_same_rows_give_the_same_rows(
    tmp_path: Path, load: Load, ledger: bytes, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(files, "RUN_ROWS", 1_000)
    _, pieces = files.take_file(load, framed(tmp_path / "a.csv.zst", ledger))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(HEADER + ledger))
    other = replace(load, scratch=str(tmp_path / "other"))
    Scratch(other.scratch).make()
    _, whole = files.take_file(other, InputFile(0, str(tmp_path / "b.csv.gz"), None, None, None))
    assert len(whole) == 1
    told = []
    for one, parts in ((load, pieces), (other, whole)):
        reports = [scan.scan_piece(one, piece) for piece in parts]
        assert sum(report.read for report in reports) == ROWS
        named = [run for report in reports for run in report.runs]
        runs = [RunReader(Scratch(one.scratch), run.path).part(0, run.rows) for run in named]
        for run in runs:
            (rows,) = run.rows(0, run.num_rows).combine_chunks().to_batches()
            assert order.sort(rows).equals(rows)
        rejects = [Scratch(one.scratch).read_table(report.rejects) for report in reports if report.rejects]
        told.append((pa.Table.from_batches(order.merge(runs)), pa.concat_tables(rejects).sort_by("line")))
    assert told[0][0].equals(told[1][0])
    assert told[0][1].equals(told[1][1])


def test_what_is_done_is_not_done_again(tmp_path: Path, load: Load, ledger: bytes) -> None:
    file = framed(tmp_path / "a.csv.zst", ledger)
    _, pieces = files.take_file(load, file)
    first = scan.scan_piece(load, pieces[0])
    Path(file.url).unlink()
    assert files.take_file(load, file)[1] == pieces
    (Path(load.scratch) / pieces[0].path).unlink()
    assert scan.scan_piece(load, pieces[0]) == first


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": 5}, "bytes, the request says 5"),
        ({"sha256": "0" * 64}, "the request says 0000.*another file"),
        ({"url": "/nowhere/at/all.csv"}, "/nowhere/at/all.csv: there is no such file"),
    ],
)
def test_a_file_that_is_not_what_the_request_says_is_refused(
    tmp_path: Path, load: Load, ledger: bytes, change: dict[str, object], told: str
) -> None:
    file = framed(tmp_path / "a.csv.zst", ledger)
    with pytest.raises(InputError, match=told):
        files.take_file(load, replace(file, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"source_id,version\n1,2\n", "the header has wrong columns; missing: 'event_class'"),
        (gzip.compress(HEADER, mtime=0)[:20], "is truncated"),
        (b"x" * 2_000_000, "first line does not end"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, load: Load, content: bytes, told: str) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(InputError, match=told):
        files.take_file(load, InputFile(0, str(tmp_path / "f.csv"), None, None, None))


def test_an_index_of_another_file_is_refused(tmp_path: Path, load: Load, ledger: bytes) -> None:
    file = framed(tmp_path / "a.csv.zst", ledger)
    with Path(file.url).open("ab") as more:
        more.write(b"more")
    with pytest.raises(InputError, match="belongs to another file"):
        files.take_file(load, replace(file, size=None, sha256=None))


def test_a_damaged_frame_is_refused_with_file_and_place(tmp_path: Path, load: Load, ledger: bytes) -> None:
    file = framed(tmp_path / "a.csv.zst", ledger)
    data = bytearray(Path(file.url).read_bytes())
    data[-50] ^= 255
    Path(file.url).write_bytes(data)
    sha = hashlib.sha256(data).hexdigest()
    _, pieces = files.take_file(load, replace(file, sha256=sha))
    with pytest.raises(InputError, match=r"a.csv.zst: the frame at byte [0-9,]+ has another sha256"):
        scan.scan_piece(load, pieces[-1])


def test_a_header_alone_has_no_rows(tmp_path: Path, load: Load) -> None:
    (tmp_path / "f.csv").write_bytes(HEADER)
    _, (piece,) = files.take_file(load, InputFile(0, str(tmp_path / "f.csv"), None, None, 0))
    report = scan.scan_piece(load, piece)
    assert (report.read, report.runs, report.zone) == (0, (), None)


def test_reading_stops_when_there_are_too_many_rejects(
    tmp_path: Path, load: Load, ledger: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of another entity: of several pieces the first says enough, and the others are not read."""
    monkeypatch.setattr(files, "RUN_ROWS", 1_000)
    file = framed(tmp_path / "a.csv.zst", ledger.replace(b",E,", b",F,"))
    counted = replace(load, request=replace(load.request, files=[{"name": file.url, "rows": ROWS}]))
    report, pieces = files.take_file(counted, file)
    scans = [scan.scan_piece(counted, piece) for piece in pieces]
    assert [one.read for one in scans[1:]] == [0] * (len(pieces) - 1)
    assert all(one.stopped for one in scans[1:])
    told = plan._refusal(counted, [report], scans)
    assert told is not None
    assert f"of the {scans[0].read:,} rows read are rejected, and at most 30 of all may be" in told


def test_without_counted_rows_all_is_read(tmp_path: Path, load: Load, ledger: bytes) -> None:
    file = framed(tmp_path / "a.csv.zst", ledger.replace(b",E,", b",F,"))
    listed = replace(load, request=replace(load.request, files=[{"name": file.url}]))
    report, pieces = files.take_file(listed, file)
    scans: list[ScanReport] = [scan.scan_piece(listed, piece) for piece in pieces]
    assert sum(one.rejected for one in scans) == ROWS
    assert Scratch(load.scratch).read_table(str(scans[0].rejects)).num_rows == ROWS
    assert "3,000 of 3,000 rows are rejected" in str(plan._refusal(listed, [report], scans))


def test_the_share_of_rejects_is_that_of_all_files(load: Load) -> None:
    reports = [FileReport(number, f"{number}.csv", 1, "", None, 1_000, 1) for number in range(2)]
    scans = [ScanReport(number, number, 1_000, rejected, None, (), (), None) for number, rejected in ((0, 15), (1, 5))]
    assert plan._refusal(load, reports, scans) is None
    more = replace(scans[1], rejected=6)
    assert "21 of 2,000 rows are rejected (1.05%)" in str(plan._refusal(load, reports, [scans[0], more]))


def test_too_many_rejects_are_told_with_their_share(load: Load) -> None:
    assert plan.share_refusal(load, 1000, 10) is None
    assert "11 of 1,000 rows are rejected (1.10%), at most 1.00%" in str(plan.share_refusal(load, 1000, 11))
    assert plan.share_refusal(load, 0, 0) is None


@pytest.mark.parametrize("sizes", [[5], [0, 0, 7], [1] * 100, [0] * 50 + [900] + [3] * 60, [2**31, 1, 2**33]])
def test_tasks_are_all_ranges_in_order_and_about_even(sizes: list[int]) -> None:
    bounds = plan._bounds(np.array(sizes, np.int64))
    filled = [number for first, stop in bounds for number in range(first, stop) if sizes[number]]
    assert filled == [number for number, size in enumerate(sizes) if size]
    largest = max(sum(sizes[first:stop]) for first, stop in bounds)
    assert largest <= sum(sizes) / min(len(sizes), plan.TASKS) + max(sizes)


@pytest.mark.parametrize("parent", ["je_header", "je_line", "lot", "position", "balance", "reject"])
def test_every_column_of_a_result_file_has_a_type(parent: str) -> None:
    types = {column.name: column.type for column in loader.columns_of(parent)}
    assert types.get("amount", "numeric(4)") == "numeric(4)"
    assert types.get("quantity", "numeric(8)") == "numeric(8)"
    assert types.get("je_id", "uuid") == "uuid"


def test_rejects_keep_what_the_schema_says(tmp_path: Path) -> None:
    scratch = Scratch(str(tmp_path))
    name = scratch.write_batches("a/b", fields.REJECT, [])
    assert scratch.read_table(name).schema == fields.REJECT
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
