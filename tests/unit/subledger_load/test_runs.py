"""Runs give the rows they were written with, whatever part of them is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from transforms.subledger import order
from transforms.subledger.fields import COLUMNS
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.settings import Settings
from transforms.subledger_load.runs import READ_ROWS, RunReader, hashes_of, write_run
from transforms.subledger_load.scratch import Scratch

pytestmark = pytest.mark.unit
ROWS = 3 * READ_ROWS + 17


@pytest.fixture(scope="module")
def rows() -> pa.RecordBatch:
    """Incomes; every seventh row cancels the one before. Days on both sides of 1970."""
    lines = [
        f"C{number},1,CANCEL,e,{1960 + number % 20}-01-05,,A,I{number % 5},,,EUR,,,,,T{number - 1}/1"
        if number % 7 == 6
        else f"T{number},1,INCOME,e,{1960 + number % 20}-01-05,,A,I{number % 5},,,EUR,1,,,,"
        for number in range(ROWS)
    ]
    periods = tuple((year * 100 + 1, True) for year in range(1960, 1980))
    settings = Settings("t", "e", "EUR", "", periods, 1)
    made, rejects = parse_block("\n".join(lines).encode(), read_header(",".join(COLUMNS).encode()), 0, 2, settings)
    assert rejects.num_rows == 0, rejects.to_pylist()[:2]
    return order.sort(made)


@pytest.fixture
def run(rows: pa.RecordBatch, tmp_path: Path) -> RunReader:
    scratch = Scratch(str(tmp_path))
    write_run(scratch, "run", rows)
    assert hashes_of(scratch, "run").tolist() == rows.column("order_hash").to_pylist()
    return RunReader(scratch, "run")


@pytest.mark.parametrize(
    ("first", "stop"),
    [
        (0, ROWS),
        (0, 1),
        (READ_ROWS, 2 * READ_ROWS),
        (READ_ROWS - 1, READ_ROWS + 1),
        (ROWS - 1, ROWS),
        (700, 700),
        (0, 0),
    ],
)
def test_any_part_is_what_was_written(run: RunReader, rows: pa.RecordBatch, first: int, stop: int) -> None:
    expected = pa.Table.from_batches([rows.slice(first, stop - first)])
    assert run.rows(first, stop).equals(expected)
    part = run.part(first, stop)
    assert part.num_rows == stop - first
    assert part.rows(0, part.num_rows).equals(expected)
    sampled, samples = part.samples()
    assert np.array_equal(samples, order.numbers_of(rows)[:, first:stop][:, sampled])
    assert sampled.tolist() == [row - first for row in range(first, stop) if row % part.grid == part.grid - 1]


def test_parts_are_read_in_any_order(run: RunReader, rows: pa.RecordBatch) -> None:
    whole = pa.Table.from_batches([rows])
    for first in (900, 0, 1500, 899):
        assert run.part(first, first + 40).rows(3, 30).equals(whole.slice(first + 3, 27))


def test_parts_of_runs_are_merged_as_they_lie_in_the_whole(rows: pa.RecordBatch, tmp_path: Path) -> None:
    scratch = Scratch(str(tmp_path))
    for number in range(3):
        write_run(scratch, f"third-{number}", rows.take(pa.array(range(number, ROWS, 3))))
    parts = [RunReader(scratch, f"third-{number}").part(100, 500) for number in range(3)]
    blocks = list(order.merge(parts, 2 * 3 * parts[0].grid))
    assert len(blocks) > 2
    assert pa.Table.from_batches(blocks).equals(pa.Table.from_batches([rows.slice(300, 1200)]))


def test_order_numbers_rank_rows_as_their_columns_do(rows: pa.RecordBatch) -> None:
    numbers = order.numbers_of(rows)
    assert sorted(range(ROWS), key=lambda row: (*numbers[:, row].tolist(), row)) == list(range(ROWS))


def test_references_are_those_of_the_part(run: RunReader, rows: pa.RecordBatch) -> None:
    upper, lower = (rows.column(half).to_pylist() for half in ("ref_hi", "ref_lo"))
    assert sum(half is not None for half in upper) == len([n for n in range(ROWS) if n % 7 == 6])
    for first, stop in ((0, ROWS), (100, 777), (5, 5)):
        expected = [[upper[row], lower[row]] for row in range(first, stop) if upper[row] is not None]
        assert run.references(first, stop).tolist() == expected
