"""python -m jobs.rules: exit codes, what is printed, what is sent, and the comparison with live verdicts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from florin_io.kafka.settings import KafkaUnreachable
from jobs.hub.topics import TopicsMissing
from jobs.rules import cli
from jobs.rules.backtest import Comparison, Replay
from jobs.rules.cli import rules
from jobs.rules.log import Log, RefusedCommand
from transforms.cards.rule_report import decode, report
from transforms.cards.rulebook import RuleBook
from transforms.cards.rules.language import parse
from transforms.cards.rulesets import shipped, text_of

pytestmark = pytest.mark.unit

CASES = Path(__file__).parents[3] / "golden" / "cards" / "cases.jsonl.gz"
SMALL = "name: small\nrules:\n- name: R1\n  when: amount > 100\n"


def invoke(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(rules, list(arguments), input=text)


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The commands that are sent, instead of sending them."""
    found: list[dict[str, Any]] = []

    def send(self: Log, command: dict[str, Any], wait_s: float) -> list[int]:
        found.append(command)
        return []

    monkeypatch.setattr(Log, "send", send)
    return found


def test_check_of_a_good_set_exits_with_0(small: str) -> None:
    ran = invoke("check", small)
    assert (ran.exit_code, ran.output[:9]) == (0, "ok  small")
    assert "1 rules (1 live, 0 shadow, 0 off), zone UTC" in ran.output
    told = json.loads(invoke("check", small, "--json").output)
    assert told["version"] == parse(SMALL).version
    assert (told["ok"], told["rules"], told["warnings"]) == (True, 1, [])


def test_check_of_a_bad_set_exits_with_1_and_names_every_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: A\nrules:\n- name: R1\n  when: amonut > 1\n")
    ran = invoke("check", str(path))
    assert ran.exit_code == 1
    assert f"{path}: line 1, column 7: " in ran.output
    assert f"{path}: line 4, column 9: unknown field 'amonut'" in ran.output
    assert ran.output.endswith("2 mistakes\n")
    told = json.loads(invoke("check", str(path), "--json").output)
    assert [(one["line"], one["column"]) for one in told["mistakes"]] == [(1, 7), (4, 9)]


def test_check_warns_and_strict_makes_warnings_fail() -> None:
    ran = invoke("check", "seed")
    assert ran.exit_code == 0
    assert "rule R04 never fires" in ran.output
    assert invoke("check", "seed", "--strict").exit_code == 1
    assert invoke("check", "default", "--strict").exit_code == 0


def test_a_set_that_cannot_be_read_exits_with_2(tmp_path: Path) -> None:
    assert "none of seed, default" in invoke("check", "nowhere").output
    assert invoke("check", "nowhere").exit_code == 2
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: small\nrules: \xe4")
    ran = invoke("check", str(path))
    assert ran.exit_code == 2
    assert "line 2, column 8: no UTF-8" in ran.output


def test_test_of_the_seed_set_exits_with_0() -> None:
    ran = invoke("test", "seed", str(CASES))
    assert ran.exit_code == 0
    assert "300 of 300 cases agree with seed@" in ran.output
    told = json.loads(invoke("test", "seed", str(CASES), "--json").output)
    assert (told["cases"], told["agree"], told["differ"]) == (300, 300, [])


def test_test_of_another_set_exits_with_1_and_shows_cases(small: str) -> None:
    ran = invoke("test", small, str(CASES))
    assert ran.exit_code == 1
    assert "expected rule" in ran.output
    assert "and" in ran.output
    assert "more" in ran.output


def test_cases_come_from_standard_input_and_the_wrapping_group_is_counted_apart() -> None:
    with gzip.open(CASES, "rt") as lines:
        first, second = (json.loads(line) for line in list(lines)[:2])
    apart = second | {"group": "int32-wrap", "rule": 31, "fraud": True}
    ran = invoke("test", "seed", "-", text=f"{json.dumps(first)}\n\n{json.dumps(apart)}\n")
    assert ran.exit_code == 0, ran.output
    assert "1 of 1 cases agree" in ran.output
    assert "0 of 1 of group int32-wrap" in ran.output
    assert invoke("test", "seed", "-", text=json.dumps(first | {"fraud": not first["fraud"]})).exit_code == 1
    assert invoke("test", "seed", "-", text="").exit_code == 1, "no cases are no agreement"


def test_wrong_use_exits_with_2(tmp_path: Path) -> None:
    assert invoke("test", "seed").exit_code == 2
    assert invoke("test", "seed", str(CASES), "--log").exit_code == 2
    assert invoke("test", "seed", str(tmp_path / "nowhere")).exit_code == 2
    bad = invoke("test", "seed", "-", text='{"id": 1}\n')
    assert (bad.exit_code, "line 1: 'history' is missing" in bad.output) == (2, True)
    half = tmp_path / "half.gz"
    half.write_bytes(CASES.read_bytes()[:500])
    assert invoke("test", "seed", str(half)).exit_code == 2


