"""One attempt at loading a request's files: a bounded Beam job that publishes the request, or refuses it for good."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from flink import submit
from flink.records import JobRecord
from flink.rest import TERMINAL, FlinkError, FlinkRest
from florin_io import endpoints, pgcopy
from florin_io.postgres import Connection, patiently
from jobs.slow import COMPILING, told_if_slow
from jobs.subledger.endings import job_name
from transforms.subledger import warm
from transforms.subledger.settings import Settings
from transforms.subledger_db import requests, schema
from transforms.subledger_db.model import Fenced, Request
from transforms.subledger_load.graph import LoadLedger
from transforms.subledger_load.model import InputFile, Load
from transforms.subledger_load.scratch import Scratch, delete_attempts, folder_of

_LOG = logging.getLogger(__name__)
_POLL_S, _MOST_POLL_S = 0.2, 1.0
_GIVE_UP_S = 60.0
# A TaskManager that is killed costs one failure or two; a fault of the program comes back each time.
_MOST_FAILURES = 6
# Nothing that a restart of the job would help.
_LASTING = ("StagingLost", "PeriodClosed", "Fenced", "ObjectExists", "ScratchLost")


class LoadFailed(RuntimeError):
    """The attempt failed, and another one may succeed."""


@dataclass(frozen=True)
class LoadOptions:
    """Where everything is, and how many hands there are. What is None is found as the local stack has it."""

    postgres: str
    schema: str = schema.DEFAULT_SCHEMA
    runner: str = "FlinkRunner"
    parallelism: int = 2
    connections: int = 4
    """COPY connections of all workers together; each has at least one."""
    scratch: str | None = None
    """Folder for what lies between the stages; one that all TaskManagers reach."""
    audit: str | None = None
    """Folder or gs:// prefix where a copy of every input file is kept; None: no copies."""
    flink: str | None = None
    objects: str | None = None
    slots_s: float = 600.0
    """How long to wait for free slots."""


@dataclass(frozen=True)
class Outcome:
    """How the request ended: PUBLISHED, or FAILED (for good) with the reason."""

    state: str
    message: str = ""
    job_id: str | None = None


def run(request_id: int, attempt: int, options: LoadOptions) -> Outcome:
    """Load, and wait until the request is published or refused.

    Raises Fenced if the attempt is overtaken or the request cancelled; LoadFailed and errors of Flink and PostgreSQL
    if another attempt may succeed. When it is interrupted it cancels the Flink job.
    """
    with _connected(options) as connection:
        request = requests.load(connection, request_id)
        if request.attempt != attempt or request.state != "RUNNING":
            raise Fenced(f"request {request_id} is {request.state} in attempt {request.attempt}, not in {attempt}")
        requests.report_progress(connection, request_id, attempt, "kernels", stage="preparing")
    delete_scratch(options, request_id, attempt)
    load = _load_of(request, attempt, options, folder_of(_scratch(options), request_id, attempt))
    Scratch(load.scratch).make()
    with told_if_slow(lambda: _say_stage(load, options, COMPILING)):
        _compile_kernels()
    try:
        job_id = _run_pipeline(load, options)
    finally:
        delete_scratch(options, request_id, attempt)
    return _outcome(request_id, attempt, options, job_id)


def delete_scratch(options: LoadOptions, request_id: int, last: int) -> None:
    """Remove what the attempts of a request left in the scratch folder, up to the given one."""
    delete_attempts(_scratch(options), request_id, last)


def _scratch(options: LoadOptions) -> str:
    """Requests are numbered in each schema, and several may share a folder."""
    return str(Path(options.scratch or Path(tempfile.gettempdir()) / "florin-subledger") / options.schema)


def _say_stage(load: Load, options: LoadOptions, stage: str) -> None:
    _LOG.info("request %d: %s", load.request.request_id, stage)
    with _connected(options) as connection:
        requests.report_progress(connection, load.request.request_id, load.attempt, "kernels", stage=stage)


