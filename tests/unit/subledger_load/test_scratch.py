"""Scratch folders of attempts: what is deleted stays deleted, whoever still writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transforms.subledger_load.scratch import Scratch, ScratchLost, delete_attempts, folder_of


def attempt(folder: Path, number: int) -> Scratch:
    made = Scratch(folder_of(str(folder), 7, number))
    made.make()
    return made


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scratch = attempt(tmp_path, 1)
    name = scratch.write_array("plan/inner/places.npy", np.arange(5))
    assert scratch.read_array(name).tolist() == [0, 1, 2, 3, 4]


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
