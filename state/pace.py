"""When a shard should write its cells: often enough for a short replay, rarely enough for a small cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SnapshotPace:
    """Decides by work done, age and size since the last snapshot. Times in seconds, sizes in bytes.

    A restore replays what came after the last snapshot that a checkpoint holds, so `work_s` (time the core spent on
    records since then) bounds the replay, whatever the rate. `bytes_per_s` is the budget for snapshot writes.
    """

    work_s: float = 10.0
    age_s: float = 12.0
    bytes_per_s: float = 8_000_000.0
    _work: float = 0.0
    _since: float = 0.0
    _size: int = 0
    _changed: bool = False
    _demanded: bool = False

    def demand(self) -> None:
        """Write as soon as possible, whatever the budget."""
        self._demanded = True

    def worked(self, seconds: float) -> None:
        """The core spent `seconds` on records."""
        self._work += seconds
        self._changed = True

    def written(self, now: float, size: int, more: bool = False) -> None:
        """A snapshot of `size` bytes was written at monotonic time `now`; `more` of it waits to be written."""
        self._since, self._size, self._work = now, size, 0.0
        self._changed, self._demanded = more, False

    def age(self, now: float) -> float:
        """Seconds since the last snapshot, 0 if nothing changed since."""
        return now - self._since if self._changed else 0.0

    def due(self, now: float) -> bool:
        """Whether to write now. A silent shard never is."""
        if self._demanded or not self._changed:
            return self._demanded
        age = now - self._since
        if age * self.bytes_per_s < self._size:
            return False
        return age >= self.age_s or self._work >= self.work_s
