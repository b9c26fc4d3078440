"""Outputs and the input offset in one Kafka transaction, by one producer a shard, so that a zombie is fenced."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaException, Producer, TopicPartition

from florin_io.kafka.client import Heard, client_config, is_fenced, make, unreachable
from florin_io.kafka.log import LogReader

Headers = tuple[tuple[str, str | bytes | None], ...]
Record = tuple[str, int, bytes | None, bytes] | tuple[str, int, bytes | None, bytes, Headers]
"""Topic, partition, key, value, and headers if it has any."""

_TIMEOUT_S = 30.0
_LOG = logging.getLogger(__name__)


class Fenced(RuntimeError):
    """Another owner of the shard has taken over; this one must not write again."""


class TransactionalWriter:
    """Writes batches of records atomically with the offset of the input they come from.

    Creating one fences every earlier writer with the same `transactional_id` and ends its open transaction.
    Raises Fenced when that happened to this one, KafkaException for what else Kafka refuses.
    """

    def __init__(self, bootstrap: str, transactional_id: str) -> None:
        heard = Heard()
        config = client_config(
            bootstrap,
            **{
                "transactional.id": transactional_id,
                "transaction.timeout.ms": 10_000,
                # The commit sends all that is waiting. Sent as they come, a transaction's first records fill the
                # five requests that may be under way, and librdkafka polls without pause until the others can
                # go: that was two thirds of a worker's CPU time.
                "linger.ms": 100,
                # The next transaction often begins before the broker has written the markers of the last, and is
                # told to retry; with the default wait of 100 ms that costs 100 ms a transaction.
                "retry.backoff.ms": 2,
                "retry.backoff.max.ms": 50,
                "batch.size": 1_000_000,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 262_144,
                "message.max.bytes": 8_000_000,
                "error_cb": heard,
            },
        )
        self._producer = make(Producer, config)
        try:
            self._producer.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            self._producer.poll(0)
            if heard.refused:
                # Waiting mends none of this, but whoever waits should say what it waits for.
                _LOG.error("%s", unreachable(config, heard, error.args[0].str()))
            raise self._translated(error) from error

    def write(self, records: Sequence[Record], reader: LogReader, next_offset: int, note: str) -> None:
        """One transaction: all `records`, then `next_offset` (with the text `note`) as the reader's committed one."""
        producer = self._producer
        try:
            producer.begin_transaction()
            produce = producer.produce
            for record in records:
                try:
                    # Named arguments, even empty ones, cost the client as much as all else of a record.
                    if len(record) == 4:
                        produce(record[0], record[3], record[2], record[1])
                    else:
                        produce(record[0], record[3], record[2], record[1], headers=list(record[4]))
                except BufferError:
                    producer.flush(_TIMEOUT_S)
                    headers = list(record[4]) if len(record) == 5 else None
                    produce(record[0], record[3], record[2], record[1], headers=headers)
            offset = TopicPartition(reader.topic, reader.partition, next_offset, metadata=note)
            producer.send_offsets_to_transaction([offset], reader.consumer.consumer_group_metadata(), _TIMEOUT_S)
            producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Drop what was not committed and give the connections back."""
        self._producer.purge()

    @staticmethod
    def _translated(error: KafkaException) -> Exception:
        cause = error.args[0]
        return Fenced(str(cause)) if is_fenced(cause) else error
