"""One partition of a log as a shard reads it: assigned, never grouped; bounded polls; an explicit first offset."""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import methodcaller
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from florin_io.kafka.client import client_config, is_passing, make

_TIMEOUT_S = 20.0
_BOUNDED_WAIT_S = 0.5
_RENEW_S = 2.0


def _passing(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and is_passing(error.args[0])


# A coordinator that is just being elected answers with an error that passes.
_patiently = retry(
    retry=retry_if_exception(_passing), stop=stop_after_delay(_TIMEOUT_S), wait=wait_fixed(0.2), reraise=True
)


Headers = list[tuple[str, bytes | None]]
# After a name that it cannot read the client hands out a list with holes, and an error beside it. Where `headers()` is
# written out, CPython 3.11 leaves out the check for that once the place has been run some fifty times, and the error
# comes up anywhere; called from C it is checked every time.
_headers = methodcaller("headers")


def headers_of(message: Message) -> Headers | None:
    """A record's headers; None without any, and where a name is not UTF-8, which the client cannot read.

    Ask once for each record: the second time the client hands out that list without an error, which ends the process.
    """
    try:
        return _headers(message)  # type: ignore[no-any-return]
    except SystemError:
        return None


class LogTruncated(RuntimeError):
    """The log no longer reaches back to the offset that is needed."""


def reader_config(bootstrap: str, group: str, **settings: Any) -> dict[str, Any]:
    """librdkafka settings of all that read a log: committed records only, offsets never by themselves, soon."""
    ours: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": 10,
        "fetch.error.backoff.ms": 50,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 32_768,
        # The default second of pause after a full queue would cap a reader at 20,000 records/s.
        "fetch.queue.backoff.ms": 5,
    }
    return client_config(bootstrap, **(ours | settings))


class Committed(NamedTuple):
    """What a group has committed of a partition: the next offset (None if nothing) and the text stored with it."""

    offset: int | None
    note: str


@_patiently
def _committed(consumer: Consumer, places: list[TopicPartition]) -> list[Committed]:
    found = consumer.committed(places, timeout=_TIMEOUT_S)
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return [Committed(place.offset if place.offset >= 0 else None, place.metadata or "") for place in found]


