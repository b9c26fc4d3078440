"""Drives the card scoring job with simulated traffic, and measures what comes back if asked.

One thread makes and sends, another reads the verdicts, so that making a block of traffic does not look like latency.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from florin_io import endpoints
from jobs.hub.topics import card_partitions
from jobs.load.card_watch import Watch
from jobs.load.wire import Sender
from transforms.cards.fields import PACKET
from transforms.cards.routing import partitions_of
from transforms.cards.simulate import Mix, Population, Simulator, Traffic
from transforms.cards.simulate.labels import NAMES
from transforms.cards.simulate.world import DAY_MS
from transforms.cards.topics import Topics
from transforms.load.pacing import Pacer

WINDOW_S = 10
CLOSED_LOOP = 200_000
_SLICE = 2_000
_IDLE_S = 0.001
_PACE_S = 0.005
"""Time between two lots at a given rate: a lot of ten records costs as much as one of fifty."""
_TOP = 2
"""Rules in a line of progress: those that flagged most."""


@dataclass(frozen=True)
class CardsConfig:
    """What to send, and how. `rate` in transactions/s, 0: as fast as it goes. Sending ends after `duration_s` or
    `count`, whichever is first. With `file` packets go there instead of to Kafka; `labels` gets the fraudulent ones;
    `watch` reads the verdicts, and then at most `in_flight` transactions wait for theirs."""

    people: Population = field(default_factory=Population)
    mix: Mix = field(default_factory=Mix)
    rate: float = 10_000.0
    duration_s: float | None = 60.0
    count: int | None = None
    from_day: float = 0.0
    watch: bool = False
    in_flight: int = CLOSED_LOOP
    warmup_s: float = 5.0
    grace_s: float = 15.0
    labels: Path | None = None
    file: Path | None = None
    kafka: str | None = None
    topic_prefix: str = ""

    def __post_init__(self) -> None:
        if self.duration_s is None and self.count is None:
            raise ValueError("give a duration or a count: the run must end")
        if self.from_day < 0:
            raise ValueError(f"the first day must be 0 or later, got {self.from_day}")
        if self.file is not None and self.watch:
            raise ValueError("what goes to a file is not scored: leave out --watch")
        if self.labels is not None and self.labels.suffix not in (".csv", ".parquet"):
            raise ValueError(f"labels go to a .csv or .parquet file, got {self.labels}")


@dataclass(frozen=True)
class CardsProgress:
    """How a run stands; rates and latencies are those of the last ten seconds."""

    seconds: float
    sent: int
    sent_per_s: float
    watched: dict[str, Any] | None

    def line(self) -> str:
        """One line for people."""
        seen = self.watched
        if seen is None:
            return f"{self.seconds:5.0f} s | {self.sent_per_s:,.0f}/s sent, {self.sent:,} in all"
        latency = "-" if seen["p50_ms"] is None else f"p50 {seen['p50_ms']}, p99 {seen['p99_ms']} ms"
        rules = sorted(seen["rules"].items(), key=lambda item: -item[1]["flagged"])[:_TOP]
        # A narrow terminal shows the beginning.
        return " | ".join(
            (
                f"{self.seconds:5.0f} s",
                f"{seen['per_s']:,.0f}/s",
                f"{seen['scored']:,} scored",
                latency,
                f"fraud {_percent(seen['flagged_share'])}",
                ", ".join(f"{name} {told['flagged']:,}" for name, told in rules) or "no rule yet",
                f"precision {_percent(seen['precision'])}, recall {_percent(seen['recall'])}",
            )
        )


@dataclass(frozen=True)
class CardsReport:
    """Result of a run. `per_s` is what was sent a second; `until` the timestamp the simulation has come to, and
    `next_day` where a following run goes on (--from-day). `watched` holds what the verdicts were, if they were read."""

    seed: int
    cards: int
    rate: float
    seconds: float
    sent: int
    per_s: float
    fraudulent: int
    duplicates: int
    skipped: int
    undelivered: int
    first: str
    until: str
    next_day: int
    cpu_us_per_transaction: float
    interrupted: bool
    watched: dict[str, Any] | None
    hints: list[str]

    @property
    def ok(self) -> bool:
        """All was sent and, if watched, came back."""
        return self.undelivered == 0 and (self.watched is None or self.watched["missing"] == 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for json.dumps."""
        return {"ok": self.ok, **asdict(self)}


