"""Submission behind --runner=FlinkRunner: our options' defaults, one small jar over REST, the wait until it runs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from google.protobuf import json_format

from flink import jars, paths, uber
from flink.config import write_atomic
from flink.errors import StackError
from flink.records import JobRecord
from flink.rest import TERMINAL, FlinkError, FlinkRest
from florin_io import endpoints

MAX_PARALLELISM = 128
CHECKPOINT_MS = 15_000
STATE_CACHE_MB = 200
# glibc gives each thread a heap of its own and keeps what was freed: blocks of rows would stay in each of them.
BOUNDED_ENV = {"MALLOC_ARENA_MAX": "1"}
RUNNING_S = 300
SLOTS_S = 15
# A job that failed this often before it ran once will not run.
TRIES = 3
# A restart that comes before a TaskManager is back fails with this, and says nothing of the job.
NO_SLOTS = "NoResourceAvailableException"
POLL_S = 0.1


class FlinkJavaOptions(PipelineOptions):
    """Options of Beam's Flink runner that only its Java half declares; unset ones are left to it."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument("--checkpointing_interval", type=int, help="Time between checkpoints in ms.")
        parser.add_argument("--max_bundle_size", type=int, help="Elements in a bundle at most.")
        parser.add_argument("--max_bundle_time_mills", type=int, help="Age of a bundle at most in ms.")
        parser.add_argument("--finish_bundle_before_checkpointing", action="store_true", default=None)


@dataclass(frozen=True)
class Cluster:
    """The Flink that was found, and how."""

    url: str
    origin: str
    version: str
    slots: int
    free: int

    def __str__(self) -> str:
        return f"Flink {self.version} at {self.url} ({self.origin}), {self.free} of {self.slots} slots free"


@dataclass(frozen=True)
class JobHandle:
    """A job that runs on its own; it goes on when this process ends."""

    job_id: str
    name: str
    flink: str
    seconds: float

    @property
    def web(self) -> str:
        return f"{self.flink}/#/job/running/{self.job_id}/overview"


def find_cluster(flink: str | None = None) -> Cluster:
    """The cluster at the address given, else of environment, local stack or default; raises if none answers."""
    found = endpoints.resolve(flink=flink)
    origin = found.origin["flink"]
    with FlinkRest(found.flink, 10) as rest:
        try:
            seen = rest.overview()
        except FlinkError as error:
            raise StackError(f"{error}\nThe address is from: {origin}.") from error
        return Cluster(rest.url, origin, seen["flink-version"], seen["slots-total"], seen["slots-available"])


