"""Options filled in for Flink, and what a user is told of a job that fails."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf import json_format

from flink import nursery, submit
from flink.errors import StackError
from flink.records import JobRecord

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLORIN_HOME", str(tmp_path))
    for name in ("FLORIN_FLINK", "FLORIN_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_what_is_not_given_is_filled_in() -> None:
    options = submit.flink_defaults([], "transfer", 2)
    assert {
        "--runner=FlinkRunner",
        "--parallelism=2",
        "--max_parallelism=128",
        "--checkpointing_interval=15000",
        "--max_bundle_size=1",
        "--max_bundle_time_mills=20",
        "--finish_bundle_before_checkpointing",
        "--streaming",
    } <= set(options)


@pytest.mark.parametrize("given", [["--checkpointing_interval=30000"], ["--checkpointing_interval", "30000"]])
def test_what_is_given_stays(given: list[str]) -> None:
    options = submit.flink_defaults(given, "transfer", 2)
    assert [part for part in options if part.startswith("--checkpointing_interval")] == given[:1]


def test_the_worker_command_is_a_script_of_this_interpreter(home: Path) -> None:
    script = Path(submit.worker_command())
    assert os.access(script, os.X_OK)
    assert submit.worker_command() == str(script)
    assert script.is_relative_to(home)


def test_another_worker_command_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORIN_WORKER", "/opt/florin/worker")
    options = submit.flink_defaults([], "transfer", 2)
    [config] = [part.split("=", 1)[1] for part in options if part.startswith("--environment_config=")]
    assert json.loads(config) == {"command": "/opt/florin/worker"}


def test_workers_of_bounded_jobs_keep_what_was_freed_in_one_heap() -> None:
    options = submit.flink_defaults([], "subledger", 2, streaming=False)
    [config] = [part.split("=", 1)[1] for part in options if part.startswith("--environment_config=")]
    assert json.loads(config)["env"] == {"MALLOC_ARENA_MAX": "1"}
    assert set(submit.BOUNDED_ENV) <= set(nursery.MALLOPT)


def test_no_cluster_names_address_its_origin_and_the_command_that_starts_one() -> None:
    with pytest.raises(StackError) as error:
        submit.find_cluster("127.0.0.1:9")
    assert "No Flink answers at http://127.0.0.1:9 " in str(error.value)
    assert "address is from: option" in str(error.value)
    assert "python -m flink up" in str(error.value)


def test_submitting_without_a_cluster_fails_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flink.jars.fetch", lambda names: 0)
    pipeline = beam.Pipeline(options=PipelineOptions(submit.flink_defaults([], "transfer", 2)))
    with pytest.raises(StackError, match="No Flink answers"):
        submit.submit(pipeline, JobRecord("transfer", 2), flink="127.0.0.1:9")


def test_ctrl_c_while_flink_begins_the_job_cancels_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[str] = []

    class Rest(submit.FlinkRest):
        def request(self, method: str, path: str, **_: Any) -> Any:
            return {"/overview": {"slots-available": 1, "slots-total": 1}, "/jobs/overview": {"jobs": []}}[path]

        def cancel(self, job_id: str, wait_s: float = 60) -> None:
            cancelled.append(job_id)

    def begin(*_: object) -> str:
        signal.raise_signal(signal.SIGINT)
        return "a-job"

    monkeypatch.setattr(submit, "FlinkRest", Rest)
    monkeypatch.setattr(submit, "find_cluster", lambda _: submit.Cluster("http://127.0.0.1:1", "", "1.20", 1, 1))
    monkeypatch.setattr(submit, "_jar_of", lambda _: b"")
    monkeypatch.setattr(submit, "_start", begin)
    with pytest.raises(KeyboardInterrupt):
        submit.submit(beam.Pipeline(), JobRecord("transfer", 1))
    assert cancelled == ["a-job"]


def test_of_a_failed_job_the_python_traceback_is_told() -> None:
    java = "java.lang.RuntimeException: Failed to finish\n\tat a.b.C(C.java:1)\nCaused by: java.lang.NullPointer"
    python = (
        "java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):\n"
        '  File "shards.py", line 1, in process\nValueError: partition 3\n\n'
        "\tat org.apache.beam.X(X.java:1)\nCaused by: y"
    )
    told = submit.cause([java, python])
    assert told.splitlines()[0] == "Traceback (most recent call last):"
    assert told.splitlines()[-1] == "ValueError: partition 3"
    assert submit.cause([java]) == "java.lang.RuntimeException: Failed to finish\nCaused by: java.lang.NullPointer"
    assert "logs jobmanager" in submit.cause([])


def test_a_jar_leaves_parallelism_and_savepoint_to_the_flink_that_runs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("flink.jars.fetch", lambda names: 0)
    monkeypatch.setenv("FLORIN_WORKER", "/opt/florin/bin/worker")
    told = submit.flink_defaults(["--flink_master=elsewhere"], "transfer", None)
    pipeline = beam.Pipeline(options=PipelineOptions(told))
    _ = pipeline | "Nothing" >> beam.Impulse()
    submit.write_jar(pipeline, file := tmp_path / "jobs" / "transfer.jar")
    assert [found.name for found in file.parent.iterdir()] == [file.name]
    with zipfile.ZipFile(file) as jar:
        graph = jar.read("BEAM-PIPELINE/pipeline/pipeline.json")
        options = json.loads(jar.read("BEAM-PIPELINE/pipeline/pipeline-options.json"))
    found = json_format.Parse(graph, beam_runner_api_pb2.Pipeline()).components.environments.values()
    commands = [beam_runner_api_pb2.ProcessPayload.FromString(environment.payload).command for environment in found]
    assert commands == ["/opt/florin/bin/worker"]
    names = {name.removeprefix("beam:option:").removesuffix(":v1"): value for name, value in options.items()}
    assert names["job_name"] == "transfer"
    assert names["flink_master"] == "[auto]"
    assert str(names["parallelism"]) == "-1", "Beam's word for: the cluster's default"
