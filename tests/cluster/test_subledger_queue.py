"""The queue's worker against a real PostgreSQL: order and locks, tries, processes that die, stalled ones, schedules."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from florin_io.postgres import Connection
from jobs.subledger import attempt, endings, queue
from jobs.subledger.cli import subledger
from jobs.subledger.load import LoadFailed, LoadOptions
from jobs.subledger.scheduling import fire, tick
from tests.cluster.subledger_books import Posting, fill, ledger, put_into_the_books
from tests.conftest import PATIENCE_S, LocalPostgres, eventually
from transforms.subledger_db import books, queueing, requests, reversal, scheduling, staging
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.schema import LedgerDatabase
from transforms.subledger_db.status import requests_now

pytestmark = pytest.mark.database
ROOT = Path(__file__).parents[2]
CHILD = "tests.cluster.subledger_child"


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[LedgerDatabase]:
    """Tenant acme with entities fund and other."""
    with ledger(postgres.url) as made:
        with made.connect(application="test") as connection:
            books.add_entity(connection, "acme", "other", "EUR", periods=books.months(202601, 202604))
        yield made


@pytest.fixture
def db(database: LedgerDatabase) -> Iterator[Connection]:
    with database.connect(application="test") as connection:
        yield connection


def submit(db: Connection, key: str, entity: str = "fund", *, max_attempts: int = 5, **options: Any) -> int:
    what = Submission("acme", entity, key=key, options=options, max_attempts=max_attempts)
    return requests.submit(db, what)[0]


def worker_options(database: LedgerDatabase, folder: Path, **changes: Any) -> queue.WorkerOptions:
    settings: dict[str, Any] = {
        "command": [sys.executable, "-m", CHILD, database.conninfo, database.schema], "at_once": 2, "stalled_s": 30.0,
        "until_idle": True, "first_pause_s": 0.1,
    }  # fmt: skip
    return queue.WorkerOptions(database, folder, say=lambda text: None, **{**settings, **changes})


def work(options: queue.WorkerOptions, limit_s: float = PATIENCE_S) -> None:
    """Run a worker in this process until nothing is left to do."""

    async def bounded() -> None:
        await asyncio.wait_for(queue.work(options), limit_s)

    asyncio.run(bounded())


@contextmanager
def worker_process(database: LedgerDatabase, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A worker as a user starts it, apart from the process that it starts for a request; its words are in `said`."""
    code = (
        "import asyncio, sys; from pathlib import Path; from jobs.subledger import queue; "
        "from transforms.subledger_db.schema import LedgerDatabase; u, s, f, t, *c = sys.argv[1:]; "
        "asyncio.run(queue.work(queue.WorkerOptions(LedgerDatabase(u, s), Path(f), [sys.executable, *c, u, s], "
        "2, float(t), False, 0.1, lambda text: print(text, flush=True))))"
    )
    command = [sys.executable, "-c", code, database.conninfo, database.schema, str(folder), "30", "-m", CHILD, *more]
    folder.mkdir(exist_ok=True)
    with (
        (folder / "said").open("w") as said,
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=said, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def state(db: Connection, number: int) -> str:
    return requests.load(db, number).state


def test_requests_of_an_entity_run_in_order_and_those_of_others_beside_them(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits: dict[str, Any] = {"do": {"1": "wait"}, "until": str(go)}
    first, second, beside = submit(db, "a", **waits), submit(db, "b", **waits), submit(db, "c", "other", **waits)
    watcher = threading.Thread(target=_let_go_together, args=(database, (first, beside), go))
    watcher.start()
    work(worker_options(database, tmp_path))
    watcher.join()
    rows = db.execute("SELECT request_id, attempt_at, finished_at, entity_seq FROM request ORDER BY 1").fetchall()
    spans = {number: (began, ended) for number, began, ended, _ in rows}
    assert [state(db, number) for number in (first, second, beside)] == ["PUBLISHED"] * 3
    assert spans[first][1] <= spans[second][0]
    assert spans[beside][0] < spans[first][1]
    indexed = db.execute(
        "SELECT count(*) FROM pg_indexes WHERE indexname ~ '_q[0-9]$' AND schemaname = current_schema()"
    ).fetchone()
    assert indexed == (15,)


def _let_go_together(database: LedgerDatabase, numbers: tuple[int, ...], go: Path) -> None:
    with database.connect(application="watcher") as connection:
        eventually("all run", lambda: all(state(connection, number) == "RUNNING" for number in numbers))
    go.touch()


def test_a_failed_attempt_comes_again_and_keeps_its_place(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    number = submit(db, "a", do={"1": "fail", "2": "die"})
    after = submit(db, "b")
    work(worker_options(database, tmp_path))
    assert (state(db, number), requests.load(db, number).attempt) == ("PUBLISHED", 3)
    order = db.execute("SELECT request_id FROM request ORDER BY finished_at").fetchall()
    assert [one for (one,) in order] == [number, after]
    assert staging.leaves(db, number) == {}


def test_the_last_attempt_leaves_a_failed_request_that_says_why(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    dying = submit(db, "a", max_attempts=2, do={"1": "die", "2": "die"})
    refused = submit(db, "b", do={"1": "refuse"})
    work(worker_options(database, tmp_path))
    failed = requests.load(db, dying)
    assert (failed.state, failed.attempt) == ("FAILED", 2)
    assert "attempt 2 ended with signal 9" in (failed.error or "")
    assert (state(db, refused), requests.load(db, refused).attempt) == ("FAILED", 1)
    assert staging.leaves(db, dying) == {}
    requests.retry(db, dying, 1)
    work(worker_options(database, tmp_path))
    assert (state(db, dying), requests.load(db, dying).attempt) == ("PUBLISHED", 3)


def test_cancelling_a_running_request_ends_its_process_and_leaves_nothing(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    number = submit(db, "a", do={"1": "hang"})
    after = submit(db, "b")
    canceller = threading.Thread(target=_cancel_when_staged, args=(database, number))
    canceller.start()
    work(worker_options(database, tmp_path))
    canceller.join()
    assert (state(db, number), state(db, after)) == ("CANCELLED", "PUBLISHED")
    left = db.execute(
        "SELECT count(*) FROM pg_tables WHERE tablename ~ %s AND schemaname = current_schema()", (f"_r{number}_",)
    ).fetchone()
    assert left == (0,)


def _cancel_when_staged(database: LedgerDatabase, number: int) -> None:
    with database.connect(application="canceller") as connection:
        eventually("leaves", lambda: len(staging.leaves(connection, number)) >= 6)
        result = CliRunner().invoke(
            subledger, [f"--postgres={database.conninfo}", f"--schema={database.schema}", "cancel", str(number)]
        )
        assert result.exit_code == 0, result.output
        assert "cancelled" in result.output


def test_a_request_whose_worker_was_killed_is_taken_over_and_published_once(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    number = submit(db, "a", do={"1": "stall"})
    with worker_process(database, tmp_path) as worker:
        eventually("leaves of the first attempt", lambda: len(staging.leaves(db, number)) >= 6)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    _long_silent(db)
    work(worker_options(database, tmp_path))
    assert (state(db, number), requests.load(db, number).attempt) == ("PUBLISHED", 2)
    assert db.execute("SELECT count(*) FROM je_header").fetchone() == (2,)
    assert staging.leaves(db, number) == {}


def _long_silent(db: Connection) -> None:
    """The last signs of life were an hour ago."""
    db.execute("UPDATE request SET heartbeat_at = heartbeat_at - interval '1 hour'")
    db.execute("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 hour'")


def test_a_zombie_that_wakes_up_publishes_nothing(database: LedgerDatabase, db: Connection, tmp_path: Path) -> None:
    number = submit(db, "a", do={"1": "stall"})
    command = [sys.executable, "-m", CHILD, database.conninfo, database.schema]
    with subprocess.Popen([*command, "--request", str(number), "--stale-after", "0"], cwd=ROOT) as zombie:
        eventually("leaves of the zombie", lambda: len(staging.leaves(db, number)) >= 6)
        _long_silent(db)
        work(worker_options(database, tmp_path))
        assert zombie.wait(PATIENCE_S) == 5
    assert (state(db, number), requests.load(db, number).attempt) == ("PUBLISHED", 2)
    assert db.execute("SELECT count(*), count(DISTINCT request_id) FROM je_header").fetchone() == (2, 1)


def test_two_workers_share_the_work_and_do_nothing_twice(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    for entity in ("e1", "e2", "e3"):
        books.add_entity(db, "acme", entity, "EUR", periods=[202601])
    numbers = [submit(db, f"{entity}-{one}", entity) for one in range(2) for entity in ("e1", "e2", "e3")]
    with worker_process(database, tmp_path / "other"):
        work(worker_options(database, tmp_path))
    assert [(state(db, number), requests.load(db, number).attempt) for number in numbers] == [("PUBLISHED", 1)] * 6


def test_a_worker_waits_while_postgres_is_away(
    postgres: LocalPostgres, database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    with worker_process(database, tmp_path) as worker:
        done = submit(db, "a")
        eventually("the first request", lambda: state(db, done) == "PUBLISHED")
        db.close()
        postgres.stop()
        eventually("the worker waits", lambda: "again soon" in (tmp_path / "said").read_text())
        postgres.start()
        with database.connect(application="test") as again:
            later = submit(again, "b")
            eventually("a request after the restart", lambda: state(again, later) == "PUBLISHED")
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0


@pytest.mark.long
def test_a_stopped_worker_finishes_what_runs(database: LedgerDatabase, db: Connection, tmp_path: Path) -> None:
    number = submit(db, "a", do={"1": "wait"}, until=str(tmp_path / "go"))
    with worker_process(database, tmp_path) as worker:
        eventually("a running request", lambda: state(db, number) == "RUNNING")
        later = submit(db, "b")
        worker.send_signal(signal.SIGINT)
        (tmp_path / "go").touch()
        assert worker.wait(PATIENCE_S) == 0
    assert (state(db, number), state(db, later)) == ("PUBLISHED", "QUEUED")


def _published(db: Connection, key: str, postings: list[Posting]) -> int:
    number, _ = requests.submit(db, Submission("acme", "fund", key=key))
    request = requests.begin_attempt(db, number)
    assert request is not None
    fill(db, request, postings)
    put_into_the_books(db, request, postings)
    db.execute("DELETE FROM procrastinate_jobs")
    return number


@pytest.mark.long
def test_reversals_run_through_the_real_command(database: LedgerDatabase, db: Connection, tmp_path: Path) -> None:
    first = _published(db, "a", [Posting("a")])
    second = _published(db, "b", [Posting("b")])
    numbers = reversal.submit_reversal(db, first, force_later=True)
    command = [sys.executable, "-m", "jobs.subledger", f"--postgres={database.conninfo}", f"--schema={database.schema}",
               "--runner=DirectRunner"]  # fmt: skip
    work(worker_options(database, tmp_path, command=command))
    assert [state(db, number) for number in (*numbers, first, second)] == ["PUBLISHED"] * 2 + ["REVERSED"] * 2
    left = db.execute("SELECT sum(abs(accounted_balance)) FROM trial_balance").fetchone()
    assert left == (0,)


def test_a_reversal_that_is_no_longer_possible_is_refused(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    first = _published(db, "a", [Posting("a")])
    (number,) = reversal.submit_reversal(db, first)
    second = _published(db, "b", [Posting("b")])
    command = [sys.executable, "-m", "jobs.subledger", f"--postgres={database.conninfo}", f"--schema={database.schema}",
               "--runner=DirectRunner", "--request", str(number)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert f"requests [{second}] depend on it" in done.stderr
    assert state(db, number) == "FAILED"
    # Later, with the other one, it is the same request again.
    numbers = reversal.submit_reversal(db, first, force_later=True)
    assert numbers[-1] == number
    assert state(db, number) == "QUEUED"


@pytest.mark.parametrize(("tries", "cancelled", "ending"), [
    (5, True, endings.TAKEN_OVER), (1, True, endings.TAKEN_OVER), (5, False, endings.TRY_AGAIN),
    (1, False, endings.REFUSED),
])  # fmt: skip
def test_an_attempt_that_fails_knows_whether_its_request_was_cancelled(
    database: LedgerDatabase, db: Connection, tries: int, cancelled: bool, ending: int
) -> None:
    """As of one whose Flink job is ended by whoever cancels, before its heartbeat has noticed."""
    request = requests.begin_attempt(db, submit(db, "a", max_attempts=tries))
    assert request is not None
    if cancelled:
        requests.cancel(db, request.request_id)
    options = LoadOptions(database.conninfo, database.schema, runner="DirectRunner")
    assert attempt._give_back(database, request, options, LoadFailed("the Flink job ended CANCELED")) == ending


@pytest.mark.long
def test_what_is_run_by_hand_gets_its_indexes_then(database: LedgerDatabase, db: Connection) -> None:
    """With those of others that wait, as after a worker that was killed; a child of a worker leaves them to it."""
    first = _published(db, "a", [Posting("a")])
    queueing.index_afterwards(db, first)
    (number,) = reversal.submit_reversal(db, first)
    command = [sys.executable, "-m", "jobs.subledger", f"--postgres={database.conninfo}", f"--schema={database.schema}",
               "--runner=DirectRunner", "--request", str(number)]  # fmt: skip

    def waiting() -> list[int]:
        jobs = db.execute("SELECT args ->> 'request_id' FROM procrastinate_jobs WHERE queue_name = 'subledger-index'")
        return sorted(int(one) for (one,) in jobs)

    subprocess.run([*command, "--indexes-later"], cwd=ROOT, check=True)
    assert (state(db, number), waiting()) == ("PUBLISHED", [first, number])
    subprocess.run(command, cwd=ROOT, check=True)
    assert waiting() == []
    indexed = db.execute(
        "SELECT count(*) FROM pg_indexes WHERE indexname ~ '_q[0-9]$' AND schemaname = current_schema()"
    ).fetchone()
    assert indexed == (10,)


def test_a_file_that_never_comes_is_given_up_after_three_days(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    number = scheduling.add(db, "acme", "fund", "daily", {"files": [str(tmp_path / "%d.csv")]}, cron="0 6 * * *")
    db.execute("UPDATE schedule SET created_at = '2026-03-01 00:00+00' WHERE schedule_id = %s", (number,))
    (tmp_path / "02.csv").write_text("2\n")
    assert tick(database, datetime(2026, 3, 4, 5, 59, tzinfo=UTC).timestamp()) == 0
    assert tick(database, datetime(2026, 3, 4, 6, 1, tzinfo=UTC).timestamp()) == 1
    (schedule,) = scheduling.all_of(db)
    assert "03.csv" in (schedule.last_error or "")


def test_a_schedule_for_one_time_is_submitted_then(database: LedgerDatabase, db: Connection, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x\n")
    told = {"files": [str(tmp_path / "in.csv")]}
    at = datetime.now(UTC) + timedelta(seconds=2)
    scheduling.add(db, "acme", "fund", "soon", told, run_at=at)
    work(worker_options(database, tmp_path))
    (one,) = requests_now(db)
    assert (one.state, one.kind) == ("PUBLISHED", "LOAD")
    assert one.submitted_at >= at
    assert not scheduling.all_of(db)[0].active


def test_a_schedule_for_one_time_waits_for_its_file(database: LedgerDatabase, db: Connection, tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    number = scheduling.add(db, "acme", "fund", "soon", {"files": [str(tmp_path / "in.csv")]}, run_at=at)
    assert fire(database, number, at.timestamp()) == "not yet"
    # What only waits for a file does not keep a worker that ends when there is nothing to do.
    work(worker_options(database, tmp_path))
    assert "in.csv: there is no such file" in (scheduling.all_of(db)[0].last_error or "")
    (tmp_path / "in.csv").write_text("x\n")
    assert tick(database, at.timestamp() + 60) == 1
    assert tick(database, at.timestamp() + 120) == 0
    assert fire(database, number, at.timestamp()) == "stopped or changed meanwhile"
    assert len(requests_now(db)) == 1


def test_a_cron_schedule_submits_each_time_once_also_those_it_missed(
    database: LedgerDatabase, db: Connection, tmp_path: Path
) -> None:
    number = scheduling.add(db, "acme", "fund", "daily", {"files": [str(tmp_path / "%Y-%m-%d.csv")]}, cron="30 6 * * *")
    db.execute("UPDATE schedule SET created_at = '2026-03-01 00:00+00' WHERE schedule_id = %s", (number,))
    for day in (1, 2, 4):
        (tmp_path / f"2026-03-0{day}.csv").write_text(f"{day}\n")
    until = datetime(2026, 3, 4, 7, tzinfo=UTC).timestamp()
    # The file of the third is late: what comes after it waits.
    assert tick(database, until) == 2
    assert tick(database, until) == 0
    (schedule,) = scheduling.all_of(db)
    assert "2026-03-03.csv: there is no such file" in (schedule.last_error or "")
    (tmp_path / "2026-03-03.csv").write_text("3\n")
    assert tick(database, until) == 2
    names = [requests.load(db, row.request).files[0]["name"] for row in requests_now(db)]
    assert names == [str(tmp_path / f"2026-03-0{day}.csv") for day in (1, 2, 3, 4)]
    scheduling.stop(db, "acme", "daily")
    assert tick(database, until + 86_400) == 0
    with pytest.raises(LedgerError, match="has no schedule"):
        scheduling.stop(db, "acme", "nightly")


def test_the_pause_doubles_up_to_five_minutes() -> None:
    assert [queue.pause_before(tries) for tries in (1, 2, 3, 4, 10, 60)] == [5, 10, 20, 40, 300, 300]


def test_a_command_without_tables_says_so(postgres: LocalPostgres) -> None:
    result = CliRunner().invoke(subledger, [f"--postgres={postgres.url}", "--schema=nothing", "status"])
    assert result.exit_code == 3
    assert "jobs.subledger prepare" in result.output