def run(
    config: CardsConfig,
    progress: Callable[[CardsProgress], None] | None = None,
    stop: threading.Event | None = None,
    enough: threading.Event | None = None,
) -> CardsReport:
    """Send the traffic and report.

    `progress` is called once a second; setting `stop` ends the sending early, and soon the waiting for verdicts too;
    setting `enough` ends only the sending. Raises KafkaUnreachable, TopicsMissing, KafkaException, OSError for a file
    that cannot be written.
    """
    run = _Run(config, stop or threading.Event(), enough or threading.Event())
    try:
        return run.play(progress)
    finally:
        run.close()


class _Run:
    """One run: makes traffic, sends what is due, keeps the labels."""

    def __init__(self, config: CardsConfig, stop: threading.Event, enough: threading.Event) -> None:
        self._config, self._stop, self._enough = config, stop, enough
        self._sent = self._duplicates = self._undelivered = 0
        self._first_ms = self._until_ms = config.people.start_ms
        self._labelled: list[pa.Table] = []
        self._watch: Watch | None = None
        self._file = config.file.open("wb") if config.file else None
        self._sender: Sender | None = None
        self._partitions = 1
        if self._file is None:
            topics = Topics(config.topic_prefix)
            bootstrap = endpoints.resolve(kafka=config.kafka).kafka
            counts = card_partitions(bootstrap, [topics.transactions, topics.scored])
            self._topic, self._partitions = topics.transactions, counts[topics.transactions]
            if config.watch:
                self._watch = Watch(bootstrap, topics.scored, counts[topics.scored], config.warmup_s)
            self._sender = Sender(bootstrap, self._failed)

    def close(self) -> None:
        """Stop reading and close the file."""
        if self._watch is not None:
            self._watch.close()
        if self._file is not None:
            self._file.close()

    def play(self, progress: Callable[[CardsProgress], None] | None) -> CardsReport:
        config = self._config
        cpu, started = time.process_time(), time.monotonic()
        skipped = self._send_all(progress, started)
        if self._sender is not None:
            self._undelivered += self._sender.flush(30)
        seconds = time.monotonic() - started
        cpu = time.process_time() - cpu
        if self._watch is not None:
            self._watch.finish(self._sent, config.grace_s, self._stop)
        if config.labels is not None:
            write_labels(config.labels, self._labelled)
        return self._report(seconds, cpu, skipped)

    def _send_all(self, progress: Callable[[CardsProgress], None] | None, started: float) -> int:
        """Send until duration or count is reached, or an event is set; returns how many were given up as late."""
        config = self._config
        end = started + config.duration_s if config.duration_s is not None else float("inf")
        pacer, parts = Pacer(config.rate, started), self._parts()
        window, second = [(started, 0)], started + 1
        left: _Part | None = None
        while (now := time.monotonic()) < end and not (self._stop.is_set() or self._enough.is_set()):
            room = _SLICE if config.count is None else min(_SLICE, config.count - self._sent)
            if room <= 0:
                break
            if self._watch is not None:
                room = min(room, max(0, config.in_flight - (self._sent - self._watch.scored)))
            due = pacer.due(now, room)
            while due > 0:
                left = left or next(parts)
                count, left = self._send(left, due)
                due -= count
            if room == 0 or config.rate:
                time.sleep(_PACE_S if config.rate else _IDLE_S)
            if now >= second:
                second = now + 1
                window = [*window[-WINDOW_S:], (now, self._sent)]
                rate = (self._sent - window[0][1]) / max(now - window[0][0], 1e-9)
                if progress is not None:
                    watched = self._watch.progress() if self._watch else None
                    progress(CardsProgress(now - started, self._sent, rate, watched))
        if left is not None:
            self._until_ms = int(left.traffic.times[max(left.at - 1, 0)])
        return pacer.skipped

    def _parts(self) -> Iterator[_Part]:
        """The traffic, ready to be sent; the watch is told of fraud before it goes out."""
        first = True
        for traffic in Simulator(self._config.people, self._config.mix, self._config.from_day).blocks():
            if not len(traffic):
                continue
            if first:
                self._first_ms, first = int(traffic.times[0]), False
            yield _Part(traffic, self._partitions, kafka=self._sender is not None)

    def _send(self, part: _Part, most: int) -> tuple[int, _Part | None]:
        """Send up to `most` of a part; returns how many, and the part if some of it is left."""
        start, stop = part.at, min(part.at + most, len(part.traffic))
        some = part.traffic.slice(start, stop)
        fraud = np.flatnonzero(some.labels)
        if len(fraud):
            self._labelled.append(_label_table(some, fraud))
            if self._watch is not None:
                texts = (some.packets[at].tobytes() for at in fraud)
                self._watch.expect(texts, some.labels[fraud].tolist())
        self._duplicates += int(some.duplicates.sum())
        if self._file is not None:
            self._file.write(some.packets.tobytes())
        elif self._sender is not None:
            send, topic = self._sender.send, self._topic
            for value, key, partition in zip(
                part.values[start:stop], part.keys[start:stop], part.partitions[start:stop], strict=True
            ):
                send(topic, value, key, partition)
            self._sender.poll(0)
        self._sent += stop - start
        part.at = stop
        self._until_ms = int(some.times[-1])
        return stop - start, part if stop < len(part.traffic) else None

    def _failed(self, text: str) -> None:
        self._undelivered += 1

    def _report(self, seconds: float, cpu: float, skipped: int) -> CardsReport:
        config = self._config
        days = (self._until_ms - config.people.start_ms) / DAY_MS
        hints = []
        if self._until_ms > time.time() * 1000 + 300_000 and not config.mix.future:
            hints.append("timestamps have passed the present and are flagged as future: begin earlier with --start")
        watched = self._watch.summary(self._sent) if self._watch is not None else None
        if watched and self._sent and not watched["scored"]:
            hints.append("nothing came back: does the job run? `python -m flink status`, `python -m jobs.cards start`")
        return CardsReport(
            seed=config.people.seed, cards=config.people.cards, rate=config.rate, seconds=round(seconds, 3),
            sent=self._sent, per_s=round(self._sent / max(seconds, 1e-9), 1),
            fraudulent=sum(table.num_rows for table in self._labelled), duplicates=self._duplicates,
            skipped=skipped, undelivered=self._undelivered, first=_iso(self._first_ms), until=_iso(self._until_ms),
            next_day=int(np.ceil(days)) if self._sent else int(config.from_day),
            cpu_us_per_transaction=round(cpu * 1e6 / max(1, self._sent), 2),
            interrupted=self._stop.is_set(), watched=watched, hints=hints,
        )  # fmt: skip


