"""Cuts the network between a TaskManager's Python workers and Kafka: packets vanish, both ways, and nobody is told.

A program of five instructions in the kernel drops them, for sockets of the workers' control group. It is attached
by a descriptor of this process: whatever ends this process, kill -9 too, ends the cut. Needs root, cgroup v2 and
Linux 5.7.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_BPF = {"x86_64": 321, "aarch64": 280}
"""Number of the system call bpf(2)."""
_PROG_LOAD, _LINK_CREATE = 5, 28
_CGROUP_SKB = 8
_INGRESS, _EGRESS = 0, 1
# struct __sk_buff: the peer's port, in network order.
_REMOTE_PORT = 132


class CannotCut(RuntimeError):
    """This machine, or this user, cannot cut."""


def _bpf(command: int, attributes: bytes) -> int:
    """The call; a descriptor. Raises OSError."""
    call = _BPF.get(platform.machine())
    if call is None:
        raise OSError(f"the number of bpf(2) on {platform.machine()} is not known here")
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    found = int(libc.syscall(call, command, buffer, len(attributes)))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def _instruction(code: int, to: int, of: int, offset: int, value: int) -> bytes:
    return struct.pack("=BBhi", code, to | of << 4, offset, value)


def _program(port: int) -> int:
    """Loads: drop what goes to or comes from this port of a peer, let all else pass."""
    (value,) = struct.unpack("=i", struct.pack("=I", socket.htonl(port)))
    code = b"".join(
        (
            _instruction(0x61, 2, 1, _REMOTE_PORT, 0),  # r2 = skb->remote_port
            _instruction(0xB7, 0, 0, 0, 1),  # r0 = 1: pass
            _instruction(0x56, 2, 0, 1, value),  # if r2 != port: skip one
            _instruction(0xB7, 0, 0, 0, 0),  # r0 = 0: drop
            _instruction(0x95, 0, 0, 0, 0),  # return r0
        )
    )
    held, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"Apache-2.0")
    places = ctypes.addressof(held), ctypes.addressof(licence)
    return _bpf(_PROG_LOAD, struct.pack("=IIQQIIQI", _CGROUP_SKB, len(code) // 8, *places, 0, 0, 0, 0))


def _cgroups() -> Path:
    """Where cgroup v2 is mounted. Raises CannotCut."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise CannotCut("cgroup v2 is not mounted")


class Cutter:
    """Gives workers started with `command` control groups; those that a nursery forks share its."""

    def __init__(self, folder: Path, worker_command: str) -> None:
        """`folder` gets the script that `worker_command` is started by. Raises CannotCut."""
        if os.geteuid() != 0:
            raise CannotCut("needs root")
        self._groups = _cgroups() / f"florin-chaos-{os.getpid()}"
        try:
            os.close(_program(1))
            self._groups.mkdir()
        except OSError as error:
            raise CannotCut(f"the kernel refuses: {error.strerror or error}") from error
        script = folder / "worker"
        script.write_text(
            f'#!/bin/sh\nmkdir "{self._groups}/$$" && echo $$ > "{self._groups}/$$/cgroup.procs" || exit 1\n'
            f'exec "{worker_command}" "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        self.command = str(script)

    @contextmanager
    def cut(self, worker: psutil.Process, port: int) -> Iterator[None]:
        """Between the group of this worker and that port while the block runs."""
        with contextlib.ExitStack() as held:
            group = os.open(self._group_of(worker), os.O_RDONLY)
            held.callback(os.close, group)
            program = _program(port)
            held.callback(os.close, program)
            for way in (_INGRESS, _EGRESS):
                held.callback(os.close, _bpf(_LINK_CREATE, struct.pack("=IIII", program, group, way, 0)))
            yield

    def _group_of(self, worker: psutil.Process) -> Path:
        lines = Path(f"/proc/{worker.pid}/cgroup").read_text(encoding="ascii").splitlines()
        (place,) = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
        group = self._groups.parent / place.strip("/")
        assert group.parent == self._groups, f"a worker in {group}"
        return group

    def close(self) -> None:
        """Remove the control groups, whose processes have ended."""
        for group in (*self._groups.iterdir(), self._groups):
            if group.is_dir():
                with contextlib.suppress(OSError):  # of a worker that is just ending; an empty group costs nothing
                    group.rmdir()
