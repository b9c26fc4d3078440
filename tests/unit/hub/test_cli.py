"""Hub commands: exit codes, errors that say what to do, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from jobs.hub import shell, tail, topics
from jobs.hub.cli import hub
from jobs.hub.commands import Command
from jobs.hub.log import NoAnswer, Result
from jobs.hub.topics import TopicsMissing
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.unit

CASES = Path(__file__).parents[2] / "golden" / "cases"
NOWHERE = ["--kafka", "127.0.0.1:1"]


def invoke(*arguments: str) -> Ran:
    return CliRunner().invoke(hub, list(arguments))


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> list[Command]:
    """Let the job answer every command with `text`; returns the commands sent."""
    sent: list[Command] = []

    def send(bootstrap: str, topics: Topics, commands: Sequence[Command], timeout_s: float) -> list[Result]:
        sent.extend(commands)
        return [Result(command, text, {"result": text}) for command in commands]

    monkeypatch.setattr(shell, "send", send)
    return sent


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "case.json"
    document = json.loads(next(iter(sorted(CASES.glob("*.json")))).read_text())
    path.write_text(json.dumps(document))
    return path


def test_a_golden_case_that_holds_exits_with_0(case: Path) -> None:
    ran = invoke("golden", str(case))
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("ok")


def test_a_golden_case_that_misses_exits_with_1_and_says_how(case: Path) -> None:
    document = json.loads(case.read_text())
    document["expect"]["accounts"] = {"dfsp1/USD": {"position": "123.4567"}}
    case.write_text(json.dumps(document))
    ran = invoke("golden", str(case))
    assert ran.exit_code == 1
    assert "MISS" in ran.output
    assert "123.4567" in ran.output
    found = json.loads(invoke("golden", "--json", str(case)).output)
    assert found["ok"] is False
    assert found["differences"]


@pytest.mark.parametrize(("text", "key"), [("{", "JSON"), ("[]", "object"), ('{"name": 5}', "name")])
def test_a_bad_case_file_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    ran = invoke("golden", str(path))
    assert ran.exit_code == 2
    assert str(path) in ran.output
    assert key in ran.output


def test_a_missing_case_file_does_not_stop_the_others(case: Path) -> None:
    ran = invoke("golden", "nowhere.json", str(case))
    assert ran.exit_code == 2
    assert "nowhere.json" in ran.output
    assert "1 ok, 0 missed, 1 unusable" in ran.output


def test_a_command_that_is_done_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = answering(monkeypatch, "ok")
    terms = ["--currency", "USD", "--cover", "1000", "--ndc", "500", "--currency", "EUR", "--cover", "1", "--ndc", "1"]
    assert invoke("participants", "add", "dfsp9", *terms).exit_code == 0
    assert sent[0].arguments["accounts"][1] == {"currency": "EUR", "cover": "1", "ndc": "1"}
    assert invoke("participants", "deactivate", "dfsp9", "--currency", "EUR").exit_code == 0
    assert sent[1].arguments == {"id": "dfsp9", "currency": "EUR", "active": False}
    assert invoke("funds", "out-commit", "dfsp9", "EUR", "1", "--transfer-id", "x").exit_code == 0
    assert sent[2].arguments["action"] == "commit"
    assert invoke("settings", "set", "--no-on-us", "--expiration-horizon-s", "60").exit_code == 0
    assert sent[3].arguments == {"onUs": False, "expirationHorizonSeconds": 60}


def test_a_refused_command_exits_with_1_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "unknown participant 'dfsp9'")
    ran = invoke("limits", "set", "dfsp9", "USD", "1")
    assert ran.exit_code == 1
    assert "unknown participant 'dfsp9'" in ran.output
    found = json.loads(invoke("limits", "set", "dfsp9", "USD", "1", "--json").output)
    assert found["result"] == "unknown participant 'dfsp9'"


def test_setup_twice_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = answering(monkeypatch, "participant x exists already")
    assert invoke("setup", "--dfsps", "3").exit_code == 0
    ids = [command.arguments["id"] for command in sent]
    assert ids == ["dfsp1", "dfsp2", "dfsp3", "tight-ndc", "tight-cover"]
    assert invoke("participants", "add", "x", "--currency", "USD", "--cover", "1", "--ndc", "1").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["funds", "in", "dfsp1", "USD", "1.23456"],
        ["funds", "in", "dfsp1", "usd", "1"],
        ["funds", "out-commit", "dfsp1", "USD", "1"],
        ["limits", "set", "dfsp1", "USD", "much"],
        ["settings", "set"],
        ["participants", "add", "dfsp1", "--currency", "USD", "--cover", "1", "--cover", "2", "--ndc", "1"],
        ["transfer", "find", "some-id", "--fsp", "dfsp1"],
        ["positions", "--postgres", "postgresql://someone:secret@localhost/x"],
        ["no-such-command"],
    ],
)
def test_wrong_use_exits_with_2_before_anything_is_asked(arguments: list[str]) -> None:
    ran = invoke(*arguments)
    assert ran.exit_code == 2
    assert ran.output
    assert "secret@" not in ran.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["funds", "in", "dfsp1", "USD", "1", *NOWHERE],
        ["setup", *NOWHERE],
        ["notifications", "follow", *NOWHERE],
        ["dead-letters", "list", *NOWHERE],
    ],
)
def test_no_kafka_exits_with_3_and_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(topics, "admin", partial(topics.admin, timeout_s=1))
    ran = invoke(*arguments)
    assert ran.exit_code == 3
    assert "no Kafka answers at 127.0.0.1:1" in ran.output
    assert "python -m flink up" in ran.output


def test_no_postgres_exits_with_3_and_says_how_to_start_one() -> None:
    ran = invoke("positions", "--postgres", "postgresql://nobody@127.0.0.1:1/nothing")
    assert ran.exit_code == 3
    assert "python -m flink up" in ran.output


@pytest.mark.parametrize("error", [TopicsMissing("no topic transfer-log"), NoAnswer("no result within 1 s")])
def test_missing_topics_and_silent_jobs_exit_with_3(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(shell, "send", fail)
    ran = invoke("limits", "set", "dfsp1", "USD", "1")
    assert ran.exit_code == 3
    assert str(error) in ran.output


def test_notifications_of_one_fsp_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(to: str, method: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": "t1", "from": "hub", "to": to, "content": {"payload": payload},
            "metadata": {"event": {"createdAt": "2026-01-01T00:00:00.000Z"}, "http": {"method": method}},
        }  # fmt: skip

    def records(*_: object, **__: object) -> Iterator[dict[str, Any]]:
        yield note("dfsp1", "PUT error", {"errorInformation": {"errorCode": "4200", "errorDescription": "NDC"}})
        yield note("dfsp2", "POST", {"amount": {"amount": "10", "currency": "USD"}})
        yield {"unreadable": "{"}

    monkeypatch.setattr(tail, "records", records)
    lines = invoke("notifications", "follow").output.splitlines()
    assert "4200 NDC" in lines[0]
    assert lines[1].endswith("10 USD")
    assert "unreadable" in lines[2]
    assert len(invoke("notifications", "follow", "--fsp", "dfsp2").output.splitlines()) == 1
    assert len(invoke("notifications", "follow", "--limit", "2").output.splitlines()) == 2


@pytest.mark.parametrize("line", [tail.notification_line, tail.event_line, tail.dead_letter_line])
def test_odd_records_are_shown_too(line: Any) -> None:
    for record in ({}, {"metadata": 5, "content": []}, {"at": "x", "bytes": "*"}, {"to": None, "account": None}):
        assert isinstance(line(record), str)


def test_amounts_are_shown_without_idle_zeros() -> None:
    found = [shell.shown(Decimal(text)) for text in ("10.0000", "0.5000", "-3", "1000", "0")]
    assert found == ["10", "0.5", "-3", "1000", "0"]
