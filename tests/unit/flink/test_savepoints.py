"""The list of savepoints and the command that restores one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flink import savepoints
from flink.errors import StackError
from flink.records import JobRecord
from flink.savepoints import Savepoint

pytestmark = pytest.mark.unit
COMMAND = ["/venv/bin/python", "-m", "jobs.transfer", "--parallelism", "2", "--partitions=4"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLORIN_HOME", str(tmp_path))
    return tmp_path


def made(home: Path, name: str, job: str, time: float) -> Savepoint:
    folder = home / "savepoints" / name
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(b"x" * 1000)
    record = JobRecord(name=job, parallelism=2, command=COMMAND, folder=str(home))
    savepoint = Savepoint(f"file:{folder}", record, time)
    savepoints.register(savepoint)
    return savepoint


def test_the_list_is_newest_first_and_knows_job_and_size(home: Path) -> None:
    old, new = made(home, "savepoint-a", "transfer", 100.0), made(home, "savepoint-b", "cards", 200.0)
    assert savepoints.listed() == [new, old]
    assert savepoints.listed("transfer") == [old]
    assert old.bytes == 1000


def test_a_deleted_savepoint_is_not_listed(home: Path) -> None:
    savepoint = made(home, "savepoint-a", "transfer", 100.0)
    (home / "savepoints" / "savepoint-a" / "_metadata").unlink()
    (home / "savepoints" / "savepoint-a").rmdir()
    assert savepoints.listed() == []
    with pytest.raises(StackError, match="No savepoint or checkpoint of 'transfer'"):
        savepoints.choose("latest", savepoint.job.name)


def test_a_savepoint_is_chosen_by_latest_path_or_name(home: Path) -> None:
    old, new = made(home, "savepoint-a", "transfer", 100.0), made(home, "savepoint-b", "transfer", 200.0)
    assert savepoints.choose("latest") == new
    assert savepoints.choose("savepoint-a") == old
    assert savepoints.choose(old.path) == old
    assert savepoints.choose(str(home / "savepoints" / "savepoint-a")) == old
    with pytest.raises(StackError, match="no savepoint listed here"):
        savepoints.choose("savepoint-c")
    made(home, "savepoint-d", "cards", 300.0)
    with pytest.raises(StackError, match="of cards, transfer: name the job with --job"):
        savepoints.choose("latest")
    assert savepoints.choose("latest", "transfer") == new


def test_latest_may_be_the_checkpoint_that_a_crash_left(home: Path) -> None:
    made(home, "savepoint-a", "transfer", 100.0)
    for number in (9, 10):
        (home / "checkpoints" / "1234" / f"chk-{number}").mkdir(parents=True)
        (home / "checkpoints" / "1234" / f"chk-{number}" / "_metadata").write_bytes(b"x")
    JobRecord(name="transfer", parallelism=2, job_id="1234", command=COMMAND, folder=str(home)).save()
    JobRecord(name="cards", parallelism=2, job_id="5678", command=COMMAND, folder=str(home)).save()
    assert savepoints.choose("latest", "transfer").path == (home / "checkpoints" / "1234" / "chk-10").as_uri()
    with pytest.raises(StackError, match="No savepoint or checkpoint of 'cards'"):
        savepoints.choose("latest", "cards")


def test_a_savepoint_not_in_the_list_needs_its_job(home: Path) -> None:
    folder = home / "elsewhere"
    folder.mkdir()
    JobRecord(name="transfer", parallelism=2, command=COMMAND, folder=str(home)).save()
    assert savepoints.choose(str(folder), "transfer").path == folder.as_uri()
    with pytest.raises(StackError, match="There is no savepoint"):
        savepoints.choose(str(folder / "nothing"), "transfer")


def test_restore_runs_the_recorded_command_with_path_and_parallelism_replaced(home: Path) -> None:
    savepoint = made(home, "savepoint-a", "transfer", 100.0)
    expected = [*COMMAND[:3], "--partitions=4", "--detach"]
    assert savepoints.restore_command(savepoint) == [*expected, "--parallelism=2", f"--savepoint_path={savepoint.path}"]
    again = Savepoint("file:/x", JobRecord("transfer", 2, command=savepoints.restore_command(savepoint)), 1.0)
    assert savepoints.restore_command(again, 4) == [*expected, "--parallelism=4", "--savepoint_path=file:/x"]
