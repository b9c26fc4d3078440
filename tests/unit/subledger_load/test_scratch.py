"""Scratch folders of attempts: what is deleted stays deleted, whoever still writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from transforms.subledger.fields import REJECT
from transforms.subledger_load.scratch import Scratch, ScratchLost, Spill, delete_attempts, folder_of


def attempt(folder: Path, number: int) -> Scratch:
    made = Scratch(folder_of(str(folder), 7, number))
    made.make()
    return made


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scratch = attempt(tmp_path, 1)
    name = scratch.write_array("plan/inner/places.npy", np.arange(5))
    assert scratch.read_array(name).tolist() == [0, 1, 2, 3, 4]


def batch(*lines: int) -> pa.RecordBatch:
    """Rejected rows."""
    told = {"file": 0, "column": "amount", "reason": "is no number", "kind": "REJECT", "text": "x"}
    return pa.RecordBatch.from_pylist([{**told, "line": line} for line in lines], REJECT)


def test_batches_that_come_one_by_one_are_a_file_when_the_last_one_is_written(tmp_path: Path) -> None:
    scratch = attempt(tmp_path, 1)
    with Spill(scratch, "rejects/1", REJECT) as spill:
        spill.add(batch())
        spill.add(batch(2, 3))
        assert not scratch.has("rejects/1")
        spill.add(batch(7))
        assert (spill.close(), spill.rows) == ("rejects/1", 3)
    assert scratch.read_table("rejects/1")["line"].to_pylist() == [2, 3, 7]


def half_written(scratch: Scratch) -> None:
    """What a stage leaves that fails."""
    with Spill(scratch, "rejects/1", REJECT) as spill:
        spill.add(batch(2))
        raise ValueError("here")


def test_batches_of_what_fails_leave_no_file_and_no_batches_make_none(tmp_path: Path) -> None:
    scratch = attempt(tmp_path, 1)
    with pytest.raises(ValueError, match="here"):
        half_written(scratch)
    with Spill(scratch, "rejects/2", REJECT) as spill:
        assert spill.close() is None
    assert [path.name for path in Path(scratch.folder).rglob("*")] == ["rejects"]


def test_counts_of_pieces_are_summed_and_a_piece_that_is_done_again_counts_once(tmp_path: Path) -> None:
    scratch = attempt(tmp_path, 1)
    assert scratch.count_of_others("rejected", 1) == 0
    for piece, count in ((1, 5), (1 << 20, 7), (1, 5)):
        scratch.add_to_count("rejected", piece, count)
    assert [scratch.count_of_others("rejected", piece) for piece in (1, 2, 1 << 20)] == [7, 12, 5]


def test_a_worker_of_an_attempt_that_is_over_cannot_bring_its_folder_back(tmp_path: Path) -> None:
    first, second = attempt(tmp_path, 1), attempt(tmp_path, 2)
    first.write_array("plan/places.npy", np.arange(5))
    second.write_array("places.npy", np.arange(5))
    delete_attempts(str(tmp_path), 7, 1)
    assert [path.name for path in (tmp_path / "request-7").iterdir()] == ["attempt-2"]
    for name in ("plan/places.npy", "places.npy", "rejects/post-1"):
        with pytest.raises(ScratchLost, match="--scratch"):
            first.write_array(name, np.arange(5))
    delete_attempts(str(tmp_path), 7, 2)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_deleted_in_part_is_deleted_next_time(tmp_path: Path) -> None:
    attempt(tmp_path, 1).write_array("places.npy", np.arange(5))
    (tmp_path / "request-7" / "attempt-1").rename(tmp_path / "request-7" / "deleted-1-aa")
    delete_attempts(str(tmp_path), 7, 3)
    assert not list(tmp_path.iterdir())
