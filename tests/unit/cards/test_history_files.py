"""History files: written and read exactly, the last 20 of each card, and every kind of damage named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from florin_io.folder import Folder, FolderUnreachable
from transforms.cards import wire
from transforms.cards.fields import HISTORY, LOADED
from transforms.cards.history_cells import Records, cell_of, joined, positions, simulated, simulated_cell, split
from transforms.cards.history_files import (
    MANIFEST,
    Cell,
    Entry,
    FileHistory,
    HistoryError,
    Manifest,
    decode,
    encode,
    file_name,
    read_manifest,
    sha256,
    verify,
)
from transforms.cards.packed import flags_of, text_of
from transforms.cards.routing import cells_of, partitions_of
from transforms.cards.simulate import Population, histories

pytestmark = pytest.mark.unit

PEOPLE = Population(cards=3_000, seed=5)


def records(texts: list[bytes]) -> Records:
    parsed = wire.parse(b"".join(wire.packet(text) for text in texts), loaded=True)
    assert not parsed.statuses.any()
    return Records(parsed.cards, np.arange(len(texts), dtype=np.uint64), parsed.items, parsed.texts)


def texts(cell: Cell) -> dict[int, list[bytes]]:
    """Every card's transactions as they were written, oldest first."""
    return {
        int(card): [text_of(int(card), item, cell.texts) for item in items[:count]]
        for card, count, items in zip(cell.cards, cell.counts, cell.items, strict=True)
    }


def write(folder: Folder, partitions: int = 2) -> Manifest:
    """All histories of the population in a folder."""
    entries = []
    for partition in range(partitions):
        for cell, places in positions(PEOPLE, partition, partitions, list(range(1, 64))).items():
            made = simulated_cell(PEOPLE, places)
            data = encode(made)
            name = file_name(partition, cell)
            folder.write(name, data)
            items = int(made.counts.sum())
            entries.append(Entry(name, partition, cell, len(made.cards), items, data.size, sha256(data)))
    manifest = Manifest(partitions, {"kind": "simulated"}, 0, tuple(entries))
    folder.write(MANIFEST, manifest.to_json())
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(str(tmp_path / "histories"))
    write(made)
    return made


CARDS = st.integers(0, 10**14 - 1)
FIELD = {width: st.from_regex(rf"[0-9]{{{width}}}|[0-9A-Z]{{{width}}}", fullmatch=True) for width in (2, 3, 4, 5)}


@st.composite
def transaction(draw: st.DrawFn) -> bytes:
    card = draw(st.sampled_from([1, 2, 40_002_200_000_001]))
    text = ",".join([
        f"{card:014d}", str(draw(st.integers(0, 50))), draw(FIELD[3]), draw(FIELD[2]),
        str(draw(st.integers(0, 2**31 - 1))), draw(FIELD[3]), draw(FIELD[4]), draw(FIELD[5]),
        draw(FIELD[5]) + draw(st.from_regex(r"[0-9A-Z]{0,3}", fullmatch=True)),
    ])  # fmt: skip
    return text.encode()


@settings(deadline=None)
@given(st.lists(transaction(), min_size=1, max_size=80), st.integers(0, 79))
def test_the_last_20_of_each_card_come_back_as_they_were_written(given: list[bytes], cut: int) -> None:
    wanted: dict[int, list[bytes]] = {}
    for text in sorted(given, key=lambda text: int(text.split(b",")[1])):
        wanted.setdefault(int(text[:14]), []).append(text)
    whole = records(given)
    parts = [whole.take(np.arange(0, min(cut, len(given)))), whole.take(np.arange(min(cut, len(given)), len(given)))]
    found: dict[int, list[bytes]] = {}
    pieces: dict[tuple[int, int], list[Records]] = {}
    for part in parts:
        for home, piece in split(part, 3).items():
            pieces.setdefault(home, []).append(Records.from_bytes(piece.to_bytes()))
    for (partition, cell), some in pieces.items():
        made = decode(encode(cell_of(joined(some))), "test")
        assert (partitions_of(made.cards, 3) == partition).all()
        assert (cells_of(made.cards) == cell).all()
        found |= texts(made)
    assert found == {card: some[-HISTORY:] for card, some in wanted.items()}


def test_simulated_cells_hold_the_simulated_histories() -> None:
    made = histories(PEOPLE, np.arange(PEOPLE.cards))
    wanted: dict[int, list[bytes]] = {}
    for packet in made.packets:
        text = packet.tobytes()[:99].rstrip(b"\0")
        wanted.setdefault(int(text[:14]), []).append(text)
    found: dict[int, list[bytes]] = {}
    for partition in range(2):
        for cell, places in positions(PEOPLE, partition, 2, list(range(1, 64))).items():
            found |= texts(decode(encode(simulated_cell(PEOPLE, places)), f"{partition} {cell}"))
    assert found == wanted
    assert sum(b"W" in text for some in found.values() for text in some) > 0


def test_loaded_items_are_marked_and_have_no_verdict() -> None:
    cell = simulated(PEOPLE, np.arange(50))
    firsts = cell.items[:, :, 0].view(np.int64)[np.arange(HISTORY) < cell.counts[:, None]]
    assert {flags_of(int(first)) for first in firsts} == {LOADED}


