"""One running shard: a core, its partition of the log, and the transactions that carry its outputs.

Exactly once rests on the order of things at the start (fence, then look at the committed offset, then load and
replay) and on one rule after it: cells are dumped only when everything applied has been committed.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from confluent_kafka import Message

from florin_io.kafka.log import LogReader, LogTruncated, headers_of, now_ms
from florin_io.kafka.writer import TransactionalWriter
from state.cells import CellError, CellHeader, Emitter, check, check_version, decode, encode
from state.pace import SnapshotPace
from transforms.core import PAUSE_PREFIX, Batch, Output, ShardCore
from transforms.measures import count_commit, count_latency
from transforms.trace import Trace, trace_of

_LOG = logging.getLogger(__name__)

KEEP_OFFSET_S = 3600.0
"""How often a silent shard commits its offset again: Kafka forgets offsets that nobody commits for a week."""
PAUSE_S = 300.0
"""How long a paused shard waits for its savepoint before it goes on by itself."""
TICK_GRACE_MS = 20
TICK_RETRY_S = 1.0


@dataclass(frozen=True)
class ShardSpec:
    """A shard: one partition of a log and the function that makes its core. `partitions` is the log's count."""

    topic: str
    partition: int
    partitions: int
    make_core: Callable[[], ShardCore]
    own_output: str | None = None
    """A topic whose partition of the same number only this shard writes to: proof of what was emitted."""

    @property
    def name(self) -> str:
        """For messages and keys."""
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True)
class LogSettings:
    """Kafka's address and the group under which a job's offsets are committed (derived from its name)."""

    bootstrap: str
    group: str


