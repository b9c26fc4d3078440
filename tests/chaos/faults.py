"""The faults: what is done to which process of a running stack, and undone."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import psutil

from flink.config import StackConfig
from flink.processes import workers_of
from flink.rest import FlinkError
from flink.stack import answers
from tests.chaos.cut import Cutter
from tests.chaos.disk import SmallDisk
from tests.conftest import Florin, eventually

PARTS = ("taskmanager", "worker", "jobmanager", "zookeeper", "kafka", "postgres", "objects")
SERVERS = PARTS[2:]
ACTS = {
    "kill": "SIGKILL, without a word",
    "pause": "SIGSTOP, and SIGCONT after --pause seconds",
    "restart": "asked to end; the supervisor starts it again",
}


class Interrupted(Exception):
    """A fault was cut short, since the run is to end."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to one part of the stack."""

    act: str
    part: str

    @property
    def name(self) -> str:
        """As a user writes it."""
        return f"{self.act}-{self.part}"

    @property
    def keeps_records_from_kafka(self) -> bool:
        """Whether senders may be late, too."""
        return self.part == "kafka"


CUT, FILL = Fault("cut", "worker"), Fault("fill", "checkpoints")
FAULTS = (*(Fault(act, part) for part in PARTS for act in ACTS), CUT, FILL)


def chosen(words: list[str]) -> list[Fault]:
    """The faults that a word names, or the act or part of which one does; all without words. Raises ValueError."""
    known = {word for fault in FAULTS for word in (fault.name, fault.act, fault.part)}
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"no fault {unknown[0]!r}; there are {', '.join(fault.name for fault in FAULTS)}")
    wanted = set(words) or known
    return [fault for fault in FAULTS if wanted & {fault.name, fault.act, fault.part}]


@dataclass
class Scene:
    """A job on a stack, and what faults need to strike there; `stop` ends faults that last."""

    florin: Florin
    job: str
    pause_s: float
    stop: threading.Event
    cutter: Cutter | None = None
    disk: SmallDisk | None = None

    def victim(self, fault: Fault, random: Random) -> psutil.Process | None:
        """The process that it strikes, one that works for the job."""
        if fault == FILL:
            return None
        if fault.part in SERVERS:
            return psutil.Process(self.florin.pid(fault.part))
        taskmanagers = [psutil.Process(self.florin.pid(name)) for name in self._taskmanagers()]
        if fault.part == "taskmanager":
            return random.choice(taskmanagers)
        workers = [worker for taskmanager in taskmanagers for worker in workers_of(taskmanager.pid)]
        return random.choice(sorted(workers, key=lambda worker: worker.pid))

    def strike(self, fault: Fault, victim: psutil.Process | None) -> None:
        """Do it; returns when it is over: the process has a successor, is awake again, the disk has room.

        What a victim works for may be down already by another fault. Raises Interrupted, AssertionError.
        """
        if fault == FILL:
            self._fill()
        elif victim is not None and fault == CUT:
            assert self.cutter is not None
            with self.cutter.cut(victim, StackConfig.load(self.florin.home).kafka):
                self._wait()
        elif victim is not None and fault.act == "pause":
            self._pause(victim, with_children=fault.part == "postgres")
        elif victim is not None:
            asked = signal.SIGINT if fault.part == "postgres" else signal.SIGTERM
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL if fault.act == "kill" else asked)
            eventually(f"the end of {fault.part}", lambda: not victim.is_running() or _is_zombie(victim))

    def whole(self) -> bool:
        """Whether every server answers and all of the job runs."""
        try:
            state = self.florin.state
            config = StackConfig.load(self.florin.home)
            servers = len(state["pids"]) == len(state["restarts"]) and all(ask() for ask in answers(config).values())
            return servers and self.florin.runs(self.job)
        except (FlinkError, OSError, ValueError, KeyError):
            return False

    def _wait(self) -> None:
        if self.stop.wait(self.pause_s):
            raise Interrupted

    def _pause(self, victim: psutil.Process, *, with_children: bool) -> None:
        with ExitStack() as held:
            for process in (victim, *(victim.children(recursive=True) if with_children else ())):
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
                    held.callback(_resume, process)
            self._wait()

    def _fill(self) -> None:
        """Until a checkpoint has failed; then there is room, and one succeeds."""
        assert self.disk is not None
        began = time.time()
        with self.disk.full():
            assert self.disk.is_full()
            eventually("a checkpoint fails", lambda: self._checkpoint("failed", "failure_timestamp", began))
        room = time.time()
        eventually("a checkpoint is made", lambda: self._checkpoint("completed", "trigger_timestamp", room))

    def _checkpoint(self, which: str, stamp: str, since: float) -> bool:
        """Whether Flink knows of one that failed, or was completed, since then."""
        if self.stop.is_set():
            raise Interrupted
        try:
            with self.florin.rest() as rest:
                latest = rest.checkpoints(rest.require(self.job)["jid"])["latest"][which]
        except FlinkError:
            return False
        return latest is not None and latest[stamp] / 1000 > since

    def _taskmanagers(self) -> list[str]:
        """Names of those that run the job, in order."""
        with self.florin.rest() as rest:
            job = rest.job(rest.require(self.job)["jid"])
            subtasks: list[dict[str, Any]] = []
            for vertex in job["vertices"]:
                subtasks += rest.get(f"/jobs/{job['jid']}/vertices/{vertex['id']}")["subtasks"]
        return sorted({str(subtask["taskmanager-id"]) for subtask in subtasks})


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