def test_a_shard_reads_the_cards_of_its_partition(folder: Folder) -> None:
    seen: list[int] = []
    for partition in range(2):
        history = pickle.loads(pickle.dumps(FileHistory(folder, partition, 2)))
        for cell in range(1, 64):
            cards, counts, items = history.read(cell)
            assert items.shape == (len(cards), 20, 4)
            assert counts.min(initial=1) >= 1
            assert (partitions_of(cards, 2) == partition).all()
            assert (cells_of(cards) == cell).all()
            lettered = items[:, :, 0] >> np.uint64(63) == 1
            assert len(history.texts(cell)) == lettered.sum()
            seen += cards.tolist()
    assert len(seen) == len(set(seen)) == read_manifest(folder).cards


def test_a_cell_without_a_file_has_no_cards(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write(MANIFEST, Manifest(1, {}, 0, ()).to_json())
    cards, counts, items = FileHistory(folder, 0, 1).read(7)
    assert (len(cards), len(counts), items.shape) == (0, 0, (0, 20, 4))


def test_the_digest_names_the_contents(tmp_path: Path) -> None:
    first, second = Folder(str(tmp_path / "a")), Folder(str(tmp_path / "b"))
    assert write(first).digest == write(second).digest
    assert write(first, partitions=3).digest != write(second).digest


def test_whole_histories_verify(folder: Folder) -> None:
    assert verify(folder, 2).cards == verify(folder, contents=False).cards > 2_900


def victim(folder: Folder) -> Path:
    return Path(folder.path(read_manifest(folder).files[3].name))


def test_a_missing_file_is_named(folder: Folder) -> None:
    path = victim(folder)
    path.unlink()
    for contents in (True, False):
        with pytest.raises(HistoryError, match=f"(?s){path.name} is missing.*--overwrite"):
            verify(folder, contents=contents)


def test_a_shorter_file_is_named(folder: Folder) -> None:
    path = victim(folder)
    path.write_bytes(path.read_bytes()[:-1])
    for contents in (True, False):
        with pytest.raises(HistoryError, match=f"{path.name} has .* bytes, the manifest says"):
            verify(folder, contents=contents)


def test_a_changed_byte_is_found_before_anything_is_handed_out(folder: Folder) -> None:
    path = victim(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HistoryError, match=f"{path.name} is damaged: SHA-256"):
        verify(folder)
    entry = read_manifest(folder).files[3]
    with pytest.raises(HistoryError, match=f"{path.name} is damaged"):
        FileHistory(folder, entry.partition, 2).read(entry.cell)


def test_all_that_is_wrong_is_said_at_once(folder: Folder) -> None:
    for entry in read_manifest(folder).files[:12]:
        folder.delete(entry.name)
    with pytest.raises(HistoryError, match="(?s)12 of .* history files cannot be used.*cell-01.*and 2 more"):
        verify(folder)


def test_an_unfinished_load_is_not_used(folder: Folder) -> None:
    folder.delete(MANIFEST)
    with pytest.raises(HistoryError, match="no manifest.json.*not finished"):
        FileHistory(folder, 0, 2)


def test_another_number_of_partitions_is_refused(folder: Folder) -> None:
    with pytest.raises(HistoryError, match="is for 2 partitions, the job has 4; load again with --partitions 4"):
        FileHistory(folder, 0, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.update(version=9), "format version 9, this is 1"),
        (lambda told: told.update(format="other"), "not a manifest"),
        (lambda told: told["files"][0].update(cards=1), "do not give the digest"),
        (lambda told: told["files"][0].pop("sha256"), "damaged"),
        (lambda told: told.pop("files"), "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(folder: Folder, change, said: str) -> None:
    told = json.loads(folder.read(MANIFEST).to_pybytes())
    change(told)
    folder.write(MANIFEST, json.dumps(told).encode())
    with pytest.raises(HistoryError, match=said):
        read_manifest(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Folder) -> None:
    folder.write(MANIFEST, b"{")
    with pytest.raises(HistoryError, match="damaged"):
        read_manifest(folder)


@pytest.mark.parametrize("data", [b"", b"ARROW1\0\0 nonsense", b"x" * 5000])
def test_a_file_that_is_no_arrow_file_is_refused(data: bytes) -> None:
    with pytest.raises(HistoryError, match="cell-07 is damaged"):
        decode(data, "cell-07")


def test_an_arrow_file_with_any_byte_of_its_end_changed_is_refused_or_read() -> None:
    data = bytearray(encode(simulated_cell(PEOPLE, positions(PEOPLE, 0, 2, [7])[7])))
    refused = 0
    for at in range(len(data) - 400, len(data)):
        data[at] ^= 0xFF
        try:
            decode(bytes(data), "cell-07")
        except HistoryError:
            refused += 1
        data[at] ^= 0xFF
    assert refused > 100


def test_an_arrow_file_of_something_else_is_refused() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"card": [1]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(HistoryError, match="other columns"):
        decode(sink.getvalue(), "cell-07")


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(tmp_path))
    folder.write("a", b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FolderUnreachable, match="No space left"):
        folder.write("a", b"after")
    assert folder.read("a").to_pybytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_in_an_object_store_is_used_through_beam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "is_local", False)
    folder = Folder(str(tmp_path))
    assert folder.size("a/b") is None
    with pytest.raises(FileNotFoundError):
        folder.read("a/b")
    folder.write("a/b", b"content")
    assert folder.size("a/b") == 7
    assert folder.read("a/b").to_pybytes() == b"content"
    folder.delete("a/b")
    folder.delete("a/b")
    assert folder.size("a/b") is None


def test_a_file_system_that_is_not_installed_is_named() -> None:
    with pytest.raises(FolderUnreachable, match="nowhere://x cannot be used"):
        Folder("nowhere://x").size("a")
