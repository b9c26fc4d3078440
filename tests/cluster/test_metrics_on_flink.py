"""Metrics of running jobs, scraped as Prometheus does: the names that alerts and dashboards use, and true figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from florin_io.kafka.client import client_config
from florin_io.kafka.log import TopicReader
from tests.cluster.system import PARTITIONS, TransferSystem, send
from tests.conftest import Florin, eventually
from tests.scrape import Page
from tests.unit.monitoring.test_rules import documented, expressions, metrics_of, rules
from tests.unit.transfers import wire
from transforms.cards.scored import decode_scored
from transforms.cards.topics import Topics as CardTopics
from transforms.transfers.timestamps import iso

pytestmark = pytest.mark.cluster

PREFIX = "m-"
DFSP = "dfsp1"
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RARE = {"florin_ticks_total", "florin_read_total"}
"""Documented, and not on the page of these jobs: they come with their first event or with another job."""


class Watched:
    """The jobs and their page."""

    def __init__(self, florin: Florin) -> None:
        self.florin = florin
        self.transfer = TransferSystem(florin, PREFIX)
        self.transfer.start(parallelism=1)
        eventually("its worker", lambda: len(florin.workers()) == 1, 60)
        (self.worker,) = florin.workers()

    def page(self) -> Page:
        return Page.of(self.florin.state["prometheus"])

    def until(self, what: str, name: str, value: float, **labels: str) -> Page:
        """The page as soon as the metric's total is the value; the reporter pushes every five seconds."""
        seen: list[float] = []

        def reached() -> bool:
            seen.append(self.page().total(name, **labels))
            return seen[-1] == value

        try:
            eventually(what, reached, 30)
        except AssertionError:
            raise AssertionError(f"{what}: {name}{labels} is {seen[-1]}, not {value}") from None
        return self.page()


@pytest.fixture(scope="module")
def watched(florin: Florin) -> Iterator[Watched]:
    made = Watched(florin)
    florin.run(
        "jobs.read_model", "--runner=FlinkRunner", f"--topic_prefix={PREFIX}", "--schema=metrics_on_flink", "--detach"
    )
    florin.run("jobs.cards", "start", f"--topic_prefix={PREFIX}", "--detach", "--parallelism=1", "--rules=seed")
    made.transfer.set_up()
    yield made
    florin.stop_jobs()


def test_outcomes_are_those_of_the_load_generator(watched: Watched) -> None:
    report = watched.transfer.load(200, 8)
    sent = {name: counts["expected"] for name, counts in report.outcomes.items()}
    page = watched.until("all is counted", "florin_outcomes_total", report.sent - sent["ndc"] - sent["liquidity"],
                         system="transfer", outcome="reserved")  # fmt: skip
    found = page.by("outcome", "florin_outcomes_total", system="transfer")
    aborted = sent["abort"] + sent["reject"] + sent["invalid-fulfilment"]
    limited = sent["ndc"] + sent["liquidity"]
    committed = report.sent - aborted - limited - sent["timeout"]
    assert found["committed"] == found["credited"] == committed
    assert found["aborted"] == aborted
    assert found["expired"] == sent["timeout"] > 0
    assert found["limit_blocked"] == limited > 0
    assert found["duplicates"] == sum(count for name, count in sent.items() if name.startswith("duplicate")) > 0
    assert page.total("florin_dead_letters_total", system="transfer") == 0
    records = page.total("florin_records_total", system="transfer")
    buckets = page.by("le", "florin_latency_ms_bucket", system="transfer")
    assert buckets["+Inf"] == records
    bounds = sorted(buckets, key=float)
    assert [buckets[bound] for bound in bounds] == sorted(buckets.values())
    assert buckets["30000"] == records
    commits = page.by("le", "florin_commit_ms_bucket", system="transfer")
    assert commits["+Inf"] == page.total("florin_commits_total", system="transfer") > 0
    assert page.total("florin_starts_total", system="transfer") == PARTITIONS


def test_a_bad_record_is_one_dead_letter(watched: Watched) -> None:
    send(watched.transfer.kafka, [(watched.transfer.topics.log, 0, None, b"no JSON")])
    watched.until("the dead letter is counted", "florin_dead_letters_total", 1, system="transfer")


def test_shards_tell_lag_life_and_snapshots(watched: Watched) -> None:
    page = watched.page()
    topic = watched.transfer.topics.log.replace("-", "_")
    lags = page.by("shard", "florin_lag_records", topic=topic)
    assert set(lags) == {str(number) for number in range(PARTITIONS)}
    assert max(lags.values()) <= 3, "at rest only markers of transactions lie behind"
    turned = page.by("shard", "florin_turned_seconds", topic=topic)
    assert set(turned) == set(lags)
    assert all(abs(time.time() - at) < 30 for at in turned.values())

    def snapshots() -> bool:
        sizes = watched.page().by("shard", "florin_snapshot_size_bytes", topic=topic)
        return len(sizes) == PARTITIONS and min(sizes.values()) > 0

    eventually("every shard has written its cells", snapshots, 60)


