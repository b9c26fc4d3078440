"""One attempt at one request, in a process of its own: fence, clear up, load or reverse, and say how it ended."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from florin_io.postgres import TRANSIENT, Connection, PostgresUnreachable
from jobs.subledger import load
from jobs.subledger.endings import BUSY, PUBLISHED, REFUSED, TAKEN_OVER, TRY_AGAIN, end_flink_jobs
from jobs.subledger.load import LoadOptions
from transforms.subledger_db import requests, reversal, staging
from transforms.subledger_db.model import Busy, Fenced, LedgerError, Request
from transforms.subledger_db.schema import LedgerDatabase

_LOG = logging.getLogger(__name__)

_BEAT_S = 2.0
_ERROR_CHARACTERS = 4000


def run(database: LedgerDatabase, request_id: int, options: LoadOptions, stale_after_s: float) -> int:
    """Make the next attempt at a request; how it ended, as an exit code. What it staged is gone unless published.

    Raises PostgresUnreachable, SchemaError, LedgerError if there is no such request.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with database.ready(application=f"florin subledger {request_id}") as connection:
        requests.load(connection, request_id)
        try:
            request = requests.begin_attempt(connection, request_id, stale_after_s)
        except Busy as error:
            _LOG.warning("%s", error)
            return BUSY
        if request is None:
            _clear_up(connection, request_id, options)
            return PUBLISHED
        if options.runner == "FlinkRunner" or request.flink_job_id:
            end_flink_jobs(options.flink, options.schema, request)
        staging.discard(connection, request_id)
    beat = _Beat(database, request, options)
    try:
        with beat:
            return _carry_out(database, request, options)
    except Fenced as error:
        _LOG.warning("%s", error)
        return TAKEN_OVER
    except BaseException as error:
        if beat.lost:
            if options.runner == "FlinkRunner":
                # One that was being submitted when the others were ended.
                end_flink_jobs(options.flink, options.schema, request)
            return TAKEN_OVER
        _LOG.exception("attempt %d of request %d failed", request.attempt, request_id)
        return _give_back(database, request, options, error)
    finally:
        # Once more: the heartbeat may have interrupted whoever did it.
        load.delete_scratch(options, request_id, request.attempt)


def _clear_up(connection: Connection, request_id: int, options: LoadOptions) -> None:
    """Remove what the last attempt at a request that is over left, if its process was killed."""
    over = requests.load(connection, request_id)
    load.delete_scratch(options, request_id, over.attempt)
    if over.state in ("CANCELLED", "FAILED"):
        staging.discard(connection, request_id)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _carry_out(database: LedgerDatabase, request: Request, options: LoadOptions) -> int:
    """Load or reverse. What the input or the books forbid is refused for good."""
    if request.kind != "REVERSE" and not (request.kind == "RERUN" and _target_state(database, request) != "REVERSED"):
        outcome = load.run(request.request_id, request.attempt, options)
        return PUBLISHED if outcome.state == "PUBLISHED" else REFUSED
    with database.connect(application=f"florin subledger {request.request_id}") as connection:
        try:
            if request.kind == "RERUN":
                raise LedgerError(
                    f"request {request.target_id} was to be reversed before its files are loaded again, and is not"
                )
            reversal.reverse(connection, request)
        except LedgerError as error:
            requests.refuse(connection, request, request.attempt, str(error))
            return REFUSED
    return PUBLISHED


def _target_state(database: LedgerDatabase, request: Request) -> str:
    assert request.target_id is not None
    with database.connect(application=f"florin subledger {request.request_id}") as connection:
        return requests.load(connection, request.target_id).state


def _give_back(database: LedgerDatabase, request: Request, options: LoadOptions, error: BaseException) -> int:
    told = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
    try:
        with database.connect(application=f"florin subledger {request.request_id}") as connection:
            again = requests.give_back(connection, request, told[:_ERROR_CHARACTERS])
            if options.runner == "FlinkRunner":
                end_flink_jobs(options.flink, options.schema, request)
            staging.discard(connection, request.request_id, request.attempt)
            now = requests.load(connection, request.request_id)
    except (PostgresUnreachable, *TRANSIENT):
        # Then nobody hears of us any more, and another attempt takes over.
        _LOG.warning("request %d cannot be given back", request.request_id)
        return TRY_AGAIN
    if again:
        return TRY_AGAIN
    # Its Flink job may end before the heartbeat finds out who ended it.
    return REFUSED if (now.attempt, now.state) == (request.attempt, "FAILED") else TAKEN_OVER


class _Beat(threading.Thread):
    """Shows that the attempt's process lives, and ends it when it is no longer wanted."""

    def __init__(self, database: LedgerDatabase, request: Request, options: LoadOptions) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._database, self._request, self._options = database, request, options
        self._done = threading.Event()
        self.lost = False

    def __enter__(self) -> _Beat:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self.join(10)

    def run(self) -> None:
        connection: Connection | None = None
        while not self._done.wait(_BEAT_S):
            try:
                connection = connection or self._database.connect(application="florin subledger heartbeat")
                if not requests.heartbeat(connection, self._request.request_id, self._request.attempt):
                    break
            except (PostgresUnreachable, *TRANSIENT):
                connection = None
        if connection is not None:
            published = self._done.is_set() or self._is_over(connection)
            connection.close()
            if not published:
                self._stop_work()

    def _is_over(self, connection: Connection) -> bool:
        """Whether this attempt itself brought the request to its end."""
        now = requests.load(connection, self._request.request_id)
        return now.attempt == self._request.attempt and now.state in ("PUBLISHED", "FAILED")

    def _stop_work(self) -> None:
        self.lost = True
        _LOG.warning("request %d was cancelled or taken over", self._request.request_id)
        if self._options.runner == "FlinkRunner":
            end_flink_jobs(self._options.flink, self._options.schema, self._request)
        main = threading.main_thread().ident
        assert main is not None
        if self._done.is_set():
            return  # the work has ended meanwhile
        signal.pthread_kill(main, signal.SIGTERM)  # ends a sleep, too
