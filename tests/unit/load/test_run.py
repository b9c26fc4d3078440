"""Whole runs of the load generator against the transfer core in memory."""

from __future__ import annotations

import json
import re
import threading

import pytest
from click.testing import CliRunner

from jobs.load.__main__ import cli
from jobs.load.config import Config
from jobs.load.transfer import run
from tests.unit.load.memory import install
from transforms.load.scenarios import SCENARIOS

pytestmark = pytest.mark.unit

EVERYTHING = dict.fromkeys(SCENARIOS, 1.0)


def config(**changes: object) -> Config:
    given: dict[str, object] = {
        "rate": 0, "count": 240, "duration_s": None, "mix": EVERYTHING, "seed": 7, "timeout_s": 0.3, "grace_s": 0.5,
        "warmup_s": 0,
    }  # fmt: skip
    return Config(**{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("via", ["log", "mojaloop"])
def test_every_scenario_ends_as_expected(monkeypatch: pytest.MonkeyPatch, via: str) -> None:
    install(monkeypatch)
    report = run(config(via=via))
    assert report.examples == []
    assert report.ok
    assert report.completed == report.sent == 240
    assert set(report.outcomes) == set(SCENARIOS)
    for name, counts in report.outcomes.items():
        assert counts["expected"] == counts["observed"] > 0, name
    assert report.reserved["count"] == report.notifications["payee POST"]
    assert sum(second.completed for second in report.timeline) == 240


def test_positions_sum_to_zero_after_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    assert run(config()).ok
    accounts = [memory.hub.account(f"dfsp{number}/USD") for number in range(1, 9)]
    assert sum(account.position for account in accounts if account) == 0
    assert all(account and account.reserved == 0 for account in accounts)


def test_the_report_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    report = json.loads(json.dumps(run(config(count=20)).to_json()))
    assert report["ok"] is True
    assert report["seed"] == 7
    assert {"p50_ms", "p95_ms", "p99_ms", "max_ms", "count"} == set(report["reserved"])
    assert report["timeline"][0]["sent"] == 20


def test_same_seed_sends_the_same_bytes_but_for_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(seed: int) -> list[bytes]:
        memory = install(monkeypatch)
        assert run(config(seed=seed, count=100)).ok
        return sorted(re.sub(rb"20\d\d-[0-9T:.-]+Z", b"TIME", value) for _, value, _, _ in memory.sent)

    assert sent(7) == sent(7)
    assert sent(7) != sent(8)


def test_a_lost_notification_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = iter([False] * 9 + [True] + [False] * 10_000)
    install(monkeypatch, lambda value: [] if b'"method":"PUT"' in value and next(lost) else [value])
    report = run(config(mix={"committed": 1}, count=50))
    assert report.missing == report.mismatches == 1
    assert not report.ok
    assert "missing PUT COMMITTED to" in report.examples[0]
    assert report.outcomes["committed"] == {"expected": 50, "observed": 49, "differing": 0, "missing": 1}


def test_a_doubled_notification_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    doubled = iter([False] * 9 + [True] + [False] * 10_000)
    install(monkeypatch, lambda value: [value] * (2 if b'"method":"PUT"' in value and next(doubled) else 1))
    report = run(config(mix={"committed": 1}, count=50))
    assert report.mismatches == 1
    assert report.missing == 0
    assert re.search("once more|another PUT COMMITTED", report.examples[0])


def test_a_wrong_code_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda value: [value.replace(b'"errorCode":"4200"', b'"errorCode":"4001"')])
    report = run(config(mix={"ndc": 1}, count=5))
    assert report.mismatches == 5
    assert report.outcomes["ndc"]["differing"] == 5
    assert "got PUT error 4001 instead" in report.examples[0]


def test_an_altered_amount_or_fulfilment_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    def altered(value: bytes) -> list[bytes]:
        value = re.sub(rb'("currency":"USD","amount":")\d+', rb"\g<1>1", value)
        return [re.sub(rb'("fulfilment":").', rb"\g<1>_", value)]

    install(monkeypatch, altered)
    report = run(config(mix={"committed": 1}, count=1))
    assert report.mismatches == 3
    assert "another amount or condition" in report.examples[0]
    assert "another fulfilment" in report.examples[1]
    assert report.outcomes["committed"] == {"expected": 1, "observed": 0, "differing": 1, "missing": 0}


def test_a_notification_that_cannot_be_read_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda value: [value, b"\xff{"])
    report = run(config(mix={"ndc": 1}, count=1))
    assert "cannot be read" in report.examples[0]


def test_unknown_dfsps_are_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    report = run(config(mix={"committed": 1}, count=4, dfsps=("nobody1", "nobody2")))
    assert report.mismatches == 4
    assert "PUT error 3100 instead" in report.examples[0]
    assert any("jobs.hub setup" in hint for hint in report.hints)


def test_a_silent_job_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda value: [])
    report = run(config(mix={"committed": 1}, count=4))
    assert report.missing == 4
    assert any("is the job running" in hint for hint in report.hints)


def test_stopping_early_drains_and_is_no_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    stop = threading.Event()
    report = run(config(rate=200, count=None, duration_s=60, mix={"committed": 1}), lambda progress: stop.set(), stop)
    assert report.interrupted
    assert report.ok
    assert 0 < report.sent <= 300


def test_a_rate_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    report = run(config(rate=100, count=100, mix={"committed": 1}))
    assert report.sent == 100
    assert 0.98 <= report.seconds < 10


def test_a_second_run_with_the_same_seed_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    assert run(config(mix={"committed": 1}, count=5)).ok
    memory.sent.clear()
    report = run(config(mix={"committed": 1}, count=5, expiration_s=200))
    assert not report.ok
    assert any("--seed" in hint for hint in report.hints)


def test_the_command_prints_a_table_and_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    result = CliRunner().invoke(cli, ["transfer", "--count", "20", "--rate", "0", "--seed", "3", "--timeout-s", "0.3"])
    assert result.exit_code == 0, result.output
    assert "mismatches 0, missing 0" in result.output


def test_the_command_exits_with_1_on_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda value: [value, value])
    options = ["--count", "3", "--rate", "0", "--mix", "ndc=1", "--report", "json"]
    result = CliRunner().invoke(cli, ["transfer", *options])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["mismatches"] == 3