class LogReader:
    """Reads committed records of one partition from a given offset on.

    `group` is only the name under which offsets are committed; no consumer group is joined.
    A `bounded` reader notices the end of the log, as `until` needs it.
    """

    _at_end = False

    def __init__(self, bootstrap: str, topic: str, partition: int, group: str, *, bounded: bool = False) -> None:
        self.topic = topic
        self.partition = partition
        self._lost: KafkaError | None = None
        self._next = 0
        config = reader_config(bootstrap, group, **{"enable.partition.eof": bounded, "error_cb": self._note})
        self._consumer = make(Consumer, config)

    def _note(self, error: KafkaError) -> None:
        """A reader that lost every broker while it waited may never fetch again: its owner must take a new one."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._lost = error

    @property
    def consumer(self) -> Consumer:
        """The client, for the writer that commits this reader's offsets."""
        return self._consumer

    def committed(self) -> Committed:
        """What the group has committed."""
        return _committed(self._consumer, [TopicPartition(self.topic, self.partition)])[0]

    @_patiently
    def bounds(self) -> tuple[int, int]:
        """First offset still in the log, and the offset the next committed record will have."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, self.partition), timeout=_TIMEOUT_S)
        return low, high

    def seek(self, offset: int) -> None:
        """Read from `offset` on. Raises LogTruncated if the log starts later or ends before it."""
        low, high = self.bounds()
        where = f"{self.topic} partition {self.partition}"
        if offset < low:
            raise LogTruncated(
                f"{where}: snapshot needs offset {offset}, the log starts at {low}; restore a younger "
                "savepoint, and keep the "
                "log for longer than the oldest snapshot worth restoring"
            )
        if offset > high:
            raise LogTruncated(
                f"{where}: snapshot needs offset {offset}, the log ends at {high}; this is not the log the "
                "snapshot was made from"
            )
        self._consumer.assign([TopicPartition(self.topic, self.partition, offset)])
        self._next = offset

    def poll(self, limit: int, timeout_s: float = 0.0) -> list[Message]:
        """Up to `limit` records that have arrived, waiting at most `timeout_s` for the first. Raises KafkaException."""
        first = self._consumer.poll(timeout_s)
        if self._lost is not None:
            raise KafkaException(self._lost)
        if first is None:
            return []
        messages: list[Message] = [first, *self._consumer.consume(limit - 1, timeout=0)]
        failed = [error for message in messages if (error := message.error()) is not None]
        if failed:
            for error in failed:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._at_end = True
                elif not is_passing(error):
                    raise KafkaException(error)
            messages = [message for message in messages if message.error() is None]
        if messages:
            self._next = (messages[-1].offset() or 0) + 1
        return messages

    def until(self, end: int, limit: int) -> Iterator[list[Message]]:
        """What lies between here and offset `end` (exclusive), in lists of at most `limit` records.

        Ends at the log's end too: its last offsets may be markers of transactions, which are never handed out.
        """
        self._at_end = False
        while not self._at_end:
            messages = self.poll(limit, _BOUNDED_WAIT_S)
            within = [message for message in messages if (message.offset() or 0) < end]
            if within:
                yield within
            if len(within) < len(messages):
                return

    def position(self) -> int | None:
        """Offset after the last record that was handed out, None before the first."""
        (found,) = self._consumer.position([TopicPartition(self.topic, self.partition)])
        return found.offset if found.offset >= 0 else None

    def behind(self) -> int:
        """How far the log's end, as the last fetch found it, is from what was handed out.

        Markers of transactions count, and records of transactions that have not ended.
        """
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, self.partition), cached=True)
        return max(0, high - self._next)

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()


class TopicReader:
    """Reads committed records of all partitions of a topic, from its first or from what is appended from now on.

    A `bounded` one knows when it has handed out all there is. It outlives its brokers.
    """

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, group: str, *, from_start: bool = False,
        bounded: bool = False, settings: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        ours = {"enable.partition.eof": bounded, "auto.offset.reset": "earliest", "error_cb": self._note}
        self._config = reader_config(bootstrap, group, **(ours | (settings or {})))
        self._lost = False
        self._renewed = 0.0
        self._ended = set[int | None]()
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer = make(Consumer, self._config)
        for place in self._places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[0 if from_start else 1]
        self._consumer.assign(self._places)

    def _note(self, error: KafkaError) -> None:
        self._lost = self._lost or error.code() == KafkaError._ALL_BROKERS_DOWN

    def _renew(self) -> None:
        """Go on with a new client where this one is: one that lost every broker may never fetch again."""
        for place, found in zip(self._places, self._consumer.position(self._places), strict=True):
            place.offset = max(place.offset, found.offset)
        self._consumer.close()
        self._consumer = make(Consumer, self._config)
        self._consumer.assign(self._places)
        self._lost, self._renewed = False, time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether a bounded reader has seen the end of every partition."""
        return len(self._ended) == len(self._places)

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to about `limit` records that are there; waits at most `timeout_s` for the first.

        Raises KafkaException for errors that do not pass by themselves.
        """
        # `consume` alone would wait for all of the time, and what has come would be seen late.
        first = self._consumer.poll(timeout_s)
        if first is None:
            if self._lost and time.monotonic() - self._renewed > _RENEW_S:
                self._renew()
            return []
        messages = list[Message]()
        for message in (first, *self._consumer.consume(limit, 0)):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(message.partition())
            elif error.fatal() or not is_passing(error):
                raise KafkaException(error)
        return messages

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()


class GroupOffsets:
    """What a group has committed of a topic, looked at from outside."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, group: str) -> None:
        self._consumer = make(Consumer, reader_config(bootstrap, group, log_level=0))
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]

    def __enter__(self) -> GroupOffsets:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def committed(self) -> list[Committed]:
        """By partition. Raises KafkaException."""
        return _committed(self._consumer, self._places)

    def ends(self) -> list[int]:
        """End of every partition, as a read_committed reader sees it. Raises KafkaException."""
        return [self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1] for place in self._places]

    def lag(self) -> int:
        """Records that the group has not committed yet. Raises KafkaException."""
        return sum(end - (done.offset or 0) for end, done in zip(self.ends(), self.committed(), strict=True))


def end_offsets(bootstrap: str, topic: str, partitions: int) -> list[int]:
    """End offset of every partition, as a read_committed reader sees it."""
    with GroupOffsets(bootstrap, topic, partitions, "florin-look") as look:
        return look.ends()


def committed_offsets(bootstrap: str, topic: str, partitions: int, group: str) -> list[int]:
    """Committed offset of every partition: what stands before it was emitted."""
    with GroupOffsets(bootstrap, topic, partitions, group) as look:
        return [done.offset or 0 for done in look.committed()]


def now_ms() -> int:
    """Wall clock in ms since the epoch."""
    return time.time_ns() // 1_000_000
