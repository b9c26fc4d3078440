"""The queue's worker: takes requests, runs each attempt in a process of its own, tries again, finds stalled ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision, RetryStrategy
from procrastinate.worker import Worker
from psycopg_pool import PoolTimeout

from flink.death import die_with
from florin_io.postgres import TRANSIENT, PostgresUnreachable, with_secret
from jobs.subledger import endings, scheduling
from transforms.subledger_db import requests, staging
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.queueing import INDEX_QUEUE, INDEX_TASK, QUEUE, RUN_TASK
from transforms.subledger_db.scheduling import FIRE_TASK, SCHEDULE_QUEUE, TICK_TASK
from transforms.subledger_db.schema import LOADER, LedgerDatabase

_LOG = logging.getLogger(__name__)
_LOST = (ConnectorException, PostgresUnreachable, PoolTimeout, *TRANSIENT)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_POLL_S = 1.0


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works: so many requests at once; one without sign of life for `stalled_s` is taken over."""

    database: LedgerDatabase
    logs: Path
    command: Sequence[str]
    """What runs one request: --request NUMBER and the like come after it."""
    at_once: int = 2
    stalled_s: float = 30.0
    until_idle: bool = False
    first_pause_s: float = _FIRST_PAUSE_S
    say: Callable[[str], None] = print


# Indexes and one-time schedules: PostgreSQL may have been restarted in the middle.
_WHILE_AWAY = RetryStrategy(max_attempts=10, linear_wait=5)


class TryAgain(Exception):
    """The request is queued again, for after a pause in seconds."""

    def __init__(self, pause_s: float, why: str) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class _AfterPause(BaseRetryStrategy):  # type: ignore[misc]
    """The number of attempts is the request's; this only says when."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if not isinstance(exception, TryAgain):
            return None
        return RetryDecision(retry_in={"milliseconds": int(exception.pause_s * 1000)})


def pause_before(tries: int, first_s: float = _FIRST_PAUSE_S) -> float:
    """Seconds to wait after so many failed attempts: doubled each time, five minutes at most."""
    return float(min(first_s * 2 ** (tries - 1), _LONGEST_PAUSE_S))


def _connector(database: LedgerDatabase) -> PsycopgConnector:
    """A pool of connections that act as the loader."""
    return PsycopgConnector(
        conninfo=with_secret(database.conninfo),
        kwargs={"options": f'-c role={LOADER} -c search_path="{database.queue_schema}",pg_catalog'},
        min_size=1,
        max_size=4,
        timeout=10,
    )


def make_app(options: WorkerOptions) -> App:
    """The queue's tasks."""
    database = options.database
    app = App(connector=_connector(database))
    app.task(name=INDEX_TASK, queue=INDEX_QUEUE, retry=_WHILE_AWAY)(_index_with(database))

    @app.task(name=RUN_TASK, queue=QUEUE, retry=_AfterPause())
    async def run_request(request_id: int) -> str:
        return await _run_request(options, request_id)

    @app.task(name=FIRE_TASK, queue=SCHEDULE_QUEUE, retry=_WHILE_AWAY)
    def fire(schedule_id: int, at: float) -> str:
        return scheduling.fire(database, schedule_id, at)

    # Procrastinate sees to it that of all workers one does it, once a minute; the schedules are rows.
    @app.periodic(cron="* * * * *", periodic_id="subledger")
    @app.task(name=TICK_TASK, queue=SCHEDULE_QUEUE)
    def tick(timestamp: int) -> int:
        return scheduling.tick(database, timestamp)

    return app


def _index_with(database: LedgerDatabase) -> Callable[[int], int]:
    def index_request(request_id: int) -> int:
        with database.connect(application=f"florin subledger index {request_id}") as connection:
            return staging.index_later(connection, request_id)

    return index_request


async def index_now(database: LedgerDatabase, stalled_s: float) -> None:
    """Make the indexes that wait to be made, of whatever requests: for those who run no worker.

    Where PostgreSQL is away they go on waiting.
    """
    app = App(connector=_connector(database))
    app.task(name=INDEX_TASK, queue=INDEX_QUEUE, retry=_WHILE_AWAY)(_index_with(database))
    try:
        async with app.open_async():
            await _revive(app, stalled_s, INDEX_QUEUE)
            await app.run_worker_async(
                queues=[INDEX_QUEUE], name="indexes", wait=False, delete_jobs="successful",
                install_signal_handlers=False,
            )  # fmt: skip
    except _LOST as error:
        _LOG.warning("indexes are made another time: %s", error)


async def _run_request(options: WorkerOptions, request_id: int) -> str:
    began = time.monotonic()
    options.say(f"request {request_id}: starts")
    code = await _run_child(options, request_id)
    found = await asyncio.to_thread(_settle, options, request_id, code)
    options.say(f"request {request_id}: {found} after {time.monotonic() - began:.1f} s")
    return found


async def _run_child(options: WorkerOptions, request_id: int) -> int:
    """Exit code of the attempt's process, which ends with this one."""
    command = [*options.command, "--request", str(request_id), "--stale-after", str(options.stalled_s)]
    command.append("--indexes-later")
    options.logs.mkdir(parents=True, exist_ok=True)
    with (options.logs / f"request-{request_id}.log").open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=die_with(os.getpid(), signal.SIGTERM),
        )  # fmt: skip
    try:
        return await child.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
        raise


