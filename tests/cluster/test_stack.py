"""The local stack and submission, for real: up, status, submit, kill -9, savepoint, restore, rescale, down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flink.processes import pythons_of, workers_of
from flink.rest import FlinkError, FlinkRest
from tests.conftest import COMMAND_S, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]
JOB = Path(__file__).with_name("trivial_job.py")
BASE = 27_081 + os.getpid() % 25 * 20  # apart from a run that starts at the same time


class Stack:
    """One run folder and the commands on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {**os.environ, "FLORIN_HOME": str(home)}
        for name in ("FLORIN_FLINK", "FLORIN_KAFKA", "FLORIN_POSTGRES", "FLORIN_OBJECTS"):
            self.env.pop(name, None)

    def run(self, *command: str, expect: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *command], env=self.env, cwd=self.home.parent, capture_output=True, text=True,
            timeout=COMMAND_S,
        )  # fmt: skip
        assert done.returncode == expect, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr + done.stdout

    def flink(self, *command: str, expect: int = 0) -> str:
        return self.run("-m", "flink", *command, expect=expect)

    def up(self, base: int = BASE, expect: int = 0) -> str:
        return self.flink("up", "--port-base", str(base), "-n", "2", expect=expect)

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "stack.json").read_text()))

    def pid(self, name: str) -> int:
        return int(self.state["pids"][name]["pid"])

    def rest(self) -> FlinkRest:
        return FlinkRest(self.state["flink"])

    def ticks(self) -> int:
        """What the trivial job has counted since it was submitted, of Flink's metrics."""
        total = 0
        with self.rest() as rest:
            job = rest.job(rest.require("trivial")["jid"])
            for vertex in job["vertices"]:
                path = f"/jobs/{job['jid']}/vertices/{vertex['id']}/subtasks/metrics"
                names = [entry["id"] for entry in rest.get(path) if entry["id"].endswith("ticks")]
                total += sum(int(float(value)) for value in rest.metrics(path, names).values()) if names else 0
        return total


def gone(pids: list[int]) -> bool:
    return not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def family(pid: int) -> list[int]:
    """A process, first, its children and theirs, and of TaskManagers also what their nurseries have forked."""
    found = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    forked = {python.pid for one in found for python in pythons_of(one)}
    return [*found, *(forked - set(found))]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack") / "home")
    made.up()
    yield made
    made.flink("down", "--delete")


def test_up_again_says_already_running_and_shows_the_web_ui_first(stack: Stack) -> None:
    lines = stack.up().splitlines()
    assert lines[0].startswith("already running")
    assert lines[1].split() == ["Flink", "web", "UI", f"http://127.0.0.1:{BASE}"]


def test_status_shows_every_process_answering(stack: Stack) -> None:
    told = stack.flink("status")
    assert "slots: 2 free of 2" in told
    for name in ("jobmanager", "kafka", "postgres", "metrics"):
        [line] = [line for line in told.splitlines() if line.startswith(name)]
        assert line.split()[-1] == "yes"


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    pids = set(family(stack.state["supervisor"]["pid"]))
    links = [link for link in psutil.net_connections("inet") if link.pid in pids and link.status == "LISTEN"]
    assert len(links) >= 8
    assert {link.laddr.ip for link in links} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_flink_metrics_are_at_the_prometheus_address(stack: Stack) -> None:
    import httpx

    def pushed() -> bool:
        page = httpx.get(stack.state["prometheus"], trust_env=False).text
        return 'flink_jobmanager_numRegisteredTaskManagers{process="jobmanager"' in page and "taskmanager-2" in page

    eventually("metrics of all processes", pushed)


def test_a_second_stack_on_the_same_ports_names_the_owner(stack: Stack, tmp_path: Path) -> None:
    other = Stack(tmp_path / "other")
    told = other.up(expect=1)
    assert f"is taken by pid {stack.pid('kafka')}" in told
    assert "--kafka-port PORT" in told
    assert other.flink("status", expect=3).startswith("not running")


