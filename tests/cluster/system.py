"""A transfer job on the session's stack as tests use it: start, set up, load, look at what came out, audit, kill."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

import psutil
from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from florin_io.kafka.client import admin, client_config
from florin_io.kafka.log import LogReader, committed_offsets, end_offsets
from jobs import audit
from jobs.load.config import Config
from jobs.load.report import Report
from jobs.load.transfer import run as run_load
from jobs.transfer import group_of
from tests.conftest import Florin, eventually
from transforms.transfers.routing import partition_of
from transforms.transfers.topics import Topics

Json = dict[str, Any]
PARTITIONS = 4
LOAD = "load"
# Of a load that something else ends.
LONGEST_S = 900.0
R = TypeVar("R")
DFSPS = tuple(f"dfsp{number}" for number in range(1, 9))


class TransferSystem:
    """The job under a topic prefix of its own."""

    def __init__(self, florin: Florin, prefix: str) -> None:
        self.florin = florin
        self.prefix = prefix
        self.topics = Topics(prefix)
        self.job = f"{prefix}transfer"
        self.kafka = florin.kafka
        self._admin = admin(self.kafka)
        self._last: dict[tuple[str, int], int] = {}

    def start(self, *options: str, parallelism: int = 2, expect: int = 0) -> str:
        """Submit the job; returns what the command printed."""
        given = (f"--topic_prefix={self.prefix}", f"--parallelism={parallelism}", "--detach", *options)
        return self.florin.run("jobs.transfer", "--runner=FlinkRunner", *given, expect=expect)

    def set_up(self) -> None:
        """Create the DFSPs that the load generator plays."""
        self.florin.run("jobs.hub", "setup", "--topic-prefix", self.prefix)

    def load(
        self, rate: float = 300, seconds: float = 5, enough: threading.Event | None = None, **settings: Any
    ) -> Report:
        """Drive traffic with a little of everything through the job; everything must come out as expected.

        `enough` ends it early.
        """
        config = Config(
            self.kafka, self.prefix, rate, seconds, dfsps=DFSPS, grace_s=90, warmup_s=0,
            **{"timeout_s": 2, **settings},
        )  # fmt: skip
        report = run_load(config, enough=enough)
        assert report.ok, told(report)
        assert report.sent >= rate * report.seconds / 4, told(report)
        return report

    @contextmanager
    def under_load(self, rate: float, seconds: float | None = None, **settings: Any) -> Iterator[Beside[Report]]:
        """Load while the block runs, or for `seconds` if given; after it the report is there."""
        before = self.emitted()
        longest = LONGEST_S if seconds is None else seconds
        with beside(lambda enough: self.load(rate, longest, enough, **settings), wait=seconds is not None) as load:
            eventually("traffic flows", lambda: load.failed or self.flows(before))
            yield load

    def emitted(self) -> list[int]:
        """End of every partition of the notifications."""
        return end_offsets(self.kafka, self.topics.notifications, PARTITIONS)

    def flows(self, before: list[int]) -> bool:
        """Whether every shard with traffic has emitted more than `before`."""
        busy = {partition_of(dfsp, PARTITIONS) for dfsp in DFSPS}
        try:
            now = self.emitted()
        except KafkaException:
            return False
        return all(now[partition] > before[partition] for partition in busy)

    def audit(self) -> None:
        """Replay the log: byte for byte what a read_committed reader sees, nothing lost and nothing doubled."""
        printed = self.florin.call(audit.main, "transfer", "--topic-prefix", self.prefix)
        assert "equal, byte for byte" in printed, printed

    def records(self, topic: str) -> list[list[tuple[int, bytes]]]:
        """Offset and value of all records of a topic, by partition, as a read_committed reader sees them."""
        followers = [Follower(self.kafka, topic, partition) for partition in range(PARTITIONS)]
        try:
            return [follower.take() for follower in followers]
        finally:
            for follower in followers:
                follower.close()

    def accounts(self) -> dict[str, Json]:
        """The last event of each account."""
        events = [json.loads(value) for part in self.records(self.topics.events) for _, value in part]
        return {event["account"]: event for event in events if "position" in event}

    def check_books(self) -> None:
        """At rest positions sum to zero in every currency and nothing is reserved."""
        sums: Counter[str] = Counter()
        accounts = self.accounts()
        assert len(accounts) >= len(DFSPS), sorted(accounts)
        assert any(Decimal(event["position"]) != 0 for event in accounts.values()), "nothing has moved"
        for name, event in accounts.items():
            sums[name.split("/")[1]] += Decimal(event["position"])  # type: ignore[assignment]
            assert Decimal(event["reserved"]) == 0, f"{name}: {event}"
        assert set(sums.values()) == {0}, dict(sums)

    def at_rest(self) -> bool:
        """Whether everything sent so far has been sequenced, applied and emitted.

        A shard's outputs and its input offset come in one transaction. So nothing is under way when no partition holds
        an open transaction and each one's committed offset is past the last record of data.
        """
        ends = self._ends()
        if ends is None:
            return False
        for topic in (self.topics.prepare, self.topics.fulfil, self.topics.log):
            done = committed_offsets(self.kafka, topic, self._counts[topic], group_of(self.job))
            for partition, offset in enumerate(done):
                end = ends[topic, partition]
                if offset < end and offset < self._last_data(topic, partition) + 1:
                    return False
        return self._ends() == ends

    @property
    def _counts(self) -> dict[str, int]:
        topics = self.topics
        ours = (topics.log, topics.notifications, topics.events, topics.dead_letters)
        return {topics.prepare: 2, topics.fulfil: 2} | dict.fromkeys(ours, PARTITIONS)

    def _ends(self) -> dict[tuple[str, int], int] | None:
        """End of every partition; None while a transaction is open in one."""
        ends = self._ends_as(IsolationLevel.READ_COMMITTED)
        return ends if ends == self._ends_as(IsolationLevel.READ_UNCOMMITTED) else None

    def _ends_as(self, level: IsolationLevel) -> dict[tuple[str, int], int]:
        places = [TopicPartition(topic, number) for topic, count in self._counts.items() for number in range(count)]
        asked = self._admin.list_offsets({place: OffsetSpec.latest() for place in places}, isolation_level=level)
        return {(place.topic, place.partition): future.result().offset for place, future in asked.items()}

    def _last_data(self, topic: str, partition: int) -> int:
        """Offset of the last record that is no transaction marker; -1 if there is none."""
        key = (topic, partition)
        follower = Follower(self.kafka, topic, partition, self._last.get(key, -1) + 1)
        try:
            for offset, _ in follower.take():
                self._last[key] = offset
        finally:
            follower.close()
        return self._last.get(key, -1)

    def job_id(self) -> str:
        """The running job's id on Flink."""
        with self.florin.rest() as rest:
            return str(rest.require(self.job)["jid"])

    def parallelism(self) -> set[int]:
        """That of the running job's tasks."""
        with self.florin.rest() as rest:
            return {vertex["parallelism"] for vertex in rest.job(rest.require(self.job)["jid"])["vertices"]}

    def is_up(self) -> bool:
        """Whether all of the job's tasks run."""
        return self.florin.runs(self.job)

    def failures(self) -> list[str]:
        """Flink's exceptions of the running job: every one was a restart."""
        with self.florin.rest() as rest:
            return rest.exceptions(rest.require(self.job)["jid"])

    def cancel(self) -> None:
        """End the job without a savepoint."""
        with self.florin.rest() as rest:
            rest.cancel(self.job_id())

    def recover_from(self, what: str, victim: psutil.Process) -> None:
        """kill -9 a process that makes the job fail; wait until every shard emits and print how long that took."""
        known = len(self.failures())
        began = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        eventually(f"Flink notices the kill of {what}", lambda: len(self.failures()) > known)
        noticed = time.monotonic() - began
        eventually(f"the job runs again after the kill of {what}", self.is_up)
        runs = time.monotonic() - began
        self.wait_for_flow(f"after kill -9 of {what}, noticed after {noticed:.1f} s, running after {runs:.1f} s", began)

    def wait_for_flow(self, after: str, began: float) -> None:
        """Wait until every shard with traffic emits, or all that was sent has come out already."""
        before = self.emitted()
        loads = [thread for thread in threading.enumerate() if thread.name == LOAD]
        flowed = False

        def flows_or_done() -> bool:
            nonlocal flowed
            flowed = flowed or self.flows(before)
            return flowed or not any(thread.is_alive() for thread in loads)

        eventually(f"outputs flow again {after}", flows_or_done)
        state = (
            f"every shard emits {time.monotonic() - began:.1f} s" if flowed else "all had come out before it was seen"
        )
        print(f"{state} {after}")


