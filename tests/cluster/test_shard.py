"""A shard on a real Kafka, without Flink: exactly once, fencing, and everything that must be refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

import pytest
from confluent_kafka import KafkaException, Producer

from florin_io.control import NotPaused, append_everywhere, not_paused, pause_and_wait
from florin_io.kafka.client import admin, client_config
from florin_io.kafka.log import LogReader, LogTruncated
from florin_io.kafka.settings import KafkaUnreachable
from florin_io.kafka.topics import FOREVER, TopicError, TopicSpec, ensure
from florin_io.kafka.writer import Fenced
from state.cells import CellError
from tests.cluster import raw_headers
from transforms.core import Batch, Output, ShardCore
from transforms.shard import LogSettings, Shard, ShardSpec, replay

pytestmark = pytest.mark.cluster


class Summing(ShardCore):
    """Writes the running sum of the numbers in its log; its state is the sum."""

    NAME = "summing"
    VERSION = 1
    CELLS = 1

    def __init__(self, out: str, due: int | None = None) -> None:
        self.out = out
        self.due = due
        self.sum = 0
        self.ticks = 0

    def apply(self, batch: Batch) -> list[Output]:
        outputs: list[Output] = []
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            if value == b"tick":
                self.ticks += 1
                self.due = None
                continue
            self.sum += int(value)
            outputs.append((self.out, 0, b"k", b"%d:%d" % (offset, self.sum)))
        return outputs

    def deadline(self) -> int | None:
        return self.due

    def tick(self) -> bytes:
        return b"tick"

    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        return [(0, b"%d" % self.sum)]

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        if not cells:
            return 0
        offset, payload = cells[0]
        self.sum = int(payload)
        return offset


class NewSumming(Summing):
    """The same under another version."""

    VERSION = 2


class Tracing(Summing):
    """Sees the trace contexts of its records."""

    TRACED = True

    def apply(self, batch: Batch) -> list[Output]:
        self.traces = [*getattr(self, "traces", []), *(batch.traces or [None] * len(batch))]
        return super().apply(batch)


class Log:
    """A log of one partition, its output topic, and shards on it."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.kafka = kafka
        self.topic, self.out = f"{prefix}log", f"{prefix}out"
        ensure(admin(kafka), [TopicSpec(self.topic, 1, FOREVER), TopicSpec(self.out, 1)])
        self.settings = LogSettings(kafka, f"{prefix}group")
        self.producer = Producer(client_config(kafka, **{"linger.ms": 0}))

    def append(self, *numbers: int | bytes) -> None:
        for number in numbers:
            self.producer.produce(self.topic, number if isinstance(number, bytes) else b"%d" % number, b"k", 0)
        assert self.producer.flush(10) == 0

    def spec(self, core: type[Summing] = Summing, due: int | None = None) -> ShardSpec:
        return ShardSpec(self.topic, 0, 1, partial(core, self.out, due))

    def start(self, cells: Mapping[int, bytes] | None = None, core: type[Summing] = Summing) -> Shard:
        return Shard(self.spec(core), self.settings, cells or {})

    def written(self) -> list[bytes]:
        """What a read_committed reader sees."""
        reader = LogReader(self.kafka, self.out, 0, "florin-test", bounded=True)
        low, end = reader.bounds()
        reader.seek(low)
        found = [message.value() or b"" for messages in reader.until(end, 1000) for message in messages]
        reader.close()
        return found


@pytest.fixture
def log(kafka: str, prefix: str) -> Log:
    return Log(kafka, prefix)


def run(shard: Shard, total: int) -> None:
    """Step until the core has seen numbers that sum to `total`."""
    while shard.core.sum != total:  # type: ignore[attr-defined]
        shard.step()