def worker_command() -> str:
    """A script that starts a worker with this interpreter; FLORIN_WORKER names another, for a cluster elsewhere."""
    chosen = os.environ.get("FLORIN_WORKER")
    if chosen:
        return chosen
    boot = Path(__file__).with_name("boot.py")
    text = f'#!/bin/sh\nexec "{sys.executable}" "{boot}" "$@"\n'
    script = paths.home() / "bin" / f"worker-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not script.exists():
        script.parent.mkdir(parents=True, exist_ok=True)
        part = script.with_name(f"{script.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.chmod(0o755)
        part.replace(script)
    return str(script)


def flink_defaults(argv: list[str], job_name: str, parallelism: int | None, *, streaming: bool = True) -> list[str]:
    """The Beam options given, with ours for those not given; a parallelism of None is left to the cluster's default."""
    worker = {"command": worker_command()} | ({} if streaming else {"env": BOUNDED_ENV})
    defaults: dict[str, str | None] = {
        "runner": "FlinkRunner",
        "job_name": job_name,
        "parallelism": None if parallelism is None else str(parallelism),
        "max_parallelism": str(MAX_PARALLELISM),
        "environment_type": "PROCESS",
        "environment_config": json.dumps(worker),
        "max_cache_memory_usage_mb": str(STATE_CACHE_MB),
        # Our elements are batches: bundling them for a second would only delay them.
        "max_bundle_size": "1" if streaming else None,
        "max_bundle_time_mills": "20" if streaming else None,
    }
    if streaming:
        defaults["checkpointing_interval"] = str(CHECKPOINT_MS)
    given = {part[2:].split("=", 1)[0] for part in argv if part.startswith("--")}
    full = list(argv)
    full += [f"--{name}={value}" for name, value in defaults.items() if value is not None and name not in given]
    # Without the second an idle stream stalls: a checkpoint's outputs would wait for the next watermark.
    for switch in ("streaming", "finish_bundle_before_checkpointing") if streaming else ():
        if switch not in given:
            full.append(f"--{switch}")
    return full


class _Submitter(FlinkRunner):
    """Beam's Flink runner up to the pipeline's proto, which it keeps instead of starting a job server."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.jar = b""

    def run_portable_pipeline(self, pipeline: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> Any:
        options.view_as(StandardOptions).runner = None
        pipeline = self._optimize_pipeline(pipeline, options)
        for environment in pipeline.components.environments.values():
            # Workers have everything installed; Beam would upload a list of installed packages at each submission.
            del environment.dependencies[:]
        told = options.get_all_options(retain_unknown_options=True)
        told["flink_master"] = "[auto]"
        told.pop("savepoint_path", None)
        encoded = JobServiceHandle.encode_pipeline_options(told)
        self.jar = uber.job_jar(
            jars.class_path("beam"), json_format.MessageToJson(pipeline), json_format.MessageToJson(encoded)
        )


def _jar_of(pipeline: beam.Pipeline) -> bytes:
    jars.fetch(names=["beam"])
    submitter = _Submitter()
    pipeline.runner = submitter
    pipeline.run()
    return submitter.jar


def write_jar(pipeline: beam.Pipeline, file: Path) -> None:
    """Writes the pipeline as a jar for a Flink that runs it by itself, with `uber.ENTRY_CLASS` (application mode).

    It points to Beam's jars and names the worker command by path: both must be on that Flink's machines, too.
    """
    jar = _jar_of(pipeline)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, jar)


def submit(
    pipeline: beam.Pipeline, record: JobRecord, *, flink: str | None = None, savepoint: str | None = None,
    bounded: bool = False,
) -> JobHandle:  # fmt: skip
    """Submits the pipeline (options from `flink_defaults`) and returns when Flink says that all of it is RUNNING.

    Of a `bounded` one the later steps wait for the earlier ones: then it is enough that it has begun.
    `savepoint` resumes from that path. Raises StackError if no cluster answers, a job of this name runs already, slots
    are too few, or the job fails before it ran once. Then, and if interrupted, it is cancelled.
    """
    began = time.monotonic()
    cluster = find_cluster(flink)
    with FlinkRest(cluster.url) as rest:
        _refuse_second(rest, record.name)
        _wait_for_slots(rest, record.parallelism)
        jar = _jar_of(pipeline)
        job_id = ""
        try:
            with _interrupts_held():  # else nobody would know the id of a job that Flink has begun
                job_id = _start(rest, jar, savepoint)
            record = replace(record, job_id=job_id, flink=cluster.url)
            record.save()
            _wait_until_running(rest, job_id, bounded)
        except KeyboardInterrupt:
            if job_id:
                rest.cancel(job_id)
            raise
    return JobHandle(job_id, record.name, cluster.url, time.monotonic() - began)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C takes effect at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def _refuse_second(rest: FlinkRest, name: str) -> None:
    job = rest.find(name)
    if job is not None:
        raise StackError(
            f"A job {name!r} runs already ({job['jid']}, {job['state']}): a second one would fence it off.\n"
            f"Remedy: stop it with `python -m flink savepoint {name}`, or give this one another --job_name."
        )


def _wait_for_slots(rest: FlinkRest, wanted: int) -> None:
    """Slots of a job that just ended come free a moment later."""
    end = time.monotonic() + SLOTS_S
    while True:
        seen = rest.overview()
        if seen["slots-available"] >= wanted:
            return
        if seen["slots-total"] < wanted or time.monotonic() > end:
            running = ", ".join(job["name"] for job in rest.jobs() if job["state"] not in TERMINAL) or "none"
            raise StackError(
                f"The job needs {wanted} slots; {seen['slots-available']} of {seen['slots-total']} are free "
                f"(jobs: {running}).\nRemedy: a lower --parallelism, stop a job, or "
                f"`python -m flink taskmanagers {seen['slots-total'] - seen['slots-available'] + wanted}`."
            )
        time.sleep(POLL_S)


def _start(rest: FlinkRest, jar: bytes, savepoint: str | None) -> str:
    uploaded = rest.request("POST", "/jars/upload", files={"jarfile": ("florin.jar", jar, "application/java-archive")})
    jar_id = Path(uploaded["filename"]).name
    asked: dict[str, Any] = {"entryClass": uber.ENTRY_CLASS}
    if savepoint:
        asked |= {"savepointPath": savepoint, "allowNonRestoredState": False}
    try:
        return str(rest.request("POST", f"/jars/{jar_id}/run", json=asked, timeout=RUNNING_S)["jobid"])
    finally:
        rest.request("DELETE", f"/jars/{jar_id}")


def _wait_until_running(rest: FlinkRest, job_id: str, bounded: bool) -> None:
    end = time.monotonic() + RUNNING_S
    while True:
        job = rest.job(job_id)
        states = {vertex["status"] for vertex in job["vertices"]}
        begun = states & {"RUNNING", "FINISHED"}
        if job["state"] == "RUNNING" and (states <= begun or (bounded and begun)):
            return
        if job["state"] == "FINISHED":
            return
        failures = [text for text in rest.exceptions(job_id) if NO_SLOTS not in text]
        if job["state"] in TERMINAL or len(failures) >= TRIES or time.monotonic() > end:
            if job["state"] not in TERMINAL:
                rest.cancel(job_id)
            raise StackError(f"The job {job['name']} does not start ({job['state']}); cancelled.\n{cause(failures)}")
        time.sleep(POLL_S)


def cause(failures: list[str]) -> str:
    """What a person needs of Java stack traces: of the one that quotes a Python traceback that, else the causes."""
    if not failures:
        return "Flink names no cause; see `python -m flink logs jobmanager` and `logs taskmanager-1`."
    for text in failures:
        start = text.find("Traceback (most recent call last)")
        if start >= 0:
            lines = text[start:].splitlines()
            end = next((number for number, line in enumerate(lines) if line.startswith("\tat ")), len(lines))
            return "\n".join(line for line in lines[:end] if line.strip())
    lines = failures[-1].splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("at ", "... ")))
