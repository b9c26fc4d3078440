"""A shard at work in a thread of its own, so that no record waits for Flink and an idle shard costs nothing.

Beam's timer only keeps the thread's lease, publishes its counts and takes its snapshots, at a batch boundary. A thread
whose lease has run out stands still: when Flink has taken the work away, nothing goes on in a process left behind. If
Flink has given it to another process meanwhile, that one's first act fenced this one's writes.
"""

from __future__ import annotations

import threading
import time

from transforms.shard import Shard

LEASE_S = 10.0
"""How long a shard goes on without a sign of life from Beam."""
WAIT_S = 0.05
"""Longest wait for records; ticks and the end of a pause are looked for after it."""
CLOSE_S = 5.0


class ShardThread:
    """Runs `shard` until it fails or is closed. `epoch` is the set of cells in Beam state that it belongs to."""

    def __init__(self, shard: Shard, epoch: int) -> None:
        self.shard = shard
        self.epoch = epoch
        self.failure: BaseException | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lease = 0.0
        self.keep()
        self._thread = threading.Thread(target=self._run, name=f"shard {shard.spec.name}", daemon=True)
        self._thread.start()

    def keep(self) -> None:
        """Renew the lease. Raises what ended the thread, if anything did."""
        if self.failure is not None:
            raise self.failure
        self._lease = time.monotonic() + LEASE_S

    def snapshot_due(self) -> bool:
        """Whether cells should be written now."""
        return self.shard.pace.due(time.monotonic())

    def dump(self) -> dict[int, bytes]:
        """The cells to write, after the batch in hand."""
        with self._lock:
            return self.shard.dump()

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call."""
        with self._lock:
            return self.shard.take_counts()

    def close(self) -> None:
        """End the thread after the batch in hand; it gives the connections back itself."""
        self._stop.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        core = self.shard.core
        try:
            while not self._stop.is_set():
                if time.monotonic() > self._lease:
                    self._stop.wait(WAIT_S)
                    continue
                if self.shard.paused_at is not None:
                    self._stop.wait(WAIT_S)
                messages = self.shard.fetch(WAIT_S)
                began = time.monotonic()
                with self._lock:
                    records = self.shard.process(messages)
                # What fills a batch waits for nothing.
                left = began + core.CYCLE_S - time.monotonic()
                if 0 < records < core.BATCH_RECORDS and left > 0:
                    self._stop.wait(left)
        except BaseException as error:
            self.failure = error
        finally:
            self.shard.close()
