"""Processes are known by pid and start time, ports by their owner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from flink import processes
from flink.errors import StackError
from flink.processes import Ident

pytestmark = pytest.mark.unit


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_a_recycled_pid_is_not_taken_for_the_process_and_not_signalled() -> None:
    child = sleeper()
    try:
        ident = Ident.of(child.pid)
        assert ident is not None
        assert ident.alive()
        recycled = replace(ident, started=ident.started - 10)
        assert not recycled.alive()
        recycled.send(signal.SIGKILL)
        recycled.stop(1)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_stop_ends_a_process_that_ignores_sigterm() -> None:
    code = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    ident = Ident.of(child.pid)
    assert ident is not None
    ident.stop(0.3)
    assert child.wait(5) == -signal.SIGKILL


def test_no_process_no_ident() -> None:
    child = sleeper()
    child.kill()
    child.wait()
    assert Ident.of(child.pid) is None


def test_a_port_in_use_names_its_owner_and_the_option() -> None:
    with socket.socket() as server:
        server.bind((processes.LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(StackError) as error:
            processes.require_free(port, "Kafka", "--kafka-port")
    text = str(error.value)
    assert f"Port {port} for Kafka is taken by pid {os.getpid()}: " in text
    assert "`python -m flink up --kafka-port PORT`" in text
    assert "FLORIN_PORT_BASE=20000 make transfer" in text


def test_a_free_port_passes_and_is_given_once() -> None:
    taken: set[int] = set()
    first = processes.free_port(24000, taken)
    assert processes.free_port(24000, taken) > first
    processes.require_free(first, "Kafka", "--kafka-port")
