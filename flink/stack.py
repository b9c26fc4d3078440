"""Bringing the local stack up and down: settings, the supervisor, waiting until each server answers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flink import jars
from flink.children import flink_folder
from flink.config import StackConfig, write_files
from flink.errors import StackError
from flink.java import find_java
from flink.processes import LOOPBACK, Ident, require_free
from flink.rest import FlinkError, FlinkRest

# For a machine that is busy with other things; a server that ends again and again is told of at once.
READY_S = 180
START_S = 60
# Longer than the supervisor gives its slowest group of children.
STOP_S = 45
OPTIONS = {
    "kafka": "--kafka-port", "flink": "--flink-port", "postgres": "--postgres-port", "metrics": "--metrics-port",
    "objects": "--objects-port",
}  # fmt: skip
NAMES = {"metrics": "Prometheus metrics", "objects": "the object store"}


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time per run folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"Another `python -m flink` is starting or stopping the stack in {home}; wait for it."
            ) from error
        yield


def read_state(home: Path) -> dict[str, Any] | None:
    """stack.json, if the supervisor that wrote it lives."""
    try:
        state: dict[str, Any] = json.loads((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if Ident(**state["supervisor"]).alive() else None


def clean_stale(home: Path) -> list[str]:
    """Ends what a supervisor that died left behind (its children normally die with it); their names."""
    try:
        state: dict[str, Any] = json.loads((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    left = [(name, Ident(**ident)) for name, ident in state["pids"].items()]
    alive = [(name, ident) for name, ident in left if ident.alive()]
    for _, ident in alive:
        ident.stop(10)
    (home / "stack.json").unlink(missing_ok=True)
    return [name for name, _ in alive]


def start(config: StackConfig) -> None:
    """Starts the supervisor; raises if a port is taken or a package is missing."""
    find_java()
    flink_folder()
    for what, option in OPTIONS.items():
        require_free(getattr(config, what), NAMES.get(what, what.capitalize()), option)
    shutil.rmtree(config.folder / "tmp", ignore_errors=True)
    write_files(config)
    with (config.folder / "logs" / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flink.supervisor", config.home],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "FLORIN_HOME": config.home},
        )
    end = time.monotonic() + START_S
    while read_state(config.folder) is None:
        if process.poll() is not None or time.monotonic() > end:
            raise StackError(f"The supervisor did not start:\n{tail(config.folder / 'logs' / 'supervisor.log')}")
        time.sleep(0.02)


def answers(config: StackConfig) -> dict[str, Callable[[], bool]]:
    """For each server a question whether it answers now."""
    return {
        "zookeeper": lambda: _listens(config.zookeeper),
        "flink": lambda: _flink_answers(config),
        "kafka": lambda: _kafka_answers(config),
        "postgres": lambda: _postgres_answers(config),
        "metrics": lambda: _listens(config.metrics),
        "objects": lambda: _listens(config.objects),
    }


def wait_ready(config: StackConfig, say: Callable[[str], None]) -> None:
    """Waits until every server answers; an error shows the log of one that does not."""
    waiting = answers(config)
    began = time.monotonic()
    while waiting:
        for name in [name for name, question in waiting.items() if question()]:
            del waiting[name]
            say(f"{name} answers after {time.monotonic() - began:.1f} s")
        state = read_state(config.folder)
        restarts = state["restarts"] if state else {}
        failing = [name for name, count in restarts.items() if count >= 3]
        if state is None or failing or time.monotonic() - began > READY_S:
            name = failing[0] if failing else "supervisor" if state is None else next(iter(waiting), "supervisor")
            raise StackError(f"{name} does not start. The end of its log:\n{log_tail(config.folder, name)}")
        if waiting:
            time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _flink_answers(config: StackConfig) -> bool:
    if not _listens(config.flink):
        return False
    try:
        with FlinkRest(config.flink_url, 5) as rest:
            return int(rest.overview()["taskmanagers"]) >= config.taskmanagers
    except (FlinkError, KeyError):
        return False


def _kafka_answers(config: StackConfig) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    if not _listens(config.kafka):
        return False
    try:
        settings: dict[str, Any] = {"bootstrap.servers": config.kafka_address, "log_level": 0, "error_cb": _ignore}
        client = AdminClient(settings)
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _ignore(_: object) -> None:
    """Of a Kafka client that asks whether Kafka answers, errors are no news."""


def _postgres_answers(config: StackConfig) -> bool:
    import psycopg

    if not _listens(config.postgres):
        return False
    try:
        psycopg.connect(config.postgres_url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def stop(home: Path) -> bool:
    """Stops all the supervisor of this folder started; whether there was one."""
    state = read_state(home)
    if state is None:
        return bool(clean_stale(home))
    Ident(**state["supervisor"]).stop(STOP_S)
    clean_stale(home)
    return True


def forget_jobs(home: Path) -> None:
    """Deletes what the JobManager keeps of running jobs, so that the next `up` starts none."""
    for name in ("ha", "zookeeper"):
        shutil.rmtree(home / name, ignore_errors=True)


def up(config: StackConfig, say: Callable[[str], None]) -> bool:
    """The stack, running and answering; False if it ran already. Whatever interrupts this stops what it started."""
    with locked(config.folder):
        if read_state(config.folder) is not None:
            running = StackConfig.load(config.folder)
            wait_ready(running, lambda _: None)
            return False
        for name in clean_stale(config.folder):
            say(f"stopped {name}, left from a run that crashed")
        jars.fetch()
        try:
            with _interruptible():
                start(config)
                wait_ready(config, say)
        except BaseException:
            stop(config.folder)
            raise
        return True


def scale(config: StackConfig, taskmanagers: int) -> None:
    """Another number of TaskManagers in a running stack; waits until they are registered."""
    state = read_state(config.folder)
    if state is None:
        raise StackError(f"The stack is not running in {config.folder}. Remedy: python -m flink up")
    wanted = replace(config, taskmanagers=taskmanagers)
    wanted.save()
    Ident(**state["supervisor"]).send(signal.SIGHUP)
    end = time.monotonic() + READY_S
    while not _flink_answers(wanted):
        if time.monotonic() > end:
            raise StackError(f"{taskmanagers} TaskManagers do not start; see {config.folder / 'logs'}")
        time.sleep(0.1)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, also in a shell's background job, where SIGINT is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signum, signal.default_int_handler) for signum in signals]
    try:
        yield
    finally:
        for signum, handler in zip(signals, before, strict=True):
            signal.signal(signum, handler)


def tail(file: Path, lines: int = 25) -> str:
    try:
        return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def log_files(home: Path, name: str) -> list[Path]:
    """The log of a server, and what it wrote to its standard output."""
    found = [home / "logs" / f"{name}.log", home / "logs" / f"{name}.out"]
    return [file for file in found if file.exists() and file.stat().st_size]


def log_tail(home: Path, name: str) -> str:
    return "\n".join(tail(file) for file in log_files(home, name))
