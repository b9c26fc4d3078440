"""Identity of processes (a recycled pid is never signalled) and of the owners of ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass

import psutil

from flink import nursery
from flink.errors import StackError

LOOPBACK = "127.0.0.1"
PORT_BASE = "FLORIN_PORT_BASE"
"""What names the ports where `--port-base` cannot be given."""
# Two readings of one process's start time agree; another process with its pid started later.
SAME_START_S = 0.05


@dataclass(frozen=True)
class Ident:
    """A process for certain: its pid and its start time (s since the epoch)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Ident | None:
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def send(self, signum: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def stop(self, seconds: float, signum: int = signal.SIGTERM) -> None:
        """Asks it to end and, past that time, ends it."""
        self.send(signum)
        if not self.wait(seconds):
            self.send(signal.SIGKILL)
            self.wait(5)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def owner(port: int) -> str:
    """The process that listens on a port, in words."""
    with contextlib.suppress(psutil.Error):
        for link in psutil.net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr and link.laddr[1] == port and link.pid:
                with contextlib.suppress(psutil.Error):
                    command = " ".join(psutil.Process(link.pid).cmdline())
                    return f"pid {link.pid}: {command[:120]}{'...' if len(command) > 120 else ''}"
    return "a process that this user may not see"


def require_free(port: int, what: str, option: str) -> None:
    """Raises with the owner's name and the ways to choose another port."""
    if not is_free(port):
        raise StackError(
            f"Port {port} for {what} is taken by {owner(port)}.\nRemedy: stop it, or "
            f"`python -m flink up {option} PORT`, or move all ports, for make too: {PORT_BASE}=20000 make transfer"
        )


def free_port(start: int, taken: set[int]) -> int:
    """The next free port from there on that is not spoken for; below the range of outgoing connections."""
    for port in range(start, start + 1000):
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise StackError(f"No free port between {start} and {start + 1000}.")


def workers_of(taskmanager: int) -> list[psutil.Process]:
    """The Python processes that run a TaskManager's bundles: forked by its nursery, or started without one."""
    nurseries = {process.pid for process in _nurseries(taskmanager)}
    found = []
    for process in pythons_of(taskmanager):
        with contextlib.suppress(psutil.Error):
            if process.ppid() in nurseries or nursery.WORKER in process.cmdline():
                found.append(process)
    return found


def pythons_of(taskmanager: int) -> list[psutil.Process]:
    """All that a TaskManager has started: workers, their watchers, the nursery (whose starter has ended)."""
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        found |= {one.pid: one for one in psutil.Process(taskmanager).children(recursive=True)}
    for process in _nurseries(taskmanager):
        with contextlib.suppress(psutil.Error):
            found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


def _nurseries(taskmanager: int) -> list[psutil.Process]:
    found = []
    for pid in nursery.pids(taskmanager):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if nursery.NURSERY in process.cmdline():
                found.append(process)
    return found
