"""A loop that outlasts Kafka and Postgres: what is away for a while is waited for, what is wrong is raised."""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from collections import Counter

import psycopg
from confluent_kafka import KafkaException, Message

from florin_io.kafka.log import LogReader
from florin_io.kafka.writer import Fenced
from florin_io.postgres import TRANSIENT, PostgresUnreachable
from transforms.read_model.writer import OffsetMoved

_LOG = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

# Tables are missing for a moment while they are built anew.
_AWAY = (
    *TRANSIENT,
    ConnectionError,
    KafkaException,
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.DeadlockDetected,
)
_TAKEN_OVER = (OffsetMoved, Fenced)


class PatientLoop(ABC):
    """Turns of `step`; on an error all connections are dropped and made again, from the offset that was committed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._failures = 0
        self._quiet = 0
        self._lag = 0
        self._turned_s = 0.0

    @abstractmethod
    def step(self) -> float:
        """Connect if need be, work for a moment; returns the seconds to wait then."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the next step makes them anew."""

    def turn(self) -> float:
        """One step, or the pause after one that failed. Raises what waiting does not mend."""
        try:
            pause = self.step()
        except (*_AWAY, *_TAKEN_OVER) as error:
            self.close()
            self._failures += 1
            self.counts["retries"] += 1
            grown = FIRST_PAUSE_S * float(2 ** min(self._failures - 1, 10))
            pause = min(LONGEST_PAUSE_S, grown) * random.uniform(0.8, 1.2)
            _LOG.warning("%s: %s; again in %.1f s from the offset committed", self.name, _text(error), pause)
            return pause
        except BaseException:
            self.close()
            raise
        if self._failures:
            _LOG.info("%s: goes on after %d failures", self.name, self._failures)
            self._failures = 0
        return pause

    def idle(self, first_s: float, longest_s: float) -> float:
        """The pause after a step that found nothing: the longer it stays quiet, the longer. A turn costs about 1 ms."""
        self._quiet += 1
        return min(longest_s, first_s * float(2 ** min(self._quiet - 1, 10)))

    def busy(self) -> None:
        """The step found something."""
        self._quiet = 0

    def look(self, reader: LogReader) -> None:
        """Take note of how far the log is ahead of what was read of it, after a read."""
        self._lag = reader.behind()
        self._turned_s = time.time()

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call."""
        taken = dict(self.counts)
        self.counts.clear()
        return taken

    def gauges(self) -> dict[str, int]:
        """How the loop stands now, nothing before its first read: docs/metrics.md has the meanings."""
        return {"lag": self._lag, "turned_s": int(self._turned_s)} if self._turned_s else {}


def offset_of(message: Message) -> int:
    """Offset of a record that was read; the client's type leaves room for one that was not written yet."""
    offset = message.offset()
    assert offset is not None
    return offset


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaException):
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, PostgresUnreachable):
        error = error.__cause__ or error  # the remedies are for a person at a start, not for a log
    return f"PostgreSQL: {str(error).strip().splitlines()[0]}" if isinstance(error, psycopg.Error) else str(error)
