"""The yardstick: a core that decides nothing but causes the same Kafka work as the transfer core, record for record.

A prepare gives one notification and one event, a fulfil two notifications, one event and a credit to another shard, a
credit one event; sizes are about those of the real ones. What the transfer job adds to this is the price of its core.
"""

from __future__ import annotations

from collections.abc import Mapping

from transforms.core import Batch, Output, ShardCore
from transforms.transfers.topics import Topics

NOTIFICATION = b"n" * 900
EVENT = b"e" * 450
CREDIT = b'{"credit":"' + b"c" * 250 + b'"}'


class NoopCore(ShardCore):
    """Writes constant bytes; its state is one number."""

    NAME = "noop"
    VERSION = 1
    CELLS = 1

    def __init__(self, partition: int, partitions: int, topics: Topics) -> None:
        self._partition = partition
        self._other = (partition + 1) % partitions
        self._topics = topics
        self._records = 0

    def apply(self, batch: Batch) -> list[Output]:
        """Constant outputs by the kind of each record."""
        self._records += len(batch)
        notification = (self._topics.notifications, self._partition, b"k" * 36, NOTIFICATION)
        event = (self._topics.events, self._partition, b"dfsp1/USD", EVENT)
        prepare = [notification, event]
        fulfil = [notification, notification, event, (self._topics.log, self._other, b"dfsp2", CREDIT)]
        outputs: list[Output] = []
        for value in batch.values:
            if value.startswith(b'{"credit"'):
                outputs.append(event)
            elif b'"prepare"' in value:
                outputs += prepare
            else:
                outputs += fulfil
        return outputs

    def dump(self) -> list[tuple[int, bytes]]:
        """The count."""
        return [(0, self._records.to_bytes(8, "big"))]

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """The count and its offset."""
        if not cells:
            return 0
        offset, payload = cells[0]
        self._records = int.from_bytes(payload, "big")
        return offset