def test_rule_hits_are_those_of_the_scored_transactions(watched: Watched) -> None:
    printed = watched.florin.run(
        "jobs.load", "cards", f"--topic-prefix={PREFIX}", "--cards=2000", "--rate=1000", "--duration=8", "--watch",
        "--grace-s=90", "--report=json",
    )  # fmt: skip
    report: dict[str, Any] = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    assert report["ok"], printed
    topics = CardTopics(PREFIX)
    send(watched.florin.kafka, [(topics.transactions, 0, None, b"no packet")])
    hits: Counter[str] = Counter()
    reader = TopicReader(watched.florin.kafka, topics.scored, PARTITIONS, "test", from_start=True, bounded=True)
    try:
        while not reader.ended:
            lines = [decode_scored(message.value() or b"") for message in reader.poll(20_000, 0.2)]
            hits.update(line.name.replace("-", "_") for line in lines if line.fraud and not line.duplicate)
    finally:
        reader.close()
    assert hits
    watched.until("the dead letter is counted", "florin_dead_letters_total", 1, system="cards")
    page = watched.until("all is counted", "florin_outcomes_total", report["sent"], system="cards",
                         outcome="transactions")  # fmt: skip
    assert page.by("rule", "florin_rule_hits_total", system="cards", mode="rule") == dict(hits)
    assert page.total("florin_outcomes_total", system="cards", outcome="frauds") == hits.total()


def test_a_trace_context_goes_from_the_prepare_to_what_it_causes(watched: Watched) -> None:
    topics = watched.transfer.topics
    readers = {
        topic: TopicReader(watched.florin.kafka, topic, PARTITIONS, "test", bounded=False)
        for topic in (topics.notifications, topics.events)
    }
    headers: list[tuple[str, str | bytes | None]] = [
        ("traceparent", PARENT), ("tracestate", b"rojo=1"), ("baggage", b"user=7"),
    ]  # fmt: skip
    payload = wire.prepare_payload("traced-1", DFSP, "dfsp2", "1", 0, "k")
    payload["expiration"] = iso(int(time.time() * 1000) + 600_000)
    value = wire.dump(wire.envelope("prepare", "prepare", "traced-1", DFSP, "dfsp2", payload))
    producer = Producer(client_config(watched.florin.kafka))
    producer.produce(topics.prepare, value, partition=0, headers=headers)
    # A duplicate of a transfer in work, which nobody is told of.
    producer.produce(topics.prepare, value, partition=0, headers=[("traceparent", b"malformed")])
    assert producer.flush(30) == 0
    found: dict[str, list[Any]] = {topic: [] for topic in readers}

    def arrived() -> bool:
        for topic, reader in readers.items():
            found[topic] += [m.headers() for m in reader.poll(100, 0.1) if b"traced-1" in (m.value() or b"")]
        return all(found.values())

    try:
        eventually("the POST and the event", arrived, 30)
    finally:
        for reader in readers.values():
            reader.close()
    assert [headers for told in found.values() for headers in told] == [
        [("traceparent", PARENT), ("tracestate", b"rojo=1")] for _ in range(2)
    ]
    watched.until("the sequencer's count", "florin_outcomes_total", 2, system="sequencer", outcome="sequenced")


def test_a_restarted_task_goes_on_with_the_same_series(watched: Watched) -> None:
    def series(page: Page) -> set[tuple[tuple[str, str], ...]]:
        found = page.find("florin_records_total", job_name=watched.transfer.job)
        return {tuple(sorted(sample.labels.items())) for sample in found}

    before = watched.page()
    assert series(before)
    watched.transfer.recover_from("the worker", watched.worker)
    page = watched.until("the restart is seen", "flink_jobmanager_job_numRestarts", 1, job_name=watched.transfer.job)
    assert series(page) == series(before)
    assert page.total("florin_records_total", system="transfer") < before.total(
        "florin_records_total", system="transfer"
    )


def test_every_metric_that_is_used_or_documented_exists(watched: Watched) -> None:
    watched.florin.run("jobs.subledger", "--schema=metrics_ledger", "prepare")
    schemas = ("--read-model-schema=metrics_on_flink", "--subledger-schema=metrics_ledger")
    exporter = subprocess.Popen(
        [sys.executable, "-m", "jobs.exporter", "--port=0", *schemas],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert exporter.stdout is not None
        address = re.search(r"http://\S+", exporter.stdout.readline())
        assert address is not None
        tables = Page.of(address[0], "florin")
    finally:
        exporter.terminate()
        exporter.wait(10)
    assert list(tables.find("florin_positions_sum", currency="USD"))
    there = watched.page().names() | tables.names() | {"up"}
    recorded = {rule["record"] for rule in rules("recording.yml")}
    used = {name for expression in expressions().values() for name in metrics_of(expression)} - recorded
    assert used <= there
    ours = {name for name in there if name.startswith("florin_") and not name.endswith(("_created", "_info"))}
    assert ours <= documented()
    assert documented() - there <= RARE
