"""Options of the load generator: what cannot be is said before anything is sent."""

from __future__ import annotations

from functools import partial

import pytest
from click.testing import CliRunner

from jobs.hub import topics
from jobs.load.__main__ import cli

pytestmark = pytest.mark.unit


def invoke(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["transfer", *options])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mix", "commited=1"], "unknown scenario 'commited'"),
        (["--pair", "dfsp1"], "--pair takes two DFSPs"),
        (["--pair", "dfsp1,dfsp1"], "two different DFSPs"),
        (["--rate", "-1"], "--rate"),
        (["--drift", "2"], "--drift"),
        (["--expiration-s", "2", "--timeout-s", "3"], "longer than that of timeouts"),
        (["--via", "http"], "--via"),
    ],
)
def test_wrong_options_are_usage_errors(options: list[str], said: str) -> None:
    code, output = invoke(*options)
    assert code == 2
    assert said in output


def test_no_kafka_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "admin", partial(topics.admin, timeout_s=1))
    code, output = invoke("--kafka", "127.0.0.1:1", "--count", "1")
    assert code == 3
    assert "no Kafka answers at 127.0.0.1:1" in output
    assert "python -m flink up" in output
