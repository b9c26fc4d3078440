"""Whole runs of the card generator: to a file, to Kafka in memory, watched verdicts held against labels."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from jobs.hub import topics
from jobs.load import card_watch
from jobs.load import cards as load
from jobs.load.__main__ import cli
from jobs.load.cards import CardsConfig, CardsProgress, run
from transforms.cards import wire
from transforms.cards.fields import DUPLICATE
from transforms.cards.routing import partitions_of
from transforms.cards.simulate import Mix, Population, Simulator
from transforms.load.verdicts import KEY, Verdicts

pytestmark = pytest.mark.unit

PEOPLE = Population(cards=2_000)
MIX = Mix(fraud=0.02, duplicates=0.01)


class Memory:
    """A topic of transactions and a job that flags what a function says, with a duplicate known as one."""

    def __init__(self, flags: Any, lose: int = 0) -> None:
        self.sent: list[tuple[str, bytes, bytes, int]] = []
        self._flags, self._lose, self._read = flags, lose, 0
        self._known: set[bytes] = set()

    def send(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        self.sent.append((topic, value, key, partition))

    def poll(self, timeout_s: float) -> int:
        return 0

    def read(self) -> list[Message]:
        new = self.sent[self._read : len(self.sent) - self._lose]
        self._read += len(new)
        if not new:
            time.sleep(0.002)
        return [Message(self.score(value)) for _, value, _, _ in new]

    def flush(self, timeout_s: float) -> int:
        return 0

    def score(self, packet: bytes) -> bytes:
        text = packet[:99].rstrip(b"\0")
        twice = DUPLICATE if text in self._known else 0
        self._known.add(text)
        fraud = self._flags(text)
        name = b"R1" if fraud else b"-"
        return b"%s,%d,%d,%d,%s,v1,0,%d" % (text, time.time_ns() // 1_000_000, fraud, fraud, name, twice)


class Listener:
    def __init__(self, memory: Memory) -> None:
        self.poll = lambda limit, timeout_s: memory.read()

    def close(self) -> None:
        pass


class Message:
    def __init__(self, value: bytes) -> None:
        self.value = lambda: value


def install(monkeypatch: pytest.MonkeyPatch, flags: Any = lambda text: False, lose: int = 0) -> Memory:
    memory = Memory(flags, lose)
    monkeypatch.setattr(load, "card_partitions", lambda bootstrap, names: dict.fromkeys(names, 4))
    monkeypatch.setattr(load, "Sender", lambda bootstrap, failed: memory)
    monkeypatch.setattr(card_watch, "listener", lambda bootstrap, topic, partitions: Listener(memory))
    return memory


def config(**changes: Any) -> CardsConfig:
    sending = {"people": PEOPLE, "mix": MIX, "rate": 0, "duration_s": None, "count": 20_000}
    return CardsConfig(**{**sending, "warmup_s": 0, "grace_s": 10, **changes})


def test_what_is_sent_is_the_simulation_by_card(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    report = run(config())
    expected = Simulator(PEOPLE, MIX).take(20_000)
    assert b"".join(value for _, value, _, _ in memory.sent) == expected.packets.tobytes()
    assert [key for _, _, key, _ in memory.sent] == [b"%014d" % card for card in expected.cards.tolist()]
    assert [place for _, _, _, place in memory.sent] == partitions_of(expected.cards, 4).tolist()
    assert {topic for topic, _, _, _ in memory.sent} == {"card-transactions"}
    assert report.ok
    assert report.sent == 20_000
    assert report.fraudulent == int((expected.labels > 0).sum())
    assert report.duplicates == int(expected.duplicates.sum()) > 0


def test_a_file_takes_the_same_packets(tmp_path: Path) -> None:
    report = run(config(file=tmp_path / "packets", count=5_000))
    assert (tmp_path / "packets").read_bytes() == Simulator(PEOPLE, MIX).take(5_000).packets.tobytes()
    assert report.sent == 5_000


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_tell_the_fraudulent_transactions(tmp_path: Path, name: str) -> None:
    run(config(file=tmp_path / "packets", labels=tmp_path / name))
    expected = Simulator(PEOPLE, MIX).take(20_000)
    read = pyarrow.csv.read_csv if name.endswith("csv") else pyarrow.parquet.read_table
    table = read(tmp_path / name)
    fraud = expected.labels > 0
    assert table.column_names == ["card", "timestamp", "amount", "merchant", "scenario", "duplicate"]
    assert table["timestamp"].to_pylist() == expected.times[fraud].tolist()
    assert [int(card) for card in table["card"].to_pylist()] == expected.cards[fraud].tolist()
    assert set(table["scenario"].to_pylist()) >= {"burst", "travel", "guess"}


def test_perfect_rules_have_precision_and_recall_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Simulator(PEOPLE, MIX).take(20_000)
    fraud = {packet.tobytes()[:KEY] for packet in expected.packets[expected.labels > 0]}
    install(monkeypatch, lambda text: text[:KEY] in fraud)
    watched = run(config(watch=True)).watched
    assert watched is not None
    assert (watched["precision"], watched["recall"], watched["noticed"]) == (1.0, 1.0, 1.0)
    assert watched["scored"] == 20_000
    assert watched["missing"] == 0
    assert watched["duplicates"] == int(expected.duplicates.sum())
    assert watched["latency"]["count"] == 20_000
    assert set(watched["recall_by_scenario"].values()) == {1.0}
    assert watched["rules"]["R1"]["precision"] == 1.0


def test_rules_that_flag_everything_have_the_precision_of_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda text: True)
    watched = run(config(watch=True)).watched
    assert watched is not None
    assert watched["recall"] == 1.0
    assert watched["precision"] == pytest.approx(0.02, abs=0.01)
    assert watched["flagged_share"] == 1.0


def test_verdicts_that_do_not_come_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lose=7)
    report = run(config(watch=True, grace_s=1.5))
    assert report.watched is not None
    assert report.watched["missing"] == 7
    assert not report.ok


def test_a_job_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lose=10**9)
    report = run(config(watch=True, count=100, grace_s=0.3))
    assert any("does the job run" in hint for hint in report.hints)


def test_no_more_is_in_flight_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch, lose=10**9)
    run(config(watch=True, count=None, duration_s=0.3, in_flight=500, grace_s=0.3))
    assert len(memory.sent) == 500


def test_a_rate_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    report = run(config(rate=2_000, count=2_000))
    assert report.sent == 2_000
    assert 0.98 <= report.seconds < 10


def test_a_following_run_sends_what_the_first_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    first = run(config())
    before = {value for _, value, _, _ in memory.sent}
    memory.sent.clear()
    run(config(from_day=first.next_day))
    assert not before & {value for _, value, _, _ in memory.sent}


def test_it_stops_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    stop = threading.Event()
    report = run(config(rate=500, count=None, duration_s=60), lambda progress: stop.set(), stop)
    assert report.interrupted
    assert report.sent < 2_000
    assert report.ok


def test_timestamps_past_the_present_are_hinted_at(tmp_path: Path) -> None:
    people = Population(cards=100, start_ms=(int(time.time()) // 86_400 - 1) * 86_400_000)
    report = run(config(people=people, file=tmp_path / "packets", count=1_000))
    assert any("passed the present" in hint for hint in report.hints)


def test_the_command_reports_as_json_and_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda text: text.endswith(b"0"))
    options = ["cards", "--cards", "1000", "--count", "3000", "--rate", "0", "--watch", "--warmup-s", "0"]
    result = CliRunner().invoke(cli, [*options, "--report", "json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["ok"] is True
    assert {"precision", "recall", "latency", "recall_by_scenario"} <= told["watched"].keys()
    result = CliRunner().invoke(cli, options)
    assert "precision" in result.output
    assert "3,000 transactions of 1,000 cards" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fraud", "2"], "share of fraud"),
        (["--start", "soon"], "--start takes a date"),
        (["--labels", "x.txt"], ".csv or .parquet"),
        (["--file", "x", "--watch"], "leave out --watch"),
        (["--cards", "1000000000"], "cards must be"),
        (["--per-day", "0"], "transactions per day"),
    ],
)
def test_wrong_options_are_usage_errors(options: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["cards", *options])
    assert result.exit_code == 2
    assert said in result.output


def test_missing_topics_name_the_job_that_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        topics: dict[str, object] = {}  # noqa: RUF012

        def list_topics(self, timeout: float) -> Nothing:
            return self

    monkeypatch.setattr(topics, "admin", lambda bootstrap: Nothing())
    result = CliRunner().invoke(cli, ["cards", "--count", "1"])
    assert result.exit_code == 3
    assert "card-transactions" in result.output
    assert "jobs.cards start" in result.output


def test_verdicts_know_a_transaction_by_card_and_timestamp() -> None:
    verdicts = Verdicts()
    packet = wire.packet(b"40002200000001,1640995200123,276,00,100,978,5411,00001,00010")
    verdicts.expect([packet], [1])
    line = packet[:99].rstrip(b"\0") + b",1700000000000,1,3,big,v,9,0"
    other = line.replace(b"200123", b"200124").replace(b",1,3,big,", b",0,0,-,")
    assert verdicts.add([line, other]) == [1_700_000_000_000] * 2
    told = verdicts.summary()
    assert (told["seen"], told["flagged"], told["fraudulent"], told["precision"]) == (2, 1, 1, 1.0)
    assert told["rules"] == {"big": {"flagged": 1, "precision": 1.0}}
    assert np.isclose(told["flagged_share"], 0.5)


def test_a_line_of_progress_has_rate_latency_fraud_and_the_rules_that_flag_most() -> None:
    rules = {name: {"flagged": flagged} for name, flagged in (("few", 3), ("most", 1720), ("many", 453))}
    watched = {"scored": 99, "per_s": 1234.5, "p50_ms": 20, "p99_ms": 70, "flagged_share": 0.003, "precision": 0.83,
               "recall": None, "rules": rules}  # fmt: skip
    assert CardsProgress(7, 100, 1200, watched).line() == (
        "    7 s | 1,234/s | 99 scored | p50 20, p99 70 ms | fraud 0.3% | most 1,720, many 453 | "
        "precision 83.0%, recall -"
    )
    assert CardsProgress(7, 100, 1200, None).line() == "    7 s | 1,200/s sent, 100 in all"
