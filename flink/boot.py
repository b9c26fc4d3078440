"""The worker start command of Beam's PROCESS environment: a watcher that dies with the TaskManager, and its worker.

The kernel ties a death signal to the *thread* that started a process, and a task's thread may end before its worker
should; so the process that Flink starts only watches: it ends the worker when the TaskManager is gone, and the worker
dies with it. The worker is forked by the TaskManager's nursery (nursery.py); where there is none it is started anew.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

LOOK_S = 0.5
STOP_S = 2.0


class _Started:
    """A worker started by this process, for want of a nursery."""

    def __init__(self, folder: str, arguments: list[str]) -> None:
        from flink.death import die_with
        from flink.nursery import WORKER

        command = [sys.executable, os.path.abspath(__file__), WORKER, folder, *arguments]
        self._process = subprocess.Popen(command, preexec_fn=die_with(os.getpid(), signal.SIGKILL))

    def ended(self, within_s: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(within_s)
        return None

    def stop(self, within_s: float) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(within_s)


def watch(arguments: list[str]) -> int:
    """Runs the worker until it ends, the TaskManager ends, or Flink asks for the end; its exit code."""
    from flink import nursery

    taskmanager = os.getppid()

    def stop(_signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, stop)
    folder = tempfile.mkdtemp(prefix="florin-worker-")
    worker: nursery.Worker | _Started | None = None
    try:
        try:
            worker = nursery.fork(os.path.abspath(__file__), taskmanager, folder, arguments)
        except nursery.Unable as error:
            print(f"worker started without a nursery: {error}", file=sys.stderr)
            worker = _Started(folder, arguments)
        while os.getppid() == taskmanager:
            code = worker.ended(LOOK_S)
            if code is not None:
                return code
        return 0
    finally:
        if worker is not None:
            worker.stop(STOP_S)
        shutil.rmtree(folder, ignore_errors=True)


def _find_packages() -> None:
    """Started as a script: this folder must not shadow other packages; the checkout is importable uninstalled, too."""
    root = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != root]
    for place in (root.parent / "io", root.parent):
        if (place / "florin_io").is_dir() or (place / "flink").is_dir():
            sys.path.append(str(place))
    # Google's libraries, which Beam imports, say so of a grpc that will be too old for them in 2027.
    warnings.filterwarnings("ignore", ".*Post-Quantum Cryptography", FutureWarning)


def work(folder: str, arguments: list[str]) -> None:
    """Asks Flink for what Beam's boot binary would, then is the worker."""
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
    # Who posts a ledger has a file of each of its runs open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    worker.main([sys.argv[0]])


if __name__ == "__main__":
    _find_packages()
    from flink.nursery import NURSERY, WORKER, Nursery

    if sys.argv[1:2] == [WORKER]:
        work(sys.argv[2], sys.argv[3:])
    elif sys.argv[1:2] == [NURSERY]:
        Nursery(Path(sys.argv[2]), int(sys.argv[3]), work).run()
    else:
        sys.exit(watch(sys.argv[1:]))
