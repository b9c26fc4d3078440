"""The load generator's two Kafka clients: an idempotent producer and a reader of all notifications."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, Message, Producer

from florin_io.kafka.client import client_config, make
from florin_io.kafka.log import TopicReader


class Sender:
    """Appends messages. `failed` is called with a text for each message that Kafka did not take."""

    def __init__(self, bootstrap: str, failed: Callable[[str], None]) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed(f"message to {message.topic()} partition {message.partition()} was not delivered: {error.str()}")

        self._producer = make(
            Producer,
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
            ),
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


def listener(bootstrap: str, topic: str, partitions: int) -> TopicReader:
    """Everything that is appended to a topic from now on, with room for what comes while messages are made."""
    room = {"queued.min.messages": 100_000, "queued.max.messages.kbytes": 131_072, "fetch.message.max.bytes": 4_000_000}
    return TopicReader(bootstrap, topic, partitions, "florin-load", settings=room)
