"""Rate control: how many transfers are due at a moment, evenly in time and without a burst after a stall."""

from __future__ import annotations


class Pacer:
    """Spreads `rate` sends a second evenly; `rate` 0 means: as many as there is room for.

    Times are seconds of any steady clock. After a stall at most `catch_up_s` seconds' worth is sent late; what is
    older is given up and counted in `skipped`, for a burst would measure the generator and not the system.
    """

    def __init__(self, rate: float, start: float, catch_up_s: float = 0.25) -> None:
        if rate < 0:
            raise ValueError(f"rate must be zero or positive, got {rate}")
        self.rate = rate
        self.skipped = 0
        self._start = start
        self._taken = 0
        self._most_late = max(1, int(rate * catch_up_s))

    def due(self, now: float, room: int) -> int:
        """How many to send now, at most `room`."""
        if self.rate == 0:
            return max(0, room)
        late = int((now - self._start) * self.rate) - self._taken
        if late > self._most_late:
            self.skipped += late - self._most_late
            self._taken += late - self._most_late
            late = self._most_late
        count = max(0, min(late, room))
        self._taken += count
        return count