def _compile_kernels() -> None:
    """Compile what workers will call, once per version; one process at a time, so that the next one finds it done."""
    with (Path(tempfile.gettempdir()) / f"florin-kernels-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        warm.warm_up()
        pgcopy.warm_up()


def _load_of(request: Request, attempt: int, options: LoadOptions, scratch: str) -> Load:
    entity = request.entity
    settings = Settings(
        tenant=entity.tenant, entity=entity.name, base_currency=entity.base_currency, rules_text=request.rules_text,
        periods=request.periods, request_id=request.request_id, source=request.source,
        lot_method=entity.lot_method, max_reject_share=float(entity.reject_share),  # type: ignore[arg-type]
    )  # fmt: skip
    return Load(
        request, attempt, settings, options.postgres, options.schema,
        endpoints.resolve(objects=options.objects).objects, scratch, options.audit, options.parallelism,
        max(1, options.connections // options.parallelism),
    )  # fmt: skip


def _files_of(request: Request) -> list[InputFile]:
    return [
        InputFile(number, str(file["name"]), file.get("size"), file.get("sha256"), file.get("rows"))
        for number, file in enumerate(request.files)
    ]


def _run_pipeline(load: Load, options: LoadOptions) -> str | None:
    """Run to the end; the Flink job's id, if there was one. Raises LoadFailed, Fenced."""
    transform = LoadLedger(load, _files_of(load.request))
    if options.runner == "FlinkRunner":
        return _run_on_flink(transform, load, options)
    told = [f"--runner={options.runner}"]
    if options.runner == "DirectRunner" and options.parallelism > 1:
        told += ["--direct_running_mode=multi_processing", f"--direct_num_workers={options.parallelism}"]
        # Its worker processes tell everything they do on our terminal.
        told.append("--default_sdk_harness_log_level=ERROR")
        logging.getLogger("apache_beam").setLevel(logging.ERROR)
    try:
        with beam.Pipeline(options=PipelineOptions(told)) as pipeline:
            _ = pipeline | "Load" >> transform
    except Exception as error:  # whatever a stage raised, with the step's name behind it
        raise _failure(f"{type(error).__name__}: {error}") from error
    return None


def _run_on_flink(transform: beam.PTransform, load: Load, options: LoadOptions) -> str:
    name = job_name(options.schema, load.request.request_id, load.attempt)
    pipeline = beam.Pipeline(
        options=PipelineOptions(submit.flink_defaults([], name, options.parallelism, streaming=False))
    )
    _ = pipeline | "Load" >> transform
    flink = endpoints.resolve(flink=options.flink).flink
    _wait_for_slots(flink, options)
    record = JobRecord(name=name, parallelism=options.parallelism)
    handle = submit.submit(pipeline, record, flink=flink, bounded=True)
    with FlinkRest(handle.flink) as rest:
        try:
            with _connected(options) as connection:
                requests.set_flink_job(connection, load.request.request_id, load.attempt, handle.job_id)
            _LOG.info("request %d: %s", load.request.request_id, handle.web)
            _wait(rest, handle.job_id)
        except BaseException:
            _cancel(rest, handle.job_id)
            raise
    return handle.job_id


def _wait_for_slots(flink: str, options: LoadOptions) -> None:
    """Other requests may have all slots now. Raises LoadFailed if none come free, StackError if no Flink answers."""
    end = time.monotonic() + options.slots_s
    while (cluster := submit.find_cluster(flink)).free < options.parallelism <= cluster.slots:
        if time.monotonic() > end:
            raise LoadFailed(f"{cluster}: {options.parallelism} did not come free within {options.slots_s:.0f} s")
        time.sleep(_POLL_S)


def _wait(rest: FlinkRest, job_id: str) -> None:
    """Until the job is done. Raises LoadFailed, Fenced."""
    # What is asked costs Flink CPU time that the load could use.
    pause = _POLL_S
    while (state := rest.state(job_id)) not in TERMINAL:
        failures = [text for text in rest.exceptions(job_id) if submit.NO_SLOTS not in text]
        if len(failures) > _MOST_FAILURES or any(name in text for text in failures for name in _LASTING):
            raise _failure(submit.cause(failures[:1]))
        time.sleep(pause)
        pause = min(1.2 * pause, _MOST_POLL_S)
    if state != "FINISHED":
        raise _failure(f"the Flink job ended {state}\n{submit.cause(rest.exceptions(job_id))}")


def _failure(text: str) -> Exception:
    """What a worker raised, as ours; of its stack trace the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if "Error: " in line or any(name in line for name in _LASTING)]
    last = lines[-1].split(" [while running", 1)[0] if lines else text.strip()
    return Fenced(last) if "Fenced" in last else LoadFailed(last)


def _cancel(rest: FlinkRest, job_id: str) -> None:
    try:
        rest.cancel(job_id)
    except FlinkError as error:
        _LOG.warning("Flink job %s: %s; the next attempt ends it", job_id, error)


def _outcome(request_id: int, attempt: int, options: LoadOptions, job_id: str | None) -> Outcome:
    """What the last stage wrote. Raises Fenced if another attempt did, LoadFailed if nobody did."""
    with _connected(options) as connection:
        now = requests.load(connection, request_id)
    if now.attempt != attempt or now.state == "CANCELLED":
        raise Fenced(f"request {request_id} is {now.state} in attempt {now.attempt}, not in {attempt}")
    if now.state == "RUNNING":
        raise LoadFailed(f"the job of request {request_id} ended without publishing or refusing it")
    return Outcome(now.state, now.error or "", job_id)


@contextmanager
def _connected(options: LoadOptions) -> Iterator[Connection]:
    made = patiently(lambda: schema.connect(options.postgres, "subledger", options.schema), give_up_s=_GIVE_UP_S)
    with closing(made) as connection:
        yield connection
