"""The worker start command of Beam's PROCESS environment: a watcher that dies with the TaskManager, and its worker.

The kernel ties a death signal to the *thread* that started a process, and a task's thread may end before its worker
should; so the process that Flink starts only watches: it ends the worker when the TaskManager is gone, and the worker
dies with it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
LOOK_MS = 500
STOP_S = 2.0
WORKER = "--florin-worker"


def _die_with(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def before_exec() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return before_exec


def _waiter(*pids: int) -> select.poll | None:
    """Tells at once when one of the processes ends, where the kernel can (Linux 5.3)."""
    if not hasattr(os, "pidfd_open"):
        return None
    poll = select.poll()
    try:
        for pid in pids:
            poll.register(os.pidfd_open(pid), select.POLLIN)
    except OSError:
        return None
    return poll


def watch(arguments: list[str]) -> int:
    """Runs the worker until it ends, the TaskManager ends, or Flink asks for the end."""
    taskmanager = os.getppid()
    folder = tempfile.mkdtemp(prefix="florin-worker-")
    command = [sys.executable, os.path.abspath(__file__), WORKER, folder, *arguments]
    worker = subprocess.Popen(command, preexec_fn=_die_with(os.getpid()))

    def stop(_signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, stop)
    try:
        waiter = _waiter(worker.pid, taskmanager)
        while worker.poll() is None and os.getppid() == taskmanager:
            if waiter is not None:
                waiter.poll(LOOK_MS)
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(LOOK_MS / 1000)
        return worker.returncode or 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait(STOP_S)
        shutil.rmtree(folder, ignore_errors=True)


def work(folder: str, arguments: list[str]) -> None:
    """Asks Flink for what Beam's boot binary would, then is the worker."""
    root = Path(__file__).resolve().parent
    # Started as a script: this folder must not shadow other packages; the checkout must be importable uninstalled too.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != root]
    for place in (root.parent / "io", root.parent):
        if (place / "florin_io").is_dir() or (place / "flink").is_dir():
            sys.path.append(str(place))

    # Google's libraries, which Beam imports, say so of a grpc that will be too old for them in 2027.
    warnings.filterwarnings("ignore", ".*Post-Quantum Cryptography", FutureWarning)

    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
    from apache_beam.runners.worker import sdk_worker_main
    from google.protobuf import text_format
    from google.protobuf.json_format import MessageToJson

    parser = argparse.ArgumentParser()
    for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint"):
        parser.add_argument("--" + name)
    asked, _ = parser.parse_known_args(arguments)
    channel = grpc.insecure_channel(asked.provision_endpoint)
    request = beam_provision_api_pb2.GetProvisionInfoRequest()
    stub: Any = beam_provision_api_pb2_grpc
    provision = stub.ProvisionServiceStub(channel)
    answer = provision.GetProvisionInfo(request, metadata=[("worker_id", asked.id)], timeout=60)
    channel.close()
    info = answer.info

    def descriptor(url: str) -> str:
        return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))

    os.environ.update(
        WORKER_ID=asked.id,
        PIPELINE_OPTIONS=MessageToJson(info.pipeline_options),
        LOGGING_API_SERVICE_DESCRIPTOR=descriptor(asked.logging_endpoint or info.logging_endpoint.url),
        CONTROL_API_SERVICE_DESCRIPTOR=descriptor(asked.control_endpoint or info.control_endpoint.url),
        SEMI_PERSISTENT_DIRECTORY=folder,
        RUNNER_CAPABILITIES=" ".join(info.runner_capabilities),
    )
    worker: Any = sdk_worker_main
    # What is imported stays; what a core keeps is not cyclic. The default would go through all of it again and again.
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    worker.main([sys.argv[0]])


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        work(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(watch(sys.argv[1:]))
