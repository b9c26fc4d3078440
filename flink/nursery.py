"""A process beside each TaskManager that has imported what every worker imports, and forks workers in milliseconds.

A job's steps, its restarts and the next job would each spend two seconds of a core on importing Beam otherwise.
Florin's own modules are not imported here: a new version of them runs with the next worker.

Asked over a Unix socket in a folder of this user's own; it ends with its TaskManager, and a worker with its watcher.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import hashlib
import importlib
import json
import os
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flink.death import die_with

NURSERY, WORKER = "--florin-nursery", "--florin-worker"
"""What the command lines of these processes have."""
IMPORTED = (
    "apache_beam.runners.worker.sdk_worker_main", "apache_beam.portability.api.beam_provision_api_pb2_grpc",
    "click", "confluent_kafka", "croniter", "httpx", "isal.isal_zlib", "msgspec", "numba", "numpy.random",
    "procrastinate", "psycopg", "psycopg_pool", "pyarrow.compute", "pyarrow.csv", "rich.console", "tenacity",
    "yoyo",
)  # fmt: skip
"""Modules of other people that workers of all jobs import; one that is not installed is left out."""
MALLOPT = {"MALLOC_ARENA_MAX": -8, "MALLOC_TRIM_THRESHOLD_": -1}
"""Variables that glibc reads when a program starts, which a forked one does not, and their numbers in malloc.h."""
ANSWER_S = 120.0
PID = ".pid"
_MOST = 1 << 20

Work = Callable[[str, list[str]], None]


class Unable(Exception):
    """No worker can be had from a nursery: it has to be started the slow way."""


def place(taskmanager: int, program: str) -> Path:
    """The socket of the nursery of a TaskManager, this interpreter, and the packages that are installed now.

    Raises Unable if the folder for it cannot be trusted.
    """
    if not hasattr(os, "pidfd_open"):
        raise Unable("this kernel cannot tell the end of a process")
    began = Path(f"/proc/{taskmanager}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    stamps = [os.stat(where).st_mtime_ns for where in (program, __file__)]
    stamps += [os.stat(where).st_mtime_ns for where in sys.path if where.endswith("-packages")]
    key = hashlib.sha256(repr((taskmanager, began, sys.executable, stamps)).encode()).hexdigest()[:16]
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Unable(f"{folder} is not a folder of this user alone")
    return folder / f"{taskmanager}-{key}"


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"florin-nursery-{os.getuid()}"


def pids(taskmanager: int) -> list[int]:
    """Of a TaskManager's nurseries: more than one after packages have changed. Of one that was killed, too."""
    return [int(file.read_text(encoding="ascii")) for file in _folder().glob(f"{taskmanager}-*{PID}")]


def _obey_malloc(environment: dict[str, str]) -> None:
    """Do what glibc does of `MALLOPT`; to be called before there are threads."""
    found = {number: int(environment[name]) for name, number in MALLOPT.items() if name in environment}
    if found and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for number, value in found.items():
            libc.mallopt(number, value)


class Worker:
    """A forked worker, as its watcher sees it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid

    def ended(self, within_s: float) -> int | None:
        """Its exit code; None if it has not ended. 1 if the nursery is gone, and the worker with it."""
        self._connection.settimeout(within_s)
        try:
            told = self._connection.recv(_MOST)
        except TimeoutError:
            return None
        except OSError:
            told = b""
        return int(json.loads(told)["code"]) if told else 1

    def stop(self, within_s: float) -> None:
        """Kill it, and wait until it has ended."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self.ended(within_s)
        self._connection.close()


def fork(program: str, taskmanager: int, folder: str, arguments: list[str]) -> Worker:
    """A worker of the TaskManager's nursery, which is started if there is none. Raises Unable."""
    try:
        connection = _connect(place(taskmanager, program), program, taskmanager)
        told = {"folder": folder, "arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}
        connection.settimeout(ANSWER_S)
        socket.send_fds(connection, [json.dumps(told).encode()], [1, 2])
        answer = connection.recv(_MOST)
    except OSError as error:
        raise Unable(str(error)) from error
    if not answer:
        raise Unable("the nursery ended")
    return Worker(connection, int(json.loads(answer)["pid"]))


def _connect(path: Path, program: str, taskmanager: int) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with path.with_suffix(".lock").open("w") as lock:
        # Who comes first starts it; the others find its socket.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            connection.connect(str(path))
            return connection
        path.unlink(missing_ok=True)
        command = [sys.executable, program, NURSERY, str(path), str(taskmanager)]
        away = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=away, stdout=away, stderr=away, start_new_session=True)
        end = time.monotonic() + ANSWER_S
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.connect(str(path))
                return connection
            time.sleep(0.01)
    connection.close()
    raise Unable("the nursery does not start")


@dataclass
class _Child:
    pid: int
    pidfd: int
    connection: socket.socket


class Nursery:
    """The process itself: one thread, which waits for requests, ends of workers and watchers, and the TaskManager's."""

    def __init__(self, path: Path, taskmanager: int, work: Work) -> None:
        self._path, self._work = path, work
        path.with_suffix(PID).write_text(str(os.getpid()), encoding="ascii")
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._children: dict[int, _Child] = {}
        self._taskmanager = os.pidfd_open(taskmanager)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._taskmanager, selectors.EVENT_READ, self._end)

    def run(self) -> None:
        """Until the TaskManager has ended."""
        for name in IMPORTED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()
        try:
            while True:
                # One at a time: what it does may end what others wait for.
                for key, _ in self._selector.select()[:1]:
                    key.data()
        finally:
            for name in (PID, ".lock", ""):
                self._path.with_suffix(name).unlink(missing_ok=True)

    def _end(self) -> None:
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        raise SystemExit(0)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._fork(connection))

    def _fork(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        try:
            text, files, _, _ = socket.recv_fds(connection, _MOST, 2)
        except OSError:
            text, files = b"", []
        if not text:
            connection.close()
            return
        nursery = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_worker(nursery, connection, json.loads(text), files)
        for file in files:
            os.close(file)
        child = _Child(pid, os.pidfd_open(pid), connection)
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._reap(child))
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._kill(child))
        with contextlib.suppress(OSError):
            connection.send(json.dumps({"pid": pid}).encode())

    def _kill(self, child: _Child) -> None:
        """The watcher is gone or asks for the end."""
        self._selector.unregister(child.connection)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    def _reap(self, child: _Child) -> None:
        del self._children[child.pid]
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.connection)
        with contextlib.suppress(OSError):
            child.connection.send(json.dumps({"code": code}).encode())
        child.connection.close()

    def _be_worker(self, nursery: int, asked: socket.socket, told: dict[str, Any], files: list[int]) -> None:
        """In the new process; never returns."""
        code = 1
        try:
            die_with(nursery, signal.SIGKILL)()
            for number, file in enumerate(files, 1):
                os.dup2(file, number)
            self._selector.close()
            for kept in (self._listener, asked, *(child.connection for child in self._children.values())):
                kept.close()
            for file in (self._taskmanager, *files, *(child.pidfd for child in self._children.values())):
                os.close(file)
            os.environ.clear()
            os.environ.update(told["environment"])
            _obey_malloc(told["environment"])
            os.chdir(told["cwd"])
            self._work(told["folder"], told["arguments"])
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
