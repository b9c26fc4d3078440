"""Rows are posted in one order, whatever runs they came in and however those are cut."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from transforms.subledger.fields import COLUMNS
from transforms.subledger.order import InMemory, merge, order_of, positions, sort, splitters
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.settings import Settings

pytestmark = pytest.mark.unit

_SETTINGS = Settings("t", "e", "EUR", "", ((202601, True),), 1)


def _rows(count: int, seed: int, names: str) -> pa.RecordBatch:
    random.seed(seed)
    lines = []
    for _ in range(count):
        number = random.randrange(10**4)
        name = str(number) if random.random() < 0.5 else f"{names}{number}"
        day = random.randrange(1, 4)
        lines.append(f"{name},{random.randrange(1, 12)},INCOME,e,2026-01-0{day},,A,I{number % 5},,,EUR,1,,,,")
    data = "\n".join(lines).encode()
    return parse_block(data, read_header(",".join(COLUMNS).encode()), seed, 2, _SETTINGS)[0]


def _key(row: dict[str, object]) -> tuple[object, ...]:
    name = str(row["source_id"]).encode()
    return (row["order_hash"], row["trade_date"], row["order_seq"], name, row["version"], row["file"], row["line"])


@pytest.mark.parametrize("names", ["T", "TRADE-2026-"])
def test_rows_are_sorted_by_the_whole_key_also_where_ids_are_long_texts(names: str) -> None:
    rows = _rows(3000, 1, names)
    assert sort(rows).to_pylist() == sorted(rows.to_pylist(), key=_key)


def test_ids_of_digits_go_by_their_number_and_before_texts() -> None:
    lines = [
        f"{name},1,INCOME,e,2026-01-01,,A,,,,EUR,1,,,," for name in ("B", "10", "A", "9", "AAAAAAAAAB", "AAAAAAAAAA")
    ]
    rows = parse_block("\n".join(lines).encode(), read_header(",".join(COLUMNS).encode()), 0, 2, _SETTINGS)[0]
    assert sort(rows).column("source_id").to_pylist() == ["9", "10", "A", "AAAAAAAAAA", "AAAAAAAAAB", "B"]


@pytest.mark.parametrize(("limit", "grid"), [(40, 1), (500, 1), (500, 7), (900, 64), (100_000, 64)])
def test_merged_runs_are_the_sorted_whole_in_blocks_that_hold(limit: int, grid: int) -> None:
    runs = [sort(_rows(random.Random(seed).randrange(1, 700), seed, "TRADE-2026-")) for seed in range(7)]
    blocks = list(merge([InMemory(run, grid) for run in runs], limit))
    assert pa.Table.from_batches(blocks).equals(pa.Table.from_batches([_whole(runs)]))
    assert max(block.num_rows for block in blocks) <= limit


def _whole(runs: list[pa.RecordBatch]) -> pa.RecordBatch:
    return sort(pa.Table.from_batches(runs).combine_chunks().to_batches()[0])


def _hot(count: int, first_day: int, file: int) -> pa.RecordBatch:
    """Rows of one instrument in the order of their days."""
    lines = [f"{file * count + row},1,INCOME,e,2026-01-{first_day:02d},,A,I,,,EUR,1,,,," for row in range(count)]
    return sort(parse_block("\n".join(lines).encode(), read_header(",".join(COLUMNS).encode()), file, 2, _SETTINGS)[0])


@pytest.mark.parametrize(("same_day", "grid"), [(False, 1), (True, 1), (False, 16), (True, 16)])
def test_blocks_are_full_whether_runs_follow_each_other_or_overlap(same_day: bool, grid: int) -> None:
    runs = [_hot(300, 1 if same_day else 1 + file, file) for file in range(9)]
    blocks = list(merge([InMemory(run, grid) for run in runs], 400))
    assert pa.Table.from_batches(blocks).equals(pa.Table.from_batches([_whole(runs)]))
    sizes = [block.num_rows for block in blocks]
    assert max(sizes) <= 400
    assert min(sizes[:-1]) >= 400 // 2 - grid * len(runs)


@pytest.mark.parametrize("read", [4096, 0])
def test_rows_equal_by_all_numbers_are_cut_where_their_texts_differ(read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read at once, or looked up one by one where they are too many for that."""
    monkeypatch.setattr("transforms.subledger.order._MOST_READ", read)
    random.seed(5)
    names = [f"SAME-ID-{random.randrange(10**9)}" for _ in range(2000)]
    header = read_header(",".join(COLUMNS).encode())
    runs = []
    for file in range(5):
        lines = [f"{name},1,INCOME,e,2026-01-01,,A,I,,,EUR,1,,,," for name in names[file::5]]
        runs.append(sort(parse_block("\n".join(lines).encode(), header, file, 2, _SETTINGS)[0]))
    assert len(set(_whole(runs).column("order_seq").to_pylist())) == 1
    blocks = list(merge([InMemory(run) for run in runs], 100))
    assert [name for block in blocks for name in block.column("source_id").to_pylist()] == sorted(names)
    assert max(block.num_rows for block in blocks) <= 100


def test_more_runs_than_blocks_have_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="3 runs cannot be merged in blocks of 5 rows"):
        list(merge([InMemory(_rows(4, seed, "T")) for seed in range(3)], 5))


def test_ranges_hold_whole_instruments_and_every_row_once() -> None:
    run = sort(_rows(2000, 3, "T"))
    hashes = run.column("order_hash").to_numpy()
    between = splitters(hashes[::7], 3)
    places = positions(hashes, between)
    assert places[0] == 0
    assert places[-1] == run.num_rows
    seen = [set(run.slice(a, b - a).column("instrument").to_pylist()) for a, b in pairwise(places)]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 5


def test_nothing_is_in_order() -> None:
    assert len(order_of(_rows(0, 1, ""))) == 0
    assert list(merge([InMemory(_rows(0, 1, ""))])) == []
    assert len(splitters(np.zeros(0, np.uint64), 4)) == 3
