"""The sequencer: appends Mojaloop's unkeyed messages to the log of the payer's shard. Stateless: it keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transforms.core import Batch, Output, ShardCore
from transforms.dead_letters import dead_letter
from transforms.transfers import messages
from transforms.transfers.messages import Envelope
from transforms.transfers.routing import partition_of
from transforms.transfers.topics import Topics


class SequencerCore(ShardCore):
    """Reads partition `partition` of `topic` (prepares or fulfils); the log has `partitions` partitions."""

    NAME: ClassVar[str] = "transfer-sequencer"
    VERSION: ClassVar[int] = 1
    CELLS: ClassVar[int] = 1
    STATELESS: ClassVar[bool] = True
    TRACED: ClassVar[bool] = True

    def __init__(self, topic: str, partition: int, partitions: int, topics: Topics, fast: bool = True) -> None:
        self.topic = topic
        self.partition = partition
        self.partitions = partitions
        self.topics = topics
        self.fast = fast
        self.counts = {"sequenced": 0, "dead_letters": 0}

    def apply(self, batch: Batch) -> list[Output]:
        """Route each message by its payer; what names none, or is no message, becomes a dead letter."""
        out: list[Output] = []
        log, partitions = self.topics.log, self.partitions
        traces = batch.traces or [None] * len(batch)
        for offset, at, value, trace in zip(batch.offsets, batch.times, batch.values, traces, strict=True):
            try:
                payer = self._payer(messages.read(value, self.fast))
            except messages.Unreadable as error:
                self.counts["dead_letters"] += 1
                letter = dead_letter(
                    self.topic,
                    self.partition,
                    offset,
                    str(error),
                    "correct the producer and send the message again",
                    at,
                    value,
                )
                out.append((self.topics.dead_letters, self.partition % partitions, None, letter))
                continue
            self.counts["sequenced"] += 1
            place, key = partition_of(payer, partitions), payer.encode()
            out.append((log, place, key, value) if trace is None else (log, place, key, value, trace))
        return out

    def _payer(self, record: Envelope) -> str:
        """Whose shard decides: of a prepare the payer it names, of an answer the FSP it is addressed to.

        Falls back on the sender, whose shard can tell it what is wrong. Raises Unreadable.
        """
        if record.admin or record.tick or record.pause or record.credit is not None:
            raise messages.Unreadable("control records are not taken from DFSPs")
        content, metadata = record.content, record.metadata
        if content is None:
            raise messages.Unreadable("message has no content")
        event = metadata.event if metadata is not None else None
        headers = messages.headers(content.headers, self.fast)
        if event is not None and event.type == "prepare":
            payer = messages.prepare(messages.payload(content.payload), self.fast).payerFsp
            names = [payer, headers.source, record.from_]
        else:
            names = [headers.destination, record.to, headers.source, record.from_]
        for name in names:
            if name and len(name) <= messages.MAX_NAME and not name.startswith(messages.WRONG_TYPE):
                return name
        raise messages.Unreadable("message names neither payer nor sender")

    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        """Nothing to keep."""
        return []

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """Nothing to restore."""
        return cells[0][0] if cells else 0

    def counters(self) -> dict[str, int]:
        """Messages sequenced and put aside."""
        return dict(self.counts)