class Shard:
    """Runs one core. Raises from every method mean: drop this object; a new one starts from the cells again."""

    def __init__(self, spec: ShardSpec, settings: LogSettings, cells: Mapping[int, bytes]) -> None:
        """Fence, look, load. `cells` are those of Beam state, empty ones left out.

        Raises CellError or SnapshotError for cells that do not fit, LogTruncated if the log does not reach back to
        them, KafkaException if Kafka does not answer.
        """
        started = time.monotonic()
        self.spec = spec
        self.core = spec.make_core()
        self.counts: Counter[str] = Counter()
        self.pace = SnapshotPace(self.core.SNAPSHOT_WORK_S, self.core.SNAPSHOT_AGE_S)
        self.paused_at: float | None = None
        self._emitter = Emitter(self.core.NAME, self.core.VERSION)
        self._clock = 0
        self._tick_sent = 0.0
        self._committed_at = started
        self._core_counts: dict[str, int] = {}
        self._sizes = {number: len(cell) for number, cell in cells.items()}
        self._lag = 0
        self._turned_s = time.time()
        self._writer = TransactionalWriter(settings.bootstrap, f"{settings.group}.{spec.topic}.{spec.partition}")
        self._reader = LogReader(settings.bootstrap, spec.topic, spec.partition, settings.group)
        committed, note = self._reader.committed()
        self.emitted = committed or 0
        if committed is None and spec.own_output is not None:
            self._refuse_second_group(settings, spec.own_output)
        self._header = CellHeader(
            self.core.NAME, self.core.VERSION, settings.group, spec.topic, spec.partition, spec.partitions, 0, 0
        )
        self.next = self._resume(cells, note)
        self._reader.seek(self.next)
        self.pace.written(time.monotonic(), sum(map(len, cells.values())))
        _LOG.info(
            "%s: resumes at offset %d, %d cells, emitted up to %d, %.2f s",
            spec.name, self.next, len(cells), self.emitted, time.monotonic() - started,
        )  # fmt: skip

    def _resume(self, cells: Mapping[int, bytes], note: str) -> int:
        if self.core.STATELESS:
            return max(self.emitted, self._reader.bounds()[0])
        emitter = Emitter.of(note)
        if not cells and emitter is not None and self.emitted and emitter.version != self.core.VERSION:
            raise CellError(
                f"{self.spec.name}: records up to {self.emitted - 1} were emitted by core {emitter} and "
                "there is no snapshot; "
                f"{self._emitter} may not replay them. Start with --savepoint_path of a savepoint made for the upgrade"
            )
        resumes, self._clock, self._emitter = restore(self.core, cells, self._header, self.emitted, emitter)
        return resumes

    def _refuse_second_group(self, settings: LogSettings, output: str) -> None:
        """Under a new group everything would be emitted again; so it is if Kafka has forgotten the group's offsets."""
        reader = LogReader(settings.bootstrap, output, self.spec.partition, settings.group, bounded=True)
        try:
            low, end = reader.bounds()
            reader.seek(low)
            # Offsets without a record are aborted attempts.
            written = end > low and next(reader.until(end, 1), None) is not None
        finally:
            reader.close()
        if written:
            raise CellError(
                f"{self.spec.name}: group {settings.group!r} has no committed offset, but {output} partition "
                f"{self.spec.partition} has records: another job wrote them, or the offset was deleted or has expired, "
                "and everything would be emitted again. Give the job its old --job_name, or set the group's offset "
                f"with kafka-consumer-groups to one more than `offset` in the last record of {output}"
            )

    def step(self) -> int:
        """Take what has arrived through core and Kafka transaction; returns how many records it was.

        Raises KafkaException, Fenced, and whatever the core raises.
        """
        return self.process(self.fetch(0.0))

    def fetch(self, wait_s: float) -> list[Message]:
        """The next records, waiting at most `wait_s` for the first; none while paused. Raises KafkaException."""
        return [] if self.paused_at is not None else self._reader.poll(self.core.BATCH_RECORDS, wait_s)

    def process(self, messages: list[Message]) -> int:
        """Take one batch through core and transaction; without one, see whether a tick is due. Raises as `step`."""
        self._turned_s = time.time()
        self._lag = self._reader.behind()
        if self.paused_at is not None:
            self._end_pause()
            return 0
        if not messages:
            self._tick_if_due()
            return 0
        batch, self._clock = columns(messages, self._clock, self.core.TRACED)
        self.next = batch.offsets[-1] + 1
        replayed = bisect_left(batch.offsets, self.emitted)
        started = time.monotonic()
        if replayed:
            self.core.apply(_without_pauses(batch.slice(0, replayed)))
            self.counts["replayed_records"] += replayed
        if replayed < len(batch):
            self._go_live(batch.slice(replayed, len(batch)) if replayed else batch, started)
        else:
            self._worked(started)
        return len(batch)

    def _go_live(self, batch: Batch, started: float) -> None:
        # A stateless shard has nothing to snapshot, and others write to its topic: what looks like a pause there is
        # for its core to judge.
        pause = None
        if not self.core.STATELESS:
            pause = next((i for i, value in enumerate(batch.values) if value.startswith(PAUSE_PREFIX)), None)
        if pause is not None:
            batch = batch.slice(0, pause + 1)
            self.next = batch.offsets[-1] + 1
        outputs = self.core.apply(_without_pauses(batch) if pause is not None else batch)
        self._worked(started)
        self._commit(outputs, "" if pause is None else " paused")
        self._count(batch, outputs)
        self._tick_sent = 0.0
        if pause is not None:
            self.paused_at = time.monotonic()
            self.pace.demand()
            _LOG.info("%s: paused for an upgrade at offset %d", self.spec.name, self.next)

    def _worked(self, started: float) -> None:
        seconds = time.monotonic() - started
        if not self.core.STATELESS:
            self.pace.worked(seconds)
        self.counts["apply_us"] += int(seconds * 1_000_000)

    def _commit(self, outputs: list[Output], more: str = "") -> None:
        started = time.monotonic()
        self._writer.write(outputs, self._reader, self.next, f"{self._emitter}{more}")
        self.emitted = self.next
        self._committed_at = time.monotonic()
        count_commit(self.counts, self._committed_at - started)

    def _count(self, batch: Batch, outputs: list[Output]) -> None:
        self.counts["records"] += len(batch)
        self.counts["outputs"] += len(outputs)
        count_latency(self.counts, batch.times, now_ms())

    def _tick_if_due(self) -> None:
        now = time.monotonic()
        if self.next < self.emitted:
            return
        if now - self._committed_at >= KEEP_OFFSET_S:
            self._commit([])
        deadline = self.core.deadline()
        if deadline is None or now_ms() < deadline + TICK_GRACE_MS:
            return
        if now - self._tick_sent >= TICK_RETRY_S:
            self._commit([(self.spec.topic, self.spec.partition, None, self.core.tick())])
            self._tick_sent = now
            self.counts["ticks"] += 1

    def _end_pause(self) -> None:
        if self.paused_at is not None and time.monotonic() - self.paused_at > PAUSE_S:
            _LOG.warning("%s: no savepoint came within %d s of the pause; goes on", self.spec.name, PAUSE_S)
            self.paused_at = None
            self._reader.seek(self.next)

    def dump(self) -> dict[int, bytes]:
        """The cells to write into Beam state now. Nothing while records are replayed that were emitted before."""
        if self.core.STATELESS or self.next < self.emitted:
            return {}
        header = CellHeader(**{**self._header.__dict__, "offset": self.next, "clock": self._clock})
        dumped = self.core.dump(whole=self.paused_at is not None)
        cells = {number: encode(header, payload) for number, payload in dumped}
        size = sum(map(len, cells.values()))
        self.pace.written(time.monotonic(), size, self.core.unsaved())
        self.counts["snapshots"] += 1
        self.counts["snapshot_bytes"] += size
        self._sizes.update((number, len(cell)) for number, cell in cells.items())
        return cells

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call, the core's among them."""
        taken = dict(self.counts)
        self.counts.clear()
        total = self.core.counters()
        for name, value in total.items():
            if added := value - self._core_counts.get(name, 0):
                taken[name] = added
        self._core_counts = dict(total)
        return taken

    def gauges(self) -> dict[str, int]:
        """How the shard stands now: docs/metrics.md has the meanings."""
        found = {"lag": self._lag, "turned_s": int(self._turned_s)}
        if not self.core.STATELESS:
            found["snapshot_age_s"] = int(self.pace.age(time.monotonic()))
            found["snapshot_size_bytes"] = sum(self._sizes.values())
        return found

    def close(self) -> None:
        """Give the connections back; what was not committed is dropped."""
        self._writer.close()
        self._reader.close()


