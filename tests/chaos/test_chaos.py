"""A short form of `make chaos`, as a user runs it: faults of every kind, and pairs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.conftest import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CHAOS = (sys.executable, "-m", "tests.chaos")


def left_over() -> list[str]:
    """Mounts, control groups and folders of chaos runs."""
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob("**/florin-chaos-*")]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if "florin-chaos" in line]
    return [*groups, *mounts, *map(str, Path(tempfile.gettempdir()).glob("florin-chaos-*"))]


def test_every_job_outlives_faults_of_every_kind(tmp_path: Path) -> None:
    before = left_over()
    file = tmp_path / "chaos.json"
    faults = "pause-taskmanager,kill-jobmanager,cut-worker,fill-checkpoints"
    command = [*CHAOS, "--seed=7", f"--faults={faults}", "--pairs=1", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert {result["job"] for result in told["results"]} == {"transfer", "cards", "read-model"}
    struck = {fault for result in told["results"] for fault in result["faults"]}
    assert struck == set(faults.split(",")) - set(told["skipped"])
    assert any(len(result["faults"]) == 2 for result in told["results"])
    assert left_over() == before


def test_ctrl_c_leaves_nothing_behind() -> None:
    before = left_over()
    command = [*CHAOS, "--jobs=transfer", "--faults=pause-kafka", "--pause=120", "--pairs=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def kafka_is_paused() -> bool:
        return any(is_paused_kafka(one) for one in psutil.process_iter())

    eventually("Kafka is paused", lambda: process.poll() is not None or kafka_is_paused())
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert left_over() == before


def is_paused_kafka(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED and "kafka.Kafka" in process.cmdline()
    except psutil.Error:
        return False
