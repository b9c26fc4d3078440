"""One partition of a log as a shard reads it: assigned, never grouped; bounded polls; an explicit first offset."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from florin_io.kafka.client import client_config, is_passing

_TIMEOUT_S = 20.0
_BOUNDED_WAIT_S = 0.5


def _passing(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and is_passing(error.args[0])


# A coordinator that is just being elected answers with an error that passes.
_patiently = retry(
    retry=retry_if_exception(_passing), stop=stop_after_delay(_TIMEOUT_S), wait=wait_fixed(0.2), reraise=True
)


class LogTruncated(RuntimeError):
    """The log no longer reaches back to the offset that is needed."""


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
        self._consumer = Consumer(
            client_config(
                bootstrap,
                **{
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "isolation.level": "read_committed",
                    "auto.offset.reset": "error",
                    "enable.partition.eof": bounded,
                    "error_cb": self._note,
                    "fetch.wait.max.ms": 20,
                    "fetch.error.backoff.ms": 50,
                    "queued.min.messages": 20_000,
                    # The default second of pause after a full queue would cap a reader at 20,000 records/s.
                    "fetch.queue.backoff.ms": 5,
                    "queued.max.messages.kbytes": 32_768,
                },
            )
        )

    def _note(self, error: KafkaError) -> None:
        """A reader that lost every broker while it waited may never fetch again: its owner must take a new one."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._lost = error

    @property
    def consumer(self) -> Consumer:
        """The client, for the writer that commits this reader's offsets."""
        return self._consumer

    @_patiently
    def committed(self) -> tuple[int | None, str]:
        """The group's committed offset (None if there is none) and the text stored with it."""
        (found,) = self._consumer.committed([TopicPartition(self.topic, self.partition)], timeout=_TIMEOUT_S)
        if found.error is not None:
            raise KafkaException(found.error)
        return (found.offset if found.offset >= 0 else None), found.metadata or ""

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

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()


def end_offsets(bootstrap: str, topic: str, partitions: int) -> list[int]:
    """End offset of every partition, as a read_committed reader sees it."""
    consumer = Consumer(client_config(bootstrap, **{"group.id": "florin-look", "isolation.level": "read_committed"}))
    try:
        return [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)[1]
            for partition in range(partitions)
        ]
    finally:
        consumer.close()


def now_ms() -> int:
    """Wall clock in ms since the epoch."""
    return time.time_ns() // 1_000_000