def test_a_job_submits_counts_and_survives_kill_9_of_taskmanager_and_worker(stack: Stack) -> None:
    job_id, seconds = stack.run(str(JOB)).split()[-2:]
    print(f"submitted in {seconds} s")
    with stack.rest() as rest:
        assert rest.require("trivial")["jid"] == job_id
    eventually("ticks", lambda: stack.ticks() > 20)
    assert "runs already" in stack.run(str(JOB), expect=1)

    taskmanager = stack.pid("taskmanager-1")
    victims = family(taskmanager)
    assert len(victims) >= 4, "the TaskManager, the watcher, the nursery and the worker"
    recover_from(stack, "a TaskManager", taskmanager)
    eventually("workers die with their TaskManager", lambda: gone(victims))

    worker = workers_of(stack.pid("taskmanager-2"))[0]
    recover_from(stack, "a worker", worker.pid)


def recover_from(stack: Stack, what: str, victim: int) -> None:
    """kill -9 a process that makes the job fail; wait until all of the job runs again."""
    began = time.monotonic()
    with stack.rest() as rest:
        job_id = rest.require("trivial")["jid"]
        known = len(rest.exceptions(job_id))
        os.kill(victim, signal.SIGKILL)
        eventually(f"the kill of {what} is noticed", lambda: len(rest.exceptions(job_id)) > known)

        def is_up() -> bool:
            job = rest.job(job_id)
            return job["state"] == "RUNNING" and {vertex["status"] for vertex in job["vertices"]} == {"RUNNING"}

        eventually(f"the job runs again after the kill of {what}", is_up)
    print(f"running again {time.monotonic() - began:.1f} s after kill -9 of {what}")


def test_savepoint_list_restore_and_rescale_by_name(stack: Stack) -> None:
    workers = [worker.pid for number in (1, 2) for worker in workers_of(stack.pid(f"taskmanager-{number}"))]
    assert workers
    told = stack.flink("savepoint", "trivial")
    assert "trivial stopped after" in told
    eventually("workers end with their job", lambda: gone(workers))
    assert "No job 'trivial' runs" in stack.flink("savepoint", "trivial", expect=1)
    assert "trivial" in stack.flink("savepoint", "--list")
    stack.flink("restore", "latest", "--parallelism", "1")
    with stack.rest() as rest:
        job = rest.require("trivial")
        assert rest.checkpoints(job["jid"])["latest"]["restored"]["is_savepoint"]
        assert {vertex["parallelism"] for vertex in rest.job(job["jid"])["vertices"]} == {1}
    stack.flink("rescale", "trivial", "3")
    with stack.rest() as rest:
        assert rest.overview()["slots-total"] == 3
        job = rest.require("trivial")
        assert {vertex["parallelism"] for vertex in rest.job(job["jid"])["vertices"]} == {3}
        rest.cancel(job["jid"])
    stack.flink("taskmanagers", "2")


def test_a_job_that_fails_at_start_tells_its_python_traceback_and_is_cancelled(stack: Stack) -> None:
    told = stack.run(str(JOB), "--fail", expect=1)
    assert "ValueError: this job was told to fail" in told
    with stack.rest() as rest:
        assert rest.find("trivial") is None


def test_too_few_slots_is_a_clear_error(stack: Stack) -> None:
    told = stack.run(str(JOB), "--parallelism", "5", expect=1)
    assert "needs 5 slots; 2 of 2 are free" in told
    assert "python -m flink taskmanagers 5" in told


