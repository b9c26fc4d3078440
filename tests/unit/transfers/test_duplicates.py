"""The memory of finished transfers: found as long as promised, forgotten then, the same after a restart."""

from __future__ import annotations

import random
from hashlib import blake2b

import pytest

from transforms.core import SnapshotError
from transforms.transfers import duplicates
from transforms.transfers.duplicates import Finished, Memory, pack, unpack

pytestmark = pytest.mark.unit

HORIZON = duplicates.SLICES * 1000
LENGTH = 1000


def key(n: int) -> bytes:
    return blake2b(str(n).encode(), digest_size=16).digest()


@pytest.mark.parametrize(
    "found",
    [
        Finished("INVALID", "3100", "reason é", "dfsp1", "x" * 128, b"c" * 16),
        Finished("ABORTED", "0051", "", "dfsp1", "dfsp2", b"c" * 16, b"a" * 16),
        Finished("COMMITTED", "", "", "dfsp1", "dfsp2", b"c" * 16, b"a" * 16, b"f" * 32, 1_767_225_600_000, True),
    ],
)
def test_packed_record_is_unpacked(found: Finished) -> None:
    assert unpack(pack(found)) == found


def filled(count: int, every_ms: int) -> Memory:
    memory = Memory()
    for n in range(count):
        at = n * every_ms
        if at >= memory.wake:
            memory.advance(at, HORIZON)
        memory.add(key(n), b"record %d" % n, 0, at, HORIZON)
    return memory


def test_everything_within_the_horizon_is_found_and_nothing_else() -> None:
    memory = filled(3000, 7)
    assert len(memory.sealed) > duplicates.SLICES // 2
    for n in range(3000):
        assert memory.find(key(n)) == b"record %d" % n
    assert not any(memory.find(key(n)) for n in range(3000, 20_000))


def test_slice_is_forgotten_when_its_end_and_the_horizon_have_passed() -> None:
    memory = Memory()
    memory.add(key(1), b"one", 0, 1500, HORIZON)
    memory.advance(2000, HORIZON)
    assert list(memory.sealed) == [1]
    memory.advance(2000 + HORIZON - 1, HORIZON)
    assert memory.find(key(1)) == b"one"
    memory.advance(2000 + HORIZON, HORIZON)
    assert memory.find(key(1)) is None
    assert memory.dump() == [(1, b"")]


def test_slice_outlives_the_expiration_of_its_transfers_though_the_horizon_shrank() -> None:
    memory = Memory()
    memory.add(key(1), b"one", 100_000, 1500, HORIZON)
    memory.advance(2000, 1000)
    memory.advance(99_999, 1000)
    assert memory.find(key(1)) == b"one"
    memory.advance(100_000, 1000)
    assert memory.find(key(1)) is None


def test_memory_stays_bounded_over_many_horizons() -> None:
    memory = filled(100_000, 7)
    assert len(memory.sealed) <= duplicates.SLICES + 2
    assert len(memory) <= (HORIZON + 2 * LENGTH) // 7 + 1


def test_full_slices_are_sealed_early_and_cells_never_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SEAL_BYTES", 100)
    memory = Memory()
    for n in range(3000):
        memory.add(key(n), b"x" * 50, 0, n % 900, 10_000_000)
    assert len(memory.sealed) == duplicates.CELLS - duplicates._SPARE
    for at in range(1000, 500_000, 1000):
        memory.advance(at, 10_000_000)
        memory.add(key(at), b"y", 0, at, 10_000)
    assert len(memory.sealed) == duplicates.CELLS - 1
    assert all(memory.find(key(n)) for n in range(3000))
    assert all(memory.find(key(at)) for at in range(1000, 500_000, 1000))


def test_ids_of_one_bucket_are_told_apart() -> None:
    memory = Memory()
    same = [b"\0" * 8 + bytes([n]) * 8 for n in range(9)]
    for n, digest in enumerate(same):
        memory.advance(n * 400, HORIZON)
        memory.add(digest, b"%d" % n, 0, n * 400, HORIZON)
    memory.advance(9000, HORIZON)
    assert [memory.find(digest) for digest in same] == [b"%d" % n for n in range(9)]
    assert memory.find(b"\0" * 16 + b"") == b"0"
    assert memory.find(b"\0" * 8 + b"\xff" * 8) is None


def test_sealed_slices_are_written_once_and_loaded_again() -> None:
    memory = filled(3000, 7)
    cells = dict(memory.dump())
    assert memory.dump() == []
    fresh = Memory()
    fresh.load(memory.checks, cells)
    fresh.open = dict(memory.open)
    rng = random.Random(1)
    for n in rng.sample(range(4000), 1000):
        assert fresh.find(key(n)) == memory.find(key(n))
    assert fresh.wake <= memory.wake or memory.open


@pytest.mark.parametrize("damage", ["missing", "changed", "other version"])
def test_cells_of_another_snapshot_are_refused(damage: str) -> None:
    memory = filled(3000, 7)
    cells = dict(memory.dump())
    if damage == "missing":
        del cells[3]
    elif damage == "changed":
        cells[3] = cells[4]
    else:
        cells[3] = cells[3][:4] + b"\x09" + cells[3][5:]
    with pytest.raises(SnapshotError, match="cell 3"):
        Memory().load(memory.checks, cells)


def test_unknown_slice_format_is_refused() -> None:
    memory = filled(300, 7)
    cell = dict(memory.dump())[1]
    with pytest.raises(SnapshotError, match="version 9"):
        duplicates.decode(cell[:4] + b"\x09" + cell[5:], 1)
    with pytest.raises(SnapshotError, match="no slice"):
        duplicates.decode(b"x", 1)