def _settle(options: WorkerOptions, request_id: int, code: int) -> str:
    """What became of the request. Raises TryAgain if it has to come again."""
    with options.database.connect(application="florin subledger worker") as connection:
        now = requests.load(connection, request_id)
        if code == endings.BUSY:
            raise TryAgain(min(options.stalled_s, 10.0), f"request {request_id} is not to be run yet")
        if now.state == "RUNNING":
            died = f"signal {-code}" if code < 0 else f"exit code {code}"
            log = options.logs / f"request-{request_id}.log"
            requests.give_back(connection, now, f"the process of attempt {now.attempt} ended with {died}; see {log}")
            staging.discard(connection, request_id)
            now = requests.load(connection, request_id)
        if now.state == "QUEUED":
            pause = pause_before(max(now.attempt, 1), options.first_pause_s)
            told = (now.error or "").strip().partition("\n")[0]
            options.say(f"request {request_id}: attempt {now.attempt} failed ({told}); again in {pause:.0f} s")
            raise TryAgain(pause, told)
        if now.state == "CANCELLED":
            staging.discard(connection, request_id)
        return now.state if now.state != "FAILED" else f"FAILED: {(now.error or '').partition(chr(10))[0]}"


async def work(options: WorkerOptions) -> None:
    """Take requests until told to stop; a first SIGINT or SIGTERM lets running ones finish, a second ends them.

    While PostgreSQL is away it waits. Raises SchemaError, and PostgresUnreachable if it was never there.
    """
    options.database.ready(application="florin subledger worker").close()
    stop = _Stop()
    pause = 1.0
    while not stop.asked:
        try:
            await _work_once(options, stop)
            pause = 1.0
        except* _LOST as group:
            error = group.exceptions[0]
            options.say(f"PostgreSQL: {str(error).strip().partition(chr(10))[0] or type(error).__name__}; again soon")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)


class _Stop:
    """SIGINT and SIGTERM as wishes."""

    def __init__(self) -> None:
        self.asked = False
        self._now: list[Callable[[bool], None]] = []
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        at_once, self.asked = self.asked, True
        for call in self._now:
            call(at_once)

    @contextlib.contextmanager
    def calls(self, function: Callable[[bool], None]) -> Any:
        self._now.append(function)
        try:
            yield
        finally:
            self._now.remove(function)


async def _work_once(options: WorkerOptions, stop: _Stop) -> None:
    app = make_app(options)
    async with app.open_async():
        common: dict[str, Any] = {
            "install_signal_handlers": False, "fetch_job_polling_interval": _POLL_S,
            "update_heartbeat_interval": options.stalled_s / 3, "stalled_worker_timeout": options.stalled_s,
            "delete_jobs": "successful",
        }  # fmt: skip
        runner = Worker(app, [QUEUE], "requests", options.at_once, **common)
        # Apart, so that neither schedules nor indexes take the place of a request.
        helper = Worker(app, [SCHEDULE_QUEUE, INDEX_QUEUE], "schedules and indexes", 1, **common)
        tasks: list[asyncio.Task[None]] = []

        def end(at_once: bool) -> None:
            if at_once:
                for task in tasks:
                    task.cancel()
                return
            options.say("stopping: what runs is finished first (Ctrl-C again: at once)")
            runner.stop()
            helper.stop()

        with stop.calls(end):
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_watch(app, options, stop))
                tasks += [group.create_task(_until_stopped(runner)), group.create_task(_until_stopped(helper))]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                runner.stop()
                helper.stop()
                await asyncio.wait(tasks)
                watching.cancel()


async def _until_stopped(worker: Worker) -> None:
    await worker.run()


async def _revive(app: App, stalled_s: float, queue: str | None = None) -> list[Job]:
    """Let jobs of workers that are gone come again."""
    found = list(await app.job_manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=stalled_s))
    for job in found:
        await app.job_manager.retry_job(job)
    return found


async def _watch(app: App, options: WorkerOptions, stop: _Stop) -> None:
    """Jobs of workers that are gone come again; with `until_idle` the end of the last one is the end."""
    idle = 0
    looked = 0.0
    while True:
        await asyncio.sleep(min(_POLL_S, options.stalled_s / 3))
        if time.monotonic() - looked > options.stalled_s / 3:
            looked = time.monotonic()
            for job in await _revive(app, options.stalled_s):
                options.say(f"{job.task_name} {job.task_kwargs}: its worker is gone; it comes again")
        if options.until_idle:
            idle = idle + 1 if await asyncio.to_thread(_is_idle, options.database) else 0
            if idle == 2 and not stop.asked:
                stop.ask()
                return


def _is_idle(database: LedgerDatabase) -> bool:
    """Whether nothing waits, nothing runs, and nothing is to come but by cron."""
    try:
        with database.connect(application="florin subledger worker") as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM request WHERE state IN ('QUEUED', 'RUNNING')) OR EXISTS (SELECT 1 FROM "
                "schedule WHERE run_at IS NOT NULL AND active AND last_error IS NULL) OR EXISTS (SELECT 1 FROM "
                "procrastinate_jobs WHERE queue_name = ANY(%s) AND status IN ('todo', 'doing'))",
                ([QUEUE, INDEX_QUEUE],),
            ).fetchone()
    except (PostgresUnreachable, LedgerError, psycopg.Error):
        return False
    return row == (False,)
