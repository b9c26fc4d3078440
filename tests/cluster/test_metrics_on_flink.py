"""Metrics of running jobs, scraped as Prometheus does: the names that alerts and dashboards use, and true figures."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry, generate_latest

from florin_io.kafka.client import client_config
from florin_io.kafka.log import TopicReader
from jobs.exporter import Tables
from jobs.read_model import database_of
from jobs.subledger.cli import subledger
from tests.cluster.system import PARTITIONS, TransferSystem, send
from tests.conftest import Florin, eventually
from tests.scrape import Page, text_of
from tests.unit.monitoring.test_rules import documented, expressions, metrics_of, rules
from tests.unit.transfers import wire
from transforms.cards.scored import decode_scored
from transforms.cards.topics import Topics as CardTopics
from transforms.transfers.timestamps import iso

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PREFIX = "m-"
DFSP = "dfsp1"
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RARE = {"florin_ticks_total", "florin_read_total"}
"""Documented, and not on the page of these jobs: they come with their first event or with another job."""


def label(name: str) -> str:
    """A name as Flink's reporter writes it into labels and names."""
    return name.replace("-", "_")


class Watched:
    """The jobs and their page."""

    def __init__(self, florin: Florin) -> None:
        self.florin = florin
        self.transfer = TransferSystem(florin, PREFIX)
        self.transfer.start(parallelism=1)
        eventually("its worker", lambda: len(florin.workers()) == 1)
        (self.worker,) = florin.workers()

    def page(self) -> Page:
        return Page(text_of(self.florin.state["prometheus"]))

    def until(self, what: str, look: Callable[[Page], object], expected: object) -> None:
        """Wait until a page shows what is expected; the reporter pushes every five seconds."""
        text, seen = "", None

        def reached() -> bool:
            nonlocal text, seen
            before, text = text, text_of(self.florin.state["prometheus"])
            if text != before:
                seen = look(Page(text))
            return seen == expected

        try:
            eventually(what, reached)
        except AssertionError:
            raise AssertionError(f"{what}: {seen}, not {expected}") from None


@pytest.fixture(scope="module")
def watched(florin: Florin) -> Iterator[Watched]:
    made = Watched(florin)
    read_model = ("--runner=FlinkRunner", f"--topic_prefix={PREFIX}", "--schema=metrics_on_flink", "--detach")
    cards = ("start", f"--topic_prefix={PREFIX}", "--detach", "--parallelism=1", "--rules=seed")
    with ThreadPoolExecutor() as pool:
        started = [
            pool.submit(florin.run, "jobs.read_model", *read_model),
            pool.submit(florin.run, "jobs.cards", *cards),
        ]
        made.transfer.set_up()
        for one in started:
            one.result()
    yield made
    florin.stop_jobs()


def test_outcomes_are_those_of_the_load_generator(watched: Watched) -> None:
    report = watched.transfer.load(200, 5)
    sent = {name: counts["expected"] for name, counts in report.outcomes.items()}
    limited = sent["ndc"] + sent["liquidity"]
    aborted = sent["abort"] + sent["reject"] + sent["invalid-fulfilment"]
    committed = report.sent - aborted - limited - sent["timeout"]
    duplicates = sum(count for name, count in sent.items() if name.startswith("duplicate"))
    expected = {
        "reserved": report.sent - limited, "committed": committed, "credited": committed, "aborted": aborted,
        "expired": sent["timeout"], "limit_blocked": limited, "duplicates": duplicates,
    }  # fmt: skip
    assert min(expected.values()) > 0

    def counted(page: Page) -> tuple[dict[str, float], list[float], bool]:
        outcomes = page.by("outcome", "florin_outcomes_total", system="transfer")
        records = page.total("florin_records_total", system="transfer")
        buckets = page.by("le", "florin_latency_ms_bucket", system="transfer")
        commits = page.by("le", "florin_commit_ms_bucket", system="transfer")
        differences = [
            records - buckets.get("+Inf", 0),
            page.total("florin_commits_total", system="transfer") - commits.get("+Inf", 0),
            page.total("florin_dead_letters_total", system="transfer"),
        ]  # fmt: skip
        started = page.total("florin_starts_total", system="transfer") >= PARTITIONS
        return {name: outcomes.get(name, 0) for name in expected}, differences, started

    watched.until("outcomes, buckets and starts", counted, (expected, [0] * 3, True))
    for name in ("florin_latency_ms_bucket", "florin_commit_ms_bucket"):
        buckets = watched.page().by("le", name, system="transfer")
        assert [buckets[bound] for bound in sorted(buckets, key=float)] == sorted(buckets.values())
        assert buckets["+Inf"] > 0