class _Part:
    """A block of traffic as the lists that Kafka's client takes, and how far it has been sent."""

    def __init__(self, traffic: Traffic, partitions: int, *, kafka: bool) -> None:
        self.traffic, self.at = traffic, 0
        self.values: list[bytes] = []
        self.keys: list[bytes] = []
        self.partitions: list[int] = []
        if kafka:
            # Packets end with a newline and keys with a digit, so that no NUL byte is stripped here.
            self.values = traffic.packets.view(f"S{PACKET}").ravel().tolist()
            self.keys = np.ascontiguousarray(traffic.packets[:, :14]).view("S14").ravel().tolist()
            self.partitions = partitions_of(traffic.cards, partitions).tolist()


def _label_table(traffic: Traffic, rows: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
    scenarios = [NAMES[label] for label in traffic.labels[rows].tolist()]
    return pa.table(
        {
            "card": pa.array([f"{card:014d}" for card in traffic.cards[rows].tolist()]),
            "timestamp": traffic.times[rows],
            "amount": traffic.amounts[rows],
            "merchant": pa.array([f"{merchant:04d}" for merchant in traffic.merchants[rows].tolist()]),
            "scenario": pa.array(scenarios, pa.string()),
            "duplicate": pa.array(traffic.duplicates[rows]),
        }
    )


def write_labels(path: Path, tables: list[pa.Table]) -> None:
    """One row per fraudulent transaction that was sent: card, timestamp, amount, merchant, scenario, duplicate."""
    none = pa.table({"card": pa.array([], pa.string()), "timestamp": pa.array([], pa.int64())})
    table = pa.concat_tables(tables) if tables else none
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
