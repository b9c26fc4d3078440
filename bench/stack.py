"""A local stack of the benchmark's own, and what its processes cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import psutil

from flink.processes import is_free, pythons_of

SPARE_PORTS = 8
_ADDRESSES = (
    "FLORIN_HOME", "FLORIN_KAFKA", "FLORIN_FLINK", "FLORIN_POSTGRES", "FLORIN_OBJECTS", "STORAGE_EMULATOR_HOST",
)  # fmt: skip


class BenchStack:
    """A running stack in a folder of its own; commands run against it as a user's would."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, module: str, *arguments: str) -> None:
        """Run one of our commands; its output goes to standard error. Raises CalledProcessError."""
        _call([sys.executable, "-m", module, *arguments], sys.stderr)

    def output(self, module: str, *arguments: str) -> str:
        """Run one of our commands; returns what it printed. Raises CalledProcessError."""
        return _call([sys.executable, "-m", module, *arguments], subprocess.PIPE)

    def addresses(self) -> dict[str, str]:
        """kafka, flink, postgres."""
        state = json.loads((self.home / "stack.json").read_text())
        return {name: state[name] for name in ("kafka", "flink", "postgres")}

    def pids(self) -> dict[str, int]:
        """Process ids of the servers by name."""
        state = json.loads((self.home / "stack.json").read_text())
        return {name: ident["pid"] for name, ident in state["pids"].items()}

    def taskmanagers_at_work(self) -> list[int]:
        """Pids of the TaskManagers that have a worker process."""
        pids = [pid for name, pid in self.pids().items() if name.startswith("taskmanager")]
        return [pid for pid in pids if psutil.Process(pid).children()]

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far: kafka, jobmanager, taskmanagers, workers, postgres, load generator (us)."""
        used: dict[str, float] = defaultdict(float, {"load generator": _cpu(psutil.Process())})
        for name, pid in self.pids().items():
            server = psutil.Process(pid)
            started = pythons_of(pid) if name.startswith("taskmanager") else server.children(recursive=True)
            children = sum(_cpu(child) + _cpu_of_ended(child) for child in started) + _cpu_of_ended(server)
            if name.startswith("taskmanager"):
                used["taskmanagers"] += _cpu(server)
                used["workers"] += children
            else:
                used[name] += _cpu(server) + children
        return used

    def workers_rss(self) -> int:
        """Resident bytes of all worker processes."""
        pids = [pid for name, pid in self.pids().items() if name.startswith("taskmanager")]
        children = [child for pid in pids for child in pythons_of(pid)]
        return sum(_rss(child) for child in children)

    def workers_memory(self) -> tuple[int, int]:
        """Resident bytes of all worker processes, and how many of them are not mapped from files or shared."""
        pids = [pid for name, pid in self.pids().items() if name.startswith("taskmanager")]
        found = [_memory(child) for pid in pids for child in pythons_of(pid)]
        return sum(rss for rss, _ in found), sum(own for _, own in found)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends this process as Ctrl-C does."""


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def _call(command: list[str], stdout: int | IO[str]) -> str:
    """Run a command; returns what it printed. An interrupted one ends by itself: it may have things to put away."""
    with subprocess.Popen(command, stdout=stdout, text=True) as child:
        try:
            told, _ = child.communicate()
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, _Terminated):  # Ctrl-C the terminal tells it, too
                child.send_signal(signal.SIGINT)
            child.communicate()
            raise
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return told or ""


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
        return float(times.user + times.system)
    except psutil.NoSuchProcess:
        return 0.0


def _cpu_of_ended(process: psutil.Process) -> float:
    """What its children used that have ended, as workers of bounded jobs and connections of PostgreSQL do."""
    try:
        times = process.cpu_times()
        return float(times.children_user + times.children_system)
    except psutil.NoSuchProcess:
        return 0.0


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _memory(process: psutil.Process) -> tuple[int, int]:
    try:
        info = process.memory_info()
    except psutil.NoSuchProcess:
        return 0, 0
    return int(info.rss), int(info.rss - info.shared)


@contextmanager
def bench_stack(taskmanagers: int) -> Iterator[BenchStack]:
    """Start a stack on free ports, point this process and its children to it, and stop and delete it at the end.

    Also when SIGINT or SIGTERM asks for the end.
    """
    with tempfile.TemporaryDirectory(prefix="florin-bench-") as folder:
        home = Path(folder) / "home"
        before = {name: os.environ.pop(name, None) for name in _ADDRESSES}
        os.environ["FLORIN_HOME"] = str(home)
        stack = BenchStack(home)
        handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            stack.run("flink", "up", "-n", str(taskmanagers), "--port-base", str(_free_base()))
            yield stack
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough, as a second would leave the stack up
            stack.run("flink", "down", "--delete")
            signal.signal(signal.SIGTERM, handler)
            os.environ.pop("FLORIN_HOME")
            os.environ.update({name: value for name, value in before.items() if value is not None})


def _free_base() -> int:
    """A port with some free ones behind it."""
    for base in range(24_000, 30_000, 100):
        if all(is_free(port) for port in range(base, base + SPARE_PORTS)):
            return base
    raise RuntimeError("no free ports between 24000 and 30000")
