"""The subledger's commands without a database: what they show, and how options are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pyarrow as pa
import pytest
from click.testing import CliRunner
from rich.console import Console

from florin_io.objects import ObjectStore
from jobs.subledger import watch
from jobs.subledger.books_cli import PERIODS
from jobs.subledger.cli import subledger
from jobs.subledger.reports_cli import _shown
from jobs.subledger.shell import as_arguments
from jobs.subledger.submitting import at_time, find_files
from transforms.subledger_db import reports
from transforms.subledger_db.requests import Submission
from transforms.subledger_db.status import Status

pytestmark = pytest.mark.unit
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
RUNNING = Status(
    request=7, tenant="acme", entity="fund", kind="LOAD", state="RUNNING", attempt=1, stage="posting", rows_total=1000,
    bytes_total=10_000, rows_read=1000, bytes_read=10_000, rows_posted=480, rows_rejected=15, rows_duplicate=5,
    lines_posted=0, seconds=15.0, heartbeat_s=1.0, submitted_at=NOW, finished_at=None, target=None, periods=[],
    flink_job=None, error=None,
)  # fmt: skip


def test_progress_counts_reading_and_posting() -> None:
    assert (RUNNING.done, RUNNING.share, RUNNING.remaining_s) == (500, 0.75, 5.0)
    assert RUNNING.rate == pytest.approx(500 / 15)
    assert watch.line(RUNNING) == (
        "request 7 acme/fund RUNNING 75%: 1,000 of 1,000 read, 480 posted, 15 rejected, 5 duplicate, 33/s, 0:05 left "
        "(posting)"
    )


def test_rows_that_nobody_counted_are_estimated_from_bytes() -> None:
    unknown = replace(RUNNING, rows_total=None, rows_read=100, bytes_read=1000, rows_posted=0, rows_rejected=0,
                      rows_duplicate=0)  # fmt: skip
    assert unknown.share == pytest.approx(0.05)
    assert replace(unknown, bytes_read=0).share is None
    assert replace(unknown, state="QUEUED", attempt=0).rate == 0.0


def test_the_pace_shown_is_that_of_the_last_ten_seconds() -> None:
    now = 0.0
    pace = watch.Pace(lambda: now)
    assert pace.told(replace(RUNNING, rows_read=0, rows_posted=0)).recent is None
    for _ in range(30):
        now += 1
        told = pace.told(replace(RUNNING, rows_read=int(now) * 10, rows_posted=0, rows_rejected=0, rows_duplicate=0))
    assert (told.recent, told.rate) == ((100, 0, 10.0), 10.0)
    assert told.remaining_s == pytest.approx((2 * 1000 - 300) / 10)
    now += 1
    assert pace.told(replace(RUNNING, attempt=2, rows_read=0, rows_posted=0)).recent is None
    assert pace.told(replace(RUNNING, state="PUBLISHED")).recent is None


def test_a_failed_request_says_why_in_its_line() -> None:
    failed = replace(RUNNING, state="FAILED", stage=None, error="too many rejects\nmore")
    assert watch.line(failed).endswith(": too many rejects")
    assert failed.remaining_s is None
    assert replace(failed, state="PUBLISHED").share == 1.0


def test_every_request_has_a_bar() -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(watch.bars([RUNNING, replace(RUNNING, request=8, state="QUEUED", rows_total=None)]))
    text = console.export_text()
    assert "75%" in text
    assert len(text.strip().splitlines()) == 4


def test_durations() -> None:
    assert [watch.seconds(value) for value in (None, 5.4, 65, 3661)] == ["", "0:05", "1:05", "1:01:01"]


def test_amounts_stand_one_under_the_other() -> None:
    shown = [_shown(Decimal(text), reports.AMOUNT) for text in ("1234567.8900", "0", "-0.5", "-12.3456")]
    assert shown == ["1,234,567.89", "0.00", "-0.50", "-12.3456"]
    assert _shown(Decimal("1.50000000"), pa.decimal128(38, 8)) == "1.5"
    assert _shown(None, reports.AMOUNT) == ""


def test_periods_are_months_or_ranges() -> None:
    assert PERIODS.convert("202612", None, None) == [202612]
    assert PERIODS.convert("202612..202702", None, None) == [202612, 202701, 202702]
    for wrong in ("2026", "202613", "202602..202601", "x..y", ""):
        with pytest.raises(click.BadParameter):
            PERIODS.convert(wrong, None, None)


def test_a_schedule_s_time_is_filled_into_its_file_names() -> None:
    told = {"files": ["in/%Y-%m-%d.csv", "in/%H%M.csv"], "manifest": None, "supplied": "in/%d.csv", "rules": "%Y"}
    assert at_time(told, NOW) == {
        "files": ["in/2026-01-02.csv", "in/0304.csv"], "manifest": None, "supplied": "in/02.csv", "rules": "%Y",
    }  # fmt: skip


def test_files_are_found_once_and_known_by_their_content(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "b.csv.idx"):
        (tmp_path / name).write_text(name)
    found = find_files(ObjectStore(), [str(tmp_path / "b.csv"), str(tmp_path / "*")])
    assert [Path(one["name"]).name for one in found] == ["b.csv", "a.csv"]
    assert found[0]["size"] == 5
    with pytest.raises(FileNotFoundError, match="no file is called so"):
        find_files(ObjectStore(), [str(tmp_path / "*.txt")])


def test_a_submission_s_digest_says_what_it_asks_for() -> None:
    one = Submission("acme", "fund", files=[{"name": "a", "size": 1}])
    assert one.digest() == replace(one, key="k", max_attempts=9, options={"x": 1}).digest()
    for other in (
        replace(one, entity="other"), replace(one, files=[{"name": "a", "size": 2}]), replace(one, supplied="b"),
        replace(one, source="s"), replace(one, kind="REVERSE", target_id=1), replace(one, rules_version="ab"),
    ):  # fmt: skip
        assert other.digest() != one.digest()


def test_load_options_reach_the_process_of_a_request_as_they_were_given() -> None:
    given = {"runner": "FlinkRunner", "parallelism": 2, "flink": "http://x:1", "scratch": "/s"}
    assert as_arguments(given) == [
        "--runner=FlinkRunner", "--parallelism=2", "--flink_master=http://x:1", "--scratch=/s",
    ]  # fmt: skip


def test_help_and_wrong_options_need_no_server() -> None:
    assert "trial-balance" in CliRunner().invoke(subledger, ["report", "--help"]).output
    for arguments in (["--request", "1", "status"], ["submit", "--nonsense"], ["schedule", "add"], ["period", "open"]):
        assert CliRunner().invoke(subledger, arguments).exit_code == 2, arguments
    nowhere = CliRunner().invoke(subledger, ["--postgres=postgresql://u@127.0.0.1:1/x", "status"])
    assert nowhere.exit_code == 3
    assert "no PostgreSQL answers" in nowhere.output
    secret = CliRunner().invoke(subledger, ["--postgres=postgresql://u:hidden@127.0.0.1:1/x", "status"])
    assert secret.exit_code == 2
    assert "hidden" not in secret.output
