"""Workers forked by a nursery: they end with their watcher and with the TaskManager, and tell how they ended."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flink import nursery
from flink.processes import pythons_of, workers_of
from tests.conftest import eventually

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="without pidfd_open workers are started anew each time"),
]

ROOT = Path(nursery.__file__).parents[1]
PROGRAM = f"""
import ctypes, os, sys, threading, time
from pathlib import Path
sys.path.append({str(ROOT)!r})
from flink import nursery

def work(folder, arguments):
    if arguments[0] == "end":
        raise SystemExit(int(arguments[1]))
    if arguments[0] == "fail":
        raise ValueError("this worker was told to fail")
    if arguments[0] == "heaps":
        libc = ctypes.CDLL(None)
        made = threading.Barrier(5)
        for _ in range(4):
            threading.Thread(target=lambda: (libc.malloc(1000), made.wait(), time.sleep(600)), daemon=True).start()
        made.wait()
        libc.malloc_stats()
        raise SystemExit(0)
    Path(folder, "worker").write_text(f"{{os.environ['TOLD']}} {{os.getcwd()}}")
    time.sleep(600)

if "--broken" in Path(__file__).read_text()[-20:]:
    sys.exit("this nursery was told not to start")
if sys.argv[1] == nursery.NURSERY:
    nursery.IMPORTED = ("no_such_module",)
    nursery.Nursery(Path(sys.argv[2]), int(sys.argv[3]), work).run()
"""


@pytest.fixture
def taskmanager(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a TaskManager; sockets are in a folder of the test's own, whose path is short."""
    tmp_path_factory.getbasetemp()  # else pytest's own would be made in there
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        process = subprocess.Popen(["sleep", "600"])
        yield process
        process.kill()
        process.wait()
        eventually("the nursery ends with its TaskManager", lambda: not pythons_of(process.pid))


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A program that is a nursery, whose workers wait or end as they are told."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return str(file)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def ended(worker: nursery.Worker) -> int | None:
    """Its exit code, when it has ended."""
    codes: list[int | None] = [None]

    def asked() -> bool:
        codes.append(worker.ended(0.1))
        return codes[-1] is not None

    eventually("the worker ends", asked)
    return codes[-1]


def test_a_worker_has_the_watchers_environment_and_folder(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", "by the watcher")
    monkeypatch.chdir(tmp_path)
    worker = nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    eventually("it works", (tmp_path / "worker").exists)
    assert (tmp_path / "worker").read_text() == f"by the watcher {tmp_path}"
    assert [process.pid for process in workers_of(taskmanager.pid)] == [worker.pid]
    assert worker.ended(0.01) is None
    worker.stop(10)
    assert gone(worker.pid)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.parametrize(("given", "heaps"), [({}, {2, 3, 4, 5}), ({"MALLOC_ARENA_MAX": "1"}, {1})])
def test_a_forked_worker_obeys_settings_that_glibc_reads_at_a_programs_start(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], given: dict[str, str], heaps: set[int],
) -> None:  # fmt: skip
    """Heaps of four threads and the first one."""
    for name in nursery.MALLOPT:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ended(nursery.fork(program, taskmanager.pid, str(tmp_path), ["heaps"])) == 0
    assert capfd.readouterr().err.count("Arena ") in heaps


def test_exit_codes_come_back(taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path) -> None:
    assert ended(nursery.fork(program, taskmanager.pid, str(tmp_path), ["end", "7"])) == 7
    assert ended(nursery.fork(program, taskmanager.pid, str(tmp_path), ["end", "0"])) == 0
    assert ended(nursery.fork(program, taskmanager.pid, str(tmp_path), ["fail"])) == 1
    worker = nursery.fork(program, taskmanager.pid, str(tmp_path), ["end", "0"])
    assert ended(worker) == 0
    assert len(pythons_of(taskmanager.pid)) == 1, "one nursery for all of them"


def test_a_killed_worker_is_told_and_the_next_one_starts(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", "x")
    first, second = (nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"]) for _ in range(2))
    os.kill(first.pid, signal.SIGKILL)
    assert ended(first) == -signal.SIGKILL
    assert second.ended(0.01) is None
    third = nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    assert {process.pid for process in workers_of(taskmanager.pid)} == {second.pid, third.pid}


def test_a_worker_dies_with_its_watcher(taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path) -> None:
    watcher = f"""
import sys, tempfile, time
sys.path.append({str(ROOT)!r})
from flink import nursery
tempfile.tempdir = {tempfile.tempdir!r}
worker = nursery.fork({program!r}, {taskmanager.pid}, {str(tmp_path)!r}, ["wait"])
print(worker.pid, flush=True)
time.sleep(600)
"""
    command, env = [sys.executable, "-c", watcher], {**os.environ, "TOLD": "x"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    assert psutil.pid_exists(worker)
    process.kill()
    process.wait()
    eventually("the worker ends", lambda: gone(worker))


def test_workers_and_nursery_die_with_their_taskmanager(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", "x")
    worker = nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    (keeper,) = set(pythons_of(taskmanager.pid)) - set(workers_of(taskmanager.pid))
    path = nursery.place(taskmanager.pid, program)
    assert path.exists()
    taskmanager.kill()
    taskmanager.wait()
    eventually("the worker ends", lambda: gone(worker.pid))
    eventually("the nursery takes its socket with it", lambda: not path.exists())
    assert keeper not in pythons_of(taskmanager.pid)


def test_after_a_kill_of_the_nursery_its_workers_are_gone_and_there_is_another(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", "x")
    worker = nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    (keeper,) = set(pythons_of(taskmanager.pid)) - set(workers_of(taskmanager.pid))
    keeper.kill()
    assert ended(worker) == 1
    eventually("the worker ends", lambda: gone(worker.pid))
    again = nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    assert again.ended(0.01) is None


def test_installed_packages_that_changed_have_a_nursery_of_their_own(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    before = nursery.place(taskmanager.pid, program)
    assert nursery.place(taskmanager.pid, program) == before
    os.utime(packages, (time.time(), time.time() + 5))
    assert nursery.place(taskmanager.pid, program) != before
    changed = nursery.place(taskmanager.pid, program)
    os.utime(program, (1, 1))
    assert nursery.place(taskmanager.pid, program) != changed


def test_a_nursery_that_does_not_start(taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path) -> None:
    with Path(program).open("a") as file:
        file.write("# --broken\n")
    with pytest.raises(nursery.Unable, match="does not start"):
        nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])


def test_a_folder_that_others_may_write_is_not_used(
    taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path
) -> None:
    folder = nursery.place(taskmanager.pid, program).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(nursery.Unable, match="not a folder of this user alone"):
        nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(nursery.Unable, match="not a folder of this user alone"):
        nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])


def test_a_server_that_hangs_up(taskmanager: subprocess.Popen[bytes], program: str, tmp_path: Path) -> None:
    path = nursery.place(taskmanager.pid, program)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen(1)
        pid = os.fork()
        if pid == 0:
            server.accept()[0].close()
            os._exit(0)
        with pytest.raises(nursery.Unable):
            nursery.fork(program, taskmanager.pid, str(tmp_path), ["wait"])
        os.waitpid(pid, 0)