class Follower:
    """Reads one partition as it grows."""

    def __init__(self, kafka: str, topic: str, partition: int, first: int = 0) -> None:
        self._reader = LogReader(kafka, topic, partition, "florin-test")
        self._reader.seek(first)
        self._first = first

    def take(self) -> list[tuple[int, bytes]]:
        """Offset and value of what was committed since the last call."""
        end = self._reader.bounds()[1]
        found: list[tuple[int, bytes]] = []
        while (self._reader.position() or self._first) < end:
            found += [(message.offset(), message.value() or b"") for message in self._reader.poll(2000, 0.1)]
        return found

    def close(self) -> None:
        self._reader.close()


@dataclass
class Beside(Generic[R]):
    """A load that runs in a thread of its own: its report when it is over, or what it failed with."""

    reports: list[R] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return bool(self.failures)


@contextmanager
def beside(load: Callable[[threading.Event], R], *, wait: bool = False) -> Iterator[Beside[R]]:
    """Run `load` while the block runs; then set its event, or `wait` for its own end. Raises what it failed with."""
    enough = threading.Event()
    found: Beside[R] = Beside()

    def drive() -> None:
        try:
            found.reports.append(load(enough))
        except BaseException as error:
            found.failures.append(error)

    thread = threading.Thread(target=drive, name=LOAD)
    thread.start()
    try:
        yield found
    finally:
        if not wait:
            enough.set()
        thread.join()
        if found.failures:
            raise found.failures[0]


def send(kafka: str, records: list[tuple[str, int, bytes | None, bytes]]) -> list[int]:
    """Append records (topic, partition, key, value); returns their offsets."""
    offsets = [-1] * len(records)

    def note(number: int) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            offsets[number] = message.offset()

        return delivered

    producer = Producer(client_config(kafka, **{"linger.ms": 5, "message.max.bytes": 4_000_000}))
    for number, (topic, partition, key, value) in enumerate(records):
        producer.produce(topic, value, key, partition, on_delivery=note(number))
    assert producer.flush(30) == 0
    assert -1 not in offsets
    return offsets


def told(report: Report) -> str:
    """What went wrong in a run."""
    short = f"{report.mismatches} mismatches, {report.missing} missing: {report.examples[:1]}"
    return f"{short}\n" + json.dumps(
        {key: value for key, value in report.to_json().items() if key != "timeline"}, indent=1
    )
