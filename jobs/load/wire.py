"""The load generator's two Kafka clients: an idempotent producer and a read_committed reader of all notifications."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from florin_io.kafka.client import client_config

_TIMEOUT_S = 20.0


class Sender:
    """Appends messages. `failed` is called with a text for each message that Kafka did not take."""

    def __init__(self, bootstrap: str, failed: Callable[[str], None]) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed(f"message to {message.topic()} partition {message.partition()} was not delivered: {error.str()}")

        self._producer = Producer(
            client_config(
                bootstrap,
                **{
                    # A retry that doubled a message would look like a fault of the job.
                    "enable.idempotence": True,
                    "linger.ms": 5,
                    "batch.size": 1_000_000,
                    "compression.type": "lz4",
                    "queue.buffering.max.messages": 1_000_000,
                    "queue.buffering.max.kbytes": 262_144,
                    "delivery.report.only.error": True,
                    "on_delivery": report,
                },
            )
        )
        self.poll = self._producer.poll
        self._produce = self._producer.produce

    def send(self, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
        """Queue one message; waits when the queue is full."""
        while True:
            try:
                self._produce(topic, value, key, partition)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self, timeout_s: float) -> int:
        """Wait until all is sent; returns how many messages are not."""
        return self._producer.flush(timeout_s)


class Listener:
    """Everything that is appended to a topic from now on, as read_committed readers see it."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            client_config(
                bootstrap,
                **{
                    "group.id": "florin-load",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "isolation.level": "read_committed",
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 20,
                    "fetch.error.backoff.ms": 50,
                    "fetch.message.max.bytes": 4_000_000,
                    "queued.min.messages": 100_000,
                    "queued.max.messages.kbytes": 131_072,
                },
            )
        )
        places = [TopicPartition(topic, number) for number in range(partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
        self._consumer.assign(places)

    def poll(self, limit: int, timeout_s: float) -> list[bytes]:
        """Up to about `limit` values that are there; waits at most `timeout_s` for the first.

        Raises KafkaException for errors that will not go away.
        """
        # `consume` alone would wait for all of the time, and what has come would be seen late.
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        values: list[bytes] = []
        for message in (first, *self._consumer.consume(limit, 0)):
            value = message.value()
            error = message.error()
            if error is None:
                if value is not None:
                    values.append(value)
            elif error.fatal() or error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
                raise KafkaException(error)
        return values

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()