def restore(
    core: ShardCore, cells: Mapping[int, bytes], expected: CellHeader, emitted: int, emitter: Emitter | None
) -> tuple[int, int, Emitter]:
    """Load a core from cells of Beam state: the offset to read on from, log time so far (ms), who emits from now on.

    `expected` is what the shard says of itself, `emitted` its committed offset, `emitter` what stands beside that.
    Raises CellError or SnapshotError for cells that do not fit.
    """
    loaded: dict[int, tuple[int, bytes]] = {}
    versions = set[int]()
    clock = 0
    for number, cell in cells.items():
        header, payload = decode(cell)
        check(header, expected, emitted)
        loaded[number] = (header.offset, payload)
        versions.add(header.version)
        clock = max(clock, header.clock)
    resumes = core.load(loaded)
    return resumes, clock, check_version(versions, expected, resumes, emitted, emitter)


def columns(messages: list[Message], clock: int, traced: bool) -> tuple[Batch, int]:
    """The messages as columns, their times made monotonic from `clock` (ms) on, and the clock after them.

    Trace contexts are among them if `traced`.
    """
    times = list(accumulate((message.timestamp()[1] for message in messages), max, initial=clock))
    batch = Batch(
        cast(list[int], [message.offset() for message in messages]),
        times[1:],
        [message.key() for message in messages],
        [message.value() or b"" for message in messages],
        _traces(messages) if traced else None,
    )
    return batch, times[-1]


def _traces(messages: list[Message]) -> list[Trace | None] | None:
    headers = [headers_of(message) for message in messages]
    if not any(headers):
        return None
    return [trace_of(found) if found else None for found in headers]


def _without_pauses(batch: Batch) -> Batch:
    kept = [i for i, value in enumerate(batch.values) if not value.startswith(PAUSE_PREFIX)]
    return batch if len(kept) == len(batch) else batch.pick(kept)


def replay(spec: ShardSpec, bootstrap: str, end: int) -> Iterator[list[Output]]:
    """What a fresh core makes of the log from its beginning to offset `end` (exclusive), batch by batch.

    Raises LogTruncated if the log's beginning is gone.
    """
    core = spec.make_core()
    reader = LogReader(bootstrap, spec.topic, spec.partition, "florin-replay", bounded=True)
    clock = 0
    try:
        low, _ = reader.bounds()
        if low > 0:
            raise LogTruncated(f"{spec.name}: the log starts at {low}; a replay needs all of it")
        reader.seek(0)
        for messages in reader.until(end, core.BATCH_RECORDS):
            batch, clock = columns(messages, clock, core.TRACED)
            yield core.apply(_without_pauses(batch))
    finally:
        reader.close()
