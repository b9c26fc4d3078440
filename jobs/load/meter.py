"""Counts and latencies of a run by the second, for the live line, the report and its timeline."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from jobs.load.report import Second
from transforms.load.checker import Checker
from transforms.load.latency import Histogram

WINDOW_S = 10


@dataclass(frozen=True)
class Progress:
    """How a run stands; rate and latencies (ms from append to the POST seen) of the last ten seconds."""

    seconds: float
    sent: int
    completed: int
    in_flight: int
    mismatches: int
    per_s: float
    p50_ms: int | None
    p99_ms: int | None
    sending: bool

    def line(self) -> str:
        """One line for people."""
        latency = "-" if self.p50_ms is None else f"p50 {self.p50_ms} ms, p99 {self.p99_ms} ms"
        window = min(WINDOW_S, max(1, round(self.seconds)))
        return (
            f"{self.seconds:5.0f} s {'sending ' if self.sending else 'draining'} | {self.per_s:,.0f}/s finished over "
            f"{window} s | sent {self.sent:,} finished {self.completed:,} in flight {self.in_flight:,} mismatches "
            f"{self.mismatches:,} | reserved {latency}"
        )


class Meter:
    """Latencies and arrivals, second by second; seconds count from `start`, and the warm-up's are not in the sums."""

    def __init__(self, warmup_s: float) -> None:
        self.warmup_s = warmup_s
        self.reserved = Histogram()
        self.committed_latency = Histogram()
        self.timeline: list[Second] = []
        self.skipped = 0
        self.held_back_s = 0.0
        self.longest_silence_s = 0.0
        self.sending = True
        self.sending_s = 0.0
        self._started = 0.0
        self._second_ends = 0.0
        self._posts: list[int] = []
        self._puts: list[int] = []
        self._last_arrival = 0.0
        self._last_held = 0.0
        self._window: deque[list[int]] = deque(maxlen=WINDOW_S)
        self._before = (0, 0)

    def start(self) -> None:
        """The run begins now."""
        self._started = self._last_arrival = time.monotonic()
        self._second_ends = self._started + 1

    def posted(self, latency_ms: int) -> None:
        """A POST has come, so long after its prepare was appended."""
        self._posts.append(latency_ms)

    def committed(self, latency_ms: int) -> None:
        """The payer has seen COMMITTED, so long after the prepare was appended."""
        self._puts.append(latency_ms)

    def arrived(self, now: float) -> None:
        """Some notifications have come."""
        if self.sending:
            self.longest_silence_s = max(self.longest_silence_s, now - self._last_arrival)
        self._last_arrival = now

    def held_back(self, now: float) -> None:
        """Transfers were due and not sent, for too many are in flight; called in every round of that."""
        if now - self._last_held < 0.1:
            self.held_back_s += now - self._last_held
        self._last_held = now

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def sending_ended(self) -> None:
        """Only what is in flight is waited for from now on."""
        if self.sending:
            self.arrived(time.monotonic())
            self.sending, self.sending_s = False, self.elapsed()

    def per_s(self) -> float:
        """Finished transfers a second over the whole seconds of sending after the warm-up (all, if there are none)."""
        whole = [second for second in self.timeline if second.second + 1 <= self.sending_s]
        counted = [second for second in whole if second.second >= self.warmup_s] or whole
        return sum(second.completed for second in counted) / len(counted) if counted else 0.0

    def roll(self, progress: Callable[[Progress], None] | None, sent: int, checker: Checker) -> None:
        """Close the current second if it is over."""
        now = time.monotonic()
        if now < self._second_ends:
            return
        self._close_second(sent, checker.completed)
        # A stall of several seconds leaves seconds in which nothing was seen.
        while now >= self._second_ends + 1:
            self._second_ends += 1
            self._close_second(sent, checker.completed)
        self._second_ends += 1
        if progress is not None:
            progress(self._progress(sent, checker))

    def finish(self, sent: int, completed: int) -> None:
        """Close the last, shorter second."""
        if self._posts or self._puts or (sent, completed) != self._before:
            self._close_second(sent, completed)

    def _close_second(self, sent: int, completed: int) -> None:
        number = len(self.timeline)
        found = Histogram()
        found.add(self._posts)
        if number >= self.warmup_s:
            self.reserved.add(self._posts)
            self.committed_latency.add(self._puts)
        self.timeline.append(
            Second(
                number,
                sent - self._before[0],
                len(self._posts),
                len(self._puts),
                completed - self._before[1],
                found.percentile(50),
                found.percentile(99),
            )
        )
        self._before = (sent, completed)
        self._window.append(self._posts.copy())
        self._posts.clear()
        self._puts.clear()

    def _progress(self, sent: int, checker: Checker) -> Progress:
        found = Histogram()
        for samples in self._window:
            found.add(samples)
        last = self.timeline[-WINDOW_S:]
        return Progress(
            self.elapsed(),
            sent,
            checker.completed,
            len(checker.flows),
            checker.mismatches,
            sum(second.completed for second in last) / len(last),
            found.percentile(50),
            found.percentile(99),
            self.sending,
        )
