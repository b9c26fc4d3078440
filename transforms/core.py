"""The contract between a domain core and the engine that runs it.

A core is the state machine of one shard: pure, deterministic, and a function of its log prefix alone. The engine
(`transforms.shards`) reads the shard's Kafka partition, hands batches to the core and writes what it returns; it
knows no domain, and a core knows neither Beam nor Kafka.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from transforms.trace import Trace

Output = tuple[str, int, bytes | None, bytes] | tuple[str, int, bytes | None, bytes, Trace]
"""One record to write: topic, partition, key, value, and the trace context of its cause if it has one."""


PAUSE_PREFIX = b'{"pause":'
"""How the value of a pause record starts. The engine acts on these and never hands them to a core."""


class SnapshotError(ValueError):
    """A snapshot that cannot be restored; the message names the cell and the remedy."""


@dataclass(slots=True)
class Batch:
    """Consecutive records of one partition as parallel columns, all of one length.

    `offsets` ascend but may have gaps (transaction markers take offsets); `times` are log time in milliseconds
    since the epoch and never descend.
    """

    offsets: list[int]
    times: list[int]
    keys: list[bytes | None]
    values: list[bytes]
    traces: list[Trace | None] | None = None
    """Trace contexts of the records, None if none has any or the core does not pass them on."""

    def __len__(self) -> int:
        return len(self.offsets)

    def slice(self, start: int, stop: int) -> Batch:
        """The records at positions `start` to `stop` (exclusive)."""
        return self.pick(range(start, stop))

    def pick(self, places: Sequence[int]) -> Batch:
        """The records at the given positions."""
        return Batch(
            [self.offsets[i] for i in places],
            [self.times[i] for i in places],
            [self.keys[i] for i in places],
            [self.values[i] for i in places],
            [self.traces[i] for i in places] if self.traces is not None else None,
        )


class ShardCore(ABC):
    """The state machine of one shard. Never shared between threads."""

    NAME: ClassVar[str]
    """Name of the core, written into every snapshot."""
    VERSION: ClassVar[int]
    """Raised whenever the same log could give other decisions or other bytes."""
    CELLS: ClassVar[int]
    """How many state cells the core may use, numbered from 0. Fixed for the life of a job."""
    BATCH_RECORDS: ClassVar[int] = 2000
    """Most records of one batch, so that a transaction stays short under any backlog."""
    CYCLE_S: ClassVar[float] = 0.03
    """Shortest time between the starts of two batches: at low rates it gathers records, so that Kafka, which pays for
    each transaction, has fewer of them; at high rates a batch takes longer anyway."""
    SNAPSHOT_AGE_S: ClassVar[float] = 12.0
    """Seconds between snapshots, or between parts of one, if the core writes it in parts."""
    SNAPSHOT_WORK_S: ClassVar[float] = 10.0
    """Seconds of work on records after which a snapshot, or a part of one, is written earlier than that."""
    STATELESS: ClassVar[bool] = False
    """A core without memory: it goes on at the committed offset, without cells and without replay."""

    TRACED: ClassVar[bool] = False
    """A core that passes the trace context of a record on to what the record causes."""

    @abstractmethod
    def apply(self, batch: Batch) -> list[Output]:
        """Apply the records in order and return what they cause, in order.

        The result must not depend on how the log was cut into batches, and bad input must not raise: it becomes a
        dead letter among the outputs.
        """

    def deadline(self) -> int | None:
        """Log time in ms at which pending work is due, or None. Past it, on a silent log, the engine appends a tick."""
        return None

    def tick(self) -> bytes:
        """Value of the record the engine appends to the shard's own log when the deadline has passed."""
        raise ValueError(f"core {self.NAME} has deadlines but no tick record")

    @abstractmethod
    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        """Cells to write now so that all cells together are a consistent snapshot after the last applied record.

        Cells that did not change since they were last dumped are left out. A core whose cells stand at offsets of
        their own may write a part of them, unless `whole` asks for all that changed.
        """

    def unsaved(self) -> bool:
        """Whether cells changed that the last dump left out."""
        return False

    @abstractmethod
    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """Restore from {cell: (offset it stands at, payload)} and return the offset to read on from (0 without cells).

        Raises SnapshotError for a payload it does not understand.
        """

    def counters(self) -> dict[str, int]:
        """Counts since the core was made, by metric name; the engine publishes what was added."""
        return {}