def test_a_bad_record_is_one_dead_letter(watched: Watched) -> None:
    send(watched.transfer.kafka, [(watched.transfer.topics.log, 0, None, b"no JSON")])
    watched.until(
        "the dead letter is counted", lambda page: page.total("florin_dead_letters_total", system="transfer"), 1
    )


def test_shards_tell_lag_life_and_snapshots(watched: Watched) -> None:
    topic = label(watched.transfer.topics.log)
    shards = {str(number) for number in range(PARTITIONS)}
    now = time.time()

    def shown(page: Page) -> list[bool]:
        lags, turned, sizes, ages = (
            page.by("shard", f"florin_{name}", topic=topic)
            for name in ("lag_records", "turned_seconds", "snapshot_size_bytes", "snapshot_age_seconds")
        )
        return [
            lags.keys() == turned.keys() == sizes.keys() == ages.keys() == shards,
            max(lags.values(), default=99) <= 3,  # at rest only markers of transactions lie behind
            min(turned.values(), default=0) > now,
            min(sizes.values(), default=0) > 0,
        ]

    watched.until("every shard is at the end, turns, and has written its cells", shown, [True] * 4)


def test_rule_hits_are_those_of_the_scored_transactions(watched: Watched) -> None:
    printed = watched.florin.run(
        "jobs.load", "cards", f"--topic-prefix={PREFIX}", "--cards=2000", "--rate=1000", "--duration=5", "--watch",
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

    def counted(page: Page) -> tuple[dict[str, float], list[float]]:
        outcomes = page.by("outcome", "florin_outcomes_total", system="cards")
        return page.by("rule", "florin_rule_hits_total", system="cards", mode="rule"), [
            outcomes.get("transactions", 0), outcomes.get("frauds", 0),
            page.total("florin_dead_letters_total", system="cards"),
        ]  # fmt: skip

    watched.until("all is counted", counted, (dict(hits), [report["sent"], hits.total(), 1]))


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
        eventually("the POST and the event", arrived)
    finally:
        for reader in readers.values():
            reader.close()
    assert [headers for told in found.values() for headers in told] == [
        [("traceparent", PARENT), ("tracestate", b"rojo=1")] for _ in range(2)
    ]
    watched.until("both were sequenced", lambda page: page.total("florin_outcomes_total", system="sequencer"), 2)


def test_a_restarted_task_goes_on_with_the_same_series_from_zero(watched: Watched) -> None:
    job = label(watched.transfer.job)

    def series(page: Page) -> set[tuple[tuple[str, str], ...]]:
        found = page.find("florin_records_total", job_name=job)
        return {tuple(sorted(sample.labels.items())) for sample in found}

    before = watched.page()
    assert len(series(before)) == 2, "the sequencer and the shards"

    def goes_on(page: Page) -> tuple[bool, bool, object]:
        restarted, counted = (
            (page.total(name, job_name=job), before.total(name, job_name=job))
            for name in ("flink_jobmanager_job_numRestarts", "florin_records_total")
        )
        return restarted[0] > restarted[1], counted[0] < counted[1], series(page)

    watched.transfer.recover_from("the worker", watched.worker)
    watched.until("the restart is counted and tasks count again", goes_on, (True, True, series(before)))


def test_every_metric_that_is_used_or_documented_exists(watched: Watched) -> None:
    watched.florin.call(subledger, "--schema=metrics_ledger", "prepare")
    registry = CollectorRegistry()
    registry.register(Tables(database_of(None, "metrics_on_flink"), database_of(None, "metrics_ledger")))
    tables = Page(generate_latest(registry).decode(), "florin")
    assert list(tables.find("florin_positions_sum", currency="USD"))
    there = watched.page().names() | tables.names() | {"up"}
    recorded = {rule["record"] for rule in rules("recording.yml")}
    used = {name for expression in expressions().values() for name in metrics_of(expression)} - recorded
    assert used <= there
    ours = {name for name in there if name.startswith("florin_") and not name.endswith(("_created", "_info"))}
    assert ours <= documented()
    assert documented() - there <= RARE