def test_kafka_and_postgres_come_back_after_kill_9_with_their_data(stack: Stack) -> None:
    import psycopg
    from confluent_kafka.admin import AdminClient, NewTopic

    with psycopg.connect(stack.state["postgres"]) as connection:
        connection.execute("create table kept (x int); insert into kept values (7)")
    admin = AdminClient({"bootstrap.servers": stack.state["kafka"], "log_level": 0})
    admin.create_topics([NewTopic("kept", 2)])["kept"].result(30)
    killed = {name: stack.pid(name) for name in ("kafka", "postgres")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        pids = stack.state["pids"]
        if any(name not in pids or pids[name]["pid"] == pid for name, pid in killed.items()):
            return False
        told = stack.flink("status")
        return all(line.split()[-1] == "yes" for line in told.splitlines() if line.startswith(("kafka", "postgres")))

    eventually("both answer", back)
    with psycopg.connect(stack.state["postgres"]) as connection:
        assert connection.execute("select x from kept").fetchall() == [(7,)]
    assert len(admin.list_topics(timeout=30).topics["kept"].partitions) == 2


def resumed(stack: Stack, job_id: str) -> bool:
    """Whether the job runs again from one of its checkpoints."""
    try:
        with stack.rest() as rest:
            restored = rest.checkpoints(job_id)["latest"]["restored"]
            return (
                rest.job(job_id)["state"] == "RUNNING" and restored is not None and "chk-" in restored["external_path"]
            )
    except FlinkError:
        return False


def test_after_kill_9_of_the_jobmanager_its_successor_goes_on_with_the_job_from_its_last_checkpoint(
    stack: Stack,
) -> None:
    job_id = stack.run(str(JOB), "--checkpointing_interval=1000").split()[-2]
    with stack.rest() as rest:
        eventually("a checkpoint", lambda: rest.checkpoints(job_id)["counts"]["completed"] > 0)
    began, killed = time.monotonic(), stack.pid("jobmanager")
    os.kill(killed, signal.SIGKILL)
    eventually("the job runs again", lambda: resumed(stack, job_id))
    assert stack.pid("jobmanager") != killed
    print(f"running again {time.monotonic() - began:.1f} s after kill -9 of the JobManager")


def test_after_kill_9_of_the_supervisor_up_starts_clean_and_a_job_goes_on_from_its_last_checkpoint(
    stack: Stack,
) -> None:
    with stack.rest() as rest:
        job_id = rest.require("trivial")["jid"]
        checkpoints = rest.checkpoints(job_id)["counts"]["completed"]
        eventually("a checkpoint", lambda: rest.checkpoints(job_id)["counts"]["completed"] > checkpoints)
    everything = family(stack.state["supervisor"]["pid"])
    os.kill(everything[0], signal.SIGKILL)
    eventually("all children die with the supervisor", lambda: gone(everything))
    stack.flink("status", expect=3)
    assert "up after" in stack.up()
    eventually("the job runs again", lambda: resumed(stack, job_id))


def test_down_stops_everything_and_frees_the_ports(stack: Stack) -> None:
    everything = family(stack.state["supervisor"]["pid"])
    assert stack.flink("down").startswith("stopped")
    eventually("nothing is left", lambda: gone(everything))
    for port in range(BASE, BASE + 4):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert (stack.home / "savepoints").exists()
    assert not (stack.home / "ha").exists(), "the next `up` would start the jobs again"
    assert stack.flink("down").startswith("was not running")


def test_down_ends_jobs_which_resume_from_their_last_checkpoint_when_asked_to(stack: Stack) -> None:
    stack.up()
    with stack.rest() as rest:
        assert rest.jobs() == []
    stack.flink("restore", "latest", "--job", "trivial")
    with stack.rest() as rest:
        assert "chk-" in rest.checkpoints(rest.require("trivial")["jid"])["latest"]["restored"]["external_path"]


def test_ctrl_c_during_up_leaves_nothing_half_alive(tmp_path: Path) -> None:
    half = Stack(tmp_path / "half")
    command = [sys.executable, "-m", "flink", "up", "--port-base", str(BASE + 10), "-n", "1"]
    starting = subprocess.Popen(command, env=half.env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    eventually("the supervisor", (half.home / "stack.json").exists)
    eventually("some children", lambda: len(half.state["pids"]) >= 2)
    everything = family(half.state["supervisor"]["pid"])
    starting.send_signal(signal.SIGINT)
    try:
        assert starting.wait(COMMAND_S) != 0
        eventually("nothing is left", lambda: gone(everything))
        half.flink("status", expect=3)
    finally:
        half.flink("down")


def test_a_benchmark_that_is_terminated_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM, as from `timeout` or a CI that gives up, comes while its stack is starting."""
    code = "from bench.stack import bench_stack\nwith bench_stack(1):\n    raise SystemExit('up before it was stopped')"
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)
    eventually("the supervisor", lambda: bool(list(tmp_path.glob("florin-bench-*/home/stack.json"))))
    half = Stack(next(tmp_path.glob("florin-bench-*/home")))
    eventually("some children", lambda: len(half.state["pids"]) >= 2)
    everything = family(half.state["supervisor"]["pid"])
    bench.terminate()
    _, told = bench.communicate(timeout=COMMAND_S)
    assert bench.returncode != 0
    assert "up before it was stopped" not in told
    eventually("nothing is left", lambda: gone(everything))
    assert not list(tmp_path.glob("florin-bench-*"))
