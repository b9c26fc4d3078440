"""Names of Flink jobs tell requests apart: which one is cancelled is found by them."""

from __future__ import annotations

import pytest

from jobs.subledger.endings import job_name


def test_all_attempts_at_a_request_begin_alike() -> None:
    assert all(job_name("subledger", 7, attempt).startswith(job_name("subledger", 7)) for attempt in (1, 2, 17))


@pytest.mark.parametrize(
    "other", [("subledger", 17), ("subledger", 71), ("acme", 7), ("subledger2", 7), ("my_subledger", 7)]
)
def test_those_of_another_request_or_schema_do_not(other: tuple[str, int]) -> None:
    assert not job_name(*other, 1).startswith(job_name("subledger", 7))