def test_outputs_come_once_though_records_are_replayed(log: Log) -> None:
    log.append(*range(1, 11))
    first = log.start()
    run(first, 55)
    cells = first.dump()
    log.append(*range(11, 21))
    run(first, 210)
    log.append(*range(21, 31))
    second = log.start(cells)  # as after a crash: the snapshot is older than what was emitted
    assert (second.next, second.emitted) == (10, 20)
    run(second, 465)
    assert [int(value.split(b":")[1]) for value in log.written()] == [n * (n + 1) // 2 for n in range(1, 31)]


def test_a_shard_without_a_snapshot_replays_the_whole_log_and_emits_nothing_twice(log: Log) -> None:
    log.append(1, 2, 3)
    run(log.start(), 6)
    again = log.start()
    assert (again.next, again.emitted) == (0, 3)
    log.append(4)
    run(again, 10)
    assert len(log.written()) == 4


def test_a_header_whose_name_is_no_text_stops_nothing(log: Log) -> None:
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    # Many before it: CPython handles a place that is run often in another way.
    log.append(*[0] * 300)
    raw_headers.send(log.kafka, log.topic, 0, b"1", b"\xff\xfe")
    log.producer.produce(log.topic, b"2", b"k", 0, headers=[("traceparent", parent)])
    log.append(3)
    shard = log.start(core=Tracing)
    run(shard, 6)
    assert shard.core.traces[300:] == [None, (("traceparent", parent),), None]  # type: ignore[attr-defined]


def test_a_zombie_is_fenced_by_the_next_owner(log: Log) -> None:
    log.append(1)
    zombie = log.start()
    run(zombie, 1)
    owner = log.start(zombie.dump())
    log.append(2)
    with pytest.raises((Fenced, KafkaException)):
        run(zombie, 3)
    run(owner, 3)
    assert log.written() == [b"0:1", b"1:3"]


def test_an_open_transaction_of_a_killed_owner_is_ended_at_once(log: Log) -> None:
    log.append(1)
    killed = log.start()
    killed._writer._producer.begin_transaction()
    killed._writer._producer.produce(log.out, b"half done", b"k", 0)
    killed._writer._producer.flush(10)
    run(log.start(), 1)
    assert log.written() == [b"0:1"]


def test_replay_gives_the_same_outputs_and_writes_nothing(log: Log) -> None:
    log.append(*range(1, 101))
    shard = log.start()
    run(shard, 5050)
    made = [output[3] for batch in replay(log.spec(), log.kafka, shard.next) for output in batch]
    assert made == log.written()


def test_a_silent_log_gets_one_tick_when_something_is_due(log: Log) -> None:
    shard = Shard(log.spec(due=1), log.settings, {})
    while not shard.core.ticks:  # type: ignore[attr-defined]
        shard.step()
    for _ in range(20):
        shard.step()
    assert shard.take_counts()["ticks"] == 1
    assert shard.core.ticks == 1  # type: ignore[attr-defined]


def test_a_pause_stops_the_shard_at_one_point_and_another_version_goes_on_there(log: Log) -> None:
    log.append(1, 2)
    shard = log.start()
    run(shard, 3)
    append_everywhere(log.kafka, log.topic, 1, b'{"pause":"upgrade"}')
    log.append(3)
    while shard.paused_at is None:
        shard.step()
    assert shard.step() == 0
    assert not_paused(log.kafka, log.topic, 1, log.settings.group) == []
    assert shard.pace.due(0)
    upgraded = log.start(shard.dump(), NewSumming)
    run(upgraded, 6)
    assert [value.split(b":")[1] for value in log.written()] == [b"1", b"3", b"6"]


def test_pausing_without_a_job_says_which_partitions_did_not_stop(log: Log) -> None:
    with pytest.raises(NotPaused, match="partitions 0 did not reach the pause record in 1 s"):
        pause_and_wait(log.kafka, log.topic, 1, log.settings.group, timeout_s=1)


def test_another_version_may_not_replay_what_was_emitted(log: Log) -> None:
    log.append(1)
    shard = log.start()
    cells = shard.dump()
    run(shard, 1)
    with pytest.raises(CellError, match="emitted by version 1 of the core.*--for-upgrade"):
        log.start(cells, NewSumming)
    with pytest.raises(CellError, match="there is no snapshot; summing/2 may not replay"):
        log.start(None, NewSumming)


def cells_of_a_stop(log: Log) -> dict[int, bytes]:
    """Of a shard that has stopped at a control record, for an upgrade."""
    append_everywhere(log.kafka, log.topic, 1, b'{"pause":"upgrade"}')
    shard = log.start()
    while shard.paused_at is None:
        shard.step()
    return shard.dump()


def test_an_older_version_may_not_replay_what_a_newer_one_emitted(log: Log) -> None:
    """Back to the savepoint of before an upgrade, by the release of before."""
    cells = cells_of_a_stop(log)
    log.append(1)
    upgraded = log.start(cells, NewSumming)
    run(upgraded, 1)
    with pytest.raises(CellError, match="emitted by version 2 of the core and would be replayed by version 1"):
        log.start(cells)
    assert log.start(upgraded.dump()).core.sum == 1  # type: ignore[attr-defined]


def test_a_crash_soon_after_an_upgrade_goes_on_from_the_cells_of_the_version_before(log: Log) -> None:
    cells = cells_of_a_stop(log)
    log.append(1, 2)
    run(log.start(cells, NewSumming), 3)
    log.append(3)
    run(log.start(cells, NewSumming), 6)
    assert [value.split(b":")[1] for value in log.written()] == [b"1", b"3", b"6"]


def test_a_version_may_not_replay_what_was_emitted_before_it_began(log: Log) -> None:
    shard = log.start()
    oldest = shard.dump()
    log.append(1)
    append_everywhere(log.kafka, log.topic, 1, b'{"pause":"upgrade"}')
    while shard.paused_at is None:
        shard.step()
    log.append(2)
    run(log.start(shard.dump(), NewSumming), 3)
    for cells in (oldest, None):
        with pytest.raises(CellError, match="records 0 to 1 were emitted by another version of the core"):
            log.start(cells, NewSumming)


def test_a_snapshot_ahead_of_the_committed_offset_is_refused(log: Log, prefix: str) -> None:
    log.append(1)
    shard = log.start()
    run(shard, 1)
    cells = shard.dump()
    client = admin(log.kafka)  # its futures end only while it lives
    client.delete_consumer_groups([log.settings.group])[log.settings.group].result()
    with pytest.raises(CellError, match="stands at offset 1, but group .* has committed only 0"):
        log.start(cells)


def test_a_second_group_may_not_emit_everything_again(log: Log) -> None:
    log.append(1)
    run(log.start(), 1)
    other = LogSettings(log.kafka, f"{log.settings.group}-2")
    spec = ShardSpec(log.topic, 0, 1, partial(Summing, log.out), own_output=log.out)
    with pytest.raises(CellError, match="has no committed offset, but .*out partition 0 has records.*old --job_name"):
        Shard(spec, other, {})


def test_an_aborted_first_transaction_is_no_proof_of_output(log: Log) -> None:
    killed = log.start()
    killed._writer._producer.begin_transaction()
    killed._writer._producer.produce(log.out, b"half done", b"k", 0)
    killed._writer._producer.flush(10)
    log.append(1)
    spec = ShardSpec(log.topic, 0, 1, partial(Summing, log.out), own_output=log.out)
    run(Shard(spec, log.settings, {}), 1)
    assert log.written() == [b"0:1"]


def test_another_job_name_is_refused(log: Log) -> None:
    shard = log.start()
    cells = shard.dump()
    with pytest.raises(CellError, match="belongs to group .* the job runs as 'other'.*old --job_name"):
        Shard(log.spec(), LogSettings(log.kafka, "other"), cells)


def test_a_log_whose_beginning_is_gone_is_refused(log: Log) -> None:
    from confluent_kafka import TopicPartition

    log.append(1, 2, 3)
    cells = log.start().dump()
    place = TopicPartition(log.topic, 0, 2)
    client = admin(log.kafka)
    for future in client.delete_records([place]).values():
        future.result()
    with pytest.raises(LogTruncated, match=r"partition 0: snapshot needs offset 0, the log starts at 2"):
        log.start(cells)
    with pytest.raises(LogTruncated, match="the log starts at 2; a replay needs all of it"):
        list(replay(log.spec(), log.kafka, 3))


def test_topics_that_do_not_fit_are_all_named_with_their_remedy(kafka: str, prefix: str) -> None:
    client = admin(kafka)
    ensure(client, [TopicSpec(f"{prefix}a", 2), TopicSpec(f"{prefix}b", 4, log_append_time=False)])
    with pytest.raises(TopicError) as caught:
        ensure(client, [TopicSpec(f"{prefix}a", 4), TopicSpec(f"{prefix}b", 4, FOREVER, replication=3)])
    text = str(caught.value)
    assert f"{prefix}a has 2 partitions, the job needs exactly 4" in text
    assert f"{prefix}b has message.timestamp.type=CreateTime" in text
    assert f"{prefix}b keeps records for 604800000 ms, a replay needs all of them" in text
    assert f"{prefix}b has 1 replica(s), 3 wanted" in text


def test_a_dry_run_makes_no_topics(kafka: str, prefix: str) -> None:
    assert ensure(admin(kafka), [TopicSpec(f"{prefix}a", 2)], create=False) == [f"{prefix}a"]
    assert f"{prefix}a" not in admin(kafka).list_topics(timeout=10).topics


def test_no_kafka_is_said_with_the_command_that_starts_one() -> None:
    with pytest.raises(KafkaUnreachable, match="no Kafka answers at 127.0.0.1:1 .*python -m flink up"):
        admin("127.0.0.1:1", timeout_s=1)


def test_pause_records_are_json(log: Log) -> None:
    append_everywhere(log.kafka, log.topic, 1, json.dumps({"pause": "x"}, separators=(",", ":")).encode())
    shard = log.start()
    while shard.paused_at is None:
        shard.step()
    assert log.written() == []