def test_load_sends_the_text_as_the_job_takes_it(sent: list[dict[str, Any]], small: str) -> None:
    assert invoke("load", small, "--activate").exit_code == 0
    book = RuleBook(text_of("default"))
    for command in sent:
        assert book.apply(json.dumps({"rules": command, "id": "1"}, separators=(",", ":")).encode()) is None
    assert book.active == ("small", parse(SMALL).version)
    assert [command["action"] for command in sent] == ["load", "activate"]


def test_a_set_with_mistakes_is_not_sent(sent: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: a\nrules: []")
    assert invoke("load", str(path)).exit_code == 1
    assert sent == []


@pytest.mark.parametrize("action", ["activate", "shadow", "retire"])
def test_changes_are_sent(sent: list[dict[str, Any]], action: str) -> None:
    assert invoke(action, "small@0123456789ab").exit_code == 0
    assert invoke(action, "small", "--rule", "R1").exit_code == 0
    assert sent == [
        {"action": action, "name": "small", "version": "0123456789ab"},
        {"action": action, "name": "small", "version": "", "rule": "R1"},
    ]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            RefusedCommand("'x' is the active rule set. Remedy: activate another one first"),
            1,
            "refused: 'x' is the active",
        ),
        (KafkaUnreachable("no Kafka answers"), 3, "no Kafka answers"),
        (TopicsMissing("no topic card-transactions"), 3, "no topic"),
    ],
)
def test_errors_are_exit_codes(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, told: str) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Log, "send", fail)
    ran = invoke("retire", "x")
    assert (ran.exit_code, told in ran.output) == (code, True), ran.output


def test_a_command_that_not_every_shard_has_done_exits_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "send", lambda *_: [1, 3])
    ran = invoke("activate", "small")
    assert ran.exit_code == 4
    assert "in the log: active: small" in ran.output
    assert "partitions 1, 3 have not acted on it yet" in ran.output


def test_list_shows_what_the_shards_last_said(monkeypatch: pytest.MonkeyPatch) -> None:
    book = RuleBook(text_of("default"))
    early = decode(report(book, 1, 1))
    load = {"rules": {"action": "load", "name": "small", "version": parse(SMALL).version, "text": SMALL}}
    assert book.apply(json.dumps(load, separators=(",", ":")).encode()) is None
    assert book.apply(b'{"rules":{"action":"shadow","name":"small","rule":"R1"}}') is None
    late = decode(report(book, 9, 2))
    monkeypatch.setattr(Log, "reports", lambda self: [late, None, early, late])
    ran = invoke("list")
    assert ran.exit_code == 0, ran.output
    assert "partition 2 has not come to the last command yet" in ran.output
    told = json.loads(invoke("list", "--json").output)
    rows = {row["name"]: row for row in told["sets"]}
    assert (rows["default"]["state"], rows["small"]["state"]) == ("active", "loaded")
    assert rows["small"]["changed"] == {"R1": "shadow"}
    assert told["behind"] == [2]
    monkeypatch.setattr(Log, "reports", lambda self: [None, None])
    assert "nothing has been scored yet" in invoke("list").output


def scored(amount: int, fraud: int, name: str, flags: int = 0, time: int = 1_600_000_000_000) -> bytes:
    """A record of scored-transactions."""
    return f"00004000222333,{time},001,00,{amount},011,0022,00001,00000,{time},{fraud},1,{name},v,5,{flags}".encode()


def test_a_stretch_of_the_log_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset = parse("name: a\nrules:\n- {name: big, when: amount > 100}\n- {name: third, when: count(past) == 2}\n")
    replay = Replay(ruleset)
    records = [
        scored(500, 1, "L1"),
        scored(500, 1, "L1", flags=3),
        scored(50, 1, "L2"),
        scored(50, 0, "-"),
        scored(7, 0, "-"),
    ]
    for record in records:
        replay.see(record)
    found = replay.found
    assert (found.transactions, found.agree, found.both, found.only_live, found.only_tested) == (4, 2, 1, 1, 1)
    assert (found.by_live_rule, found.by_tested_rule) == ({"L2": 1}, {"third": 1})
    assert found.young == 4
    monkeypatch.setattr(cli, "compare_with_log", lambda *_: found)
    ran = invoke("test", "default", "--log")
    assert ran.exit_code == 1
    assert "2 of 4 transactions have the live verdict" in ran.output
    assert json.loads(invoke("test", "default", "--log", "--json").output)["only_live_by_rule"] == {"L2": 1}
    monkeypatch.setattr(cli, "compare_with_log", lambda *_: Comparison(transactions=3, both=1))
    assert invoke("test", "default", "--log").exit_code == 0


def test_history_of_a_card_in_a_stretch_is_its_last_20() -> None:
    replay = Replay(shipped("seed"))
    for at in range(30):
        replay.see(scored(10, 0, "-", time=1_600_000_000_000 + at))
    assert (replay.found.transactions, replay.found.young) == (30, 19)
