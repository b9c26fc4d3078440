"""Watches what a job puts out while faults happen: when each shard was silent, and how many records came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psycopg

from florin_io.kafka.log import TopicReader
from florin_io.postgres import Database, PostgresUnreachable
from transforms.read_model.reader import ReadModel

SILENT_S = 1.5
"""A shard that puts nothing out for so long, with traffic for it, is silent."""
_POLL_S = 0.1


@dataclass(frozen=True)
class Silence:
    """Of one shard, from its last record before to the first after (s, monotonic)."""

    shard: int
    began: float
    ended: float


class Watch:
    """A thread that asks `take` for the shards of what has come since the last time, about ten times a second."""

    def __init__(self, take: Callable[[], list[int]], shards: Iterable[int], close: Callable[[], None]) -> None:
        self._take, self._close = take, close
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._last = dict.fromkeys(shards, self._began)
        self._silences: list[Silence] = []
        self._done = threading.Event()
        self._failure: BaseException | None = None
        self.count = 0
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self._thread.start()

    def calm_for(self) -> float:
        """Seconds since a shard was silent last; 0 while one is. Raises what the watch itself failed with."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            now = time.monotonic()
            if any(now - last >= SILENT_S for last in self._last.values()):
                return 0.0
            return now - max((silence.ended for silence in self._silences), default=self._began)

    def silences(self, since: float) -> list[Silence]:
        """Those that ended after `since` (s, monotonic), in no order."""
        with self._lock:
            return [silence for silence in self._silences if silence.ended > since]

    def close(self) -> None:
        """Stop watching."""
        self._done.set()
        self._thread.join()
        self._close()

    def _read(self) -> None:
        try:
            while not self._done.is_set():
                came = self._take()
                now = time.monotonic()
                with self._lock:
                    self.count += len(came)
                    for shard in set(came) & self._last.keys():
                        if now - self._last[shard] >= SILENT_S:
                            self._silences.append(Silence(shard, self._last[shard], now))
                        self._last[shard] = now
        except BaseException as error:
            self._failure = error


def of_topic(kafka: str, topic: str, partitions: int, shards: Iterable[int]) -> Watch:
    """What a read_committed reader sees of a topic from now on; a shard is a partition."""
    reader = TopicReader(kafka, topic, partitions, "florin-chaos")

    def take() -> list[int]:
        return [message.partition() or 0 for message in reader.poll(5_000, _POLL_S)]

    return Watch(take, shards, reader.close)


def of_tables(database: Database, shards: Iterable[int]) -> Watch:
    """The read model's progress by partition of the events: one for each advance that is seen."""
    before: dict[int, int] = {}

    def take() -> list[int]:
        time.sleep(_POLL_S)
        try:
            with ReadModel(database) as model:
                now = model.offsets()
        except (PostgresUnreachable, psycopg.Error):
            return []
        came = [partition for partition, offset in now.items() if offset > before.get(partition, 0)]
        before.update(now)
        return came

    return Watch(take, shards, lambda: None)
