"""Follows one partition of transfer-events into Postgres: read, apply, and ride out what is away for a while."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from confluent_kafka import Message, TopicPartition

from florin_io.kafka.log import LogReader, now_ms
from florin_io.postgres import Database
from transforms.measures import count_latency
from transforms.read_model.patient import PatientLoop, offset_of
from transforms.read_model.writer import ReadModelWriter

_LOG = logging.getLogger(__name__)

BATCH_RECORDS = 6_000
"""Most events of one SQL transaction."""
GATHER_S = 0.2
"""Pause between transactions when events trickle: a transfer's reserve and commit then mostly share a batch."""
IDLE_S = 0.5
SHOW_S = 1.0


class LogTooShort(ValueError):
    """The topic does not hold the events that the tables need next."""


@dataclass(frozen=True)
class Source:
    """Where the events come from."""

    bootstrap: str
    topic: str
    group: str


class Follower(PatientLoop):
    """The loop of one partition. What it applied is known to Postgres alone, so losing this object loses nothing."""

    def __init__(self, source: Source, database: Database, partition: int) -> None:
        super().__init__(f"{source.topic}/{partition}")
        self._source, self._database, self._partition = source, database, partition
        self._writer: ReadModelWriter | None = None
        self._reader: LogReader | None = None
        self._shown = -1
        self._shown_at = 0.0

    def close(self) -> None:
        """Give the connections back."""
        if self._writer is not None:
            self._writer.close()
        if self._reader is not None:
            self._reader.close()
        self._writer = self._reader = None

    def step(self) -> float:
        """Apply what has arrived. Raises LogTooShort: only a person can help."""
        if self._writer is None or self._reader is None:
            self._writer, self._reader = self._open()
        writer, reader = self._writer, self._reader
        messages = reader.poll(BATCH_RECORDS)
        self.look(reader)
        if not messages:
            # Only markers of transactions may lie between the last event and here.
            writer.advance(reader.position() or 0)
            self._show_offset(reader, writer.offset())
            return self.idle(GATHER_S, IDLE_S)
        self.busy()
        breaks, dead = writer.breaks, writer.dead
        writer.apply([(offset_of(message), message.key(), message.value() or b"") for message in messages])
        self._show_offset(reader, writer.offset())
        self.counts["chain_breaks"] += writer.breaks - breaks
        self.counts["dead_letters"] += writer.dead - dead
        self._count(messages)
        return 0.0 if len(messages) >= BATCH_RECORDS // 2 else GATHER_S

    def _count(self, messages: list[Message]) -> None:
        self.counts["records"] += len(messages)
        self.counts["outputs"] += len(messages)
        self.counts["commits"] += 1
        count_latency(self.counts, sorted(message.timestamp()[1] for message in messages), now_ms())

    def _show_offset(self, reader: LogReader, offset: int) -> None:
        """Tell Kafka too where the tables stand, for tools that show lag; nothing is ever read from there."""
        now = time.monotonic()
        if offset != self._shown and now - self._shown_at >= SHOW_S:
            place = TopicPartition(self._source.topic, self._partition, offset)
            reader.consumer.commit(offsets=[place], asynchronous=True)
            self._shown = offset
            self._shown_at = now

    def _open(self) -> tuple[ReadModelWriter, LogReader]:
        source = self._source
        writer = ReadModelWriter(self._database, source.topic, self._partition)
        reader = LogReader(source.bootstrap, source.topic, self._partition, source.group)
        try:
            low, high = reader.bounds()
            check_reach(self._partition, writer.offset(), low, high)
            reader.seek(writer.offset())
        except BaseException:
            writer.close()
            reader.close()
            raise
        _LOG.info("%s: goes on at offset %d", self.name, writer.offset())
        return writer, reader


def check_reach(partition: int, needed: int, low: int, high: int) -> None:
    """Raise LogTooShort unless the log, which holds offsets `low` to `high` (exclusive), goes on at `needed`."""
    if needed < low:
        raise LogTooShort(
            f"partition {partition}: read model needs offset {needed}, the log starts at {low}; give transfer-events "
            "unlimited retention (retention.ms=-1); what is gone can only come from a backup of the tables"
        )
    if needed > high:
        raise LogTooShort(
            f"partition {partition}: read model needs offset {needed}, the log ends at {high}: it is another log; "
            "build the tables anew with `python -m jobs.read_model rebuild --yes`"
        )
