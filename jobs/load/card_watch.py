"""Reads scored-transactions while traffic is sent: rate, latency from log append to visible, precision and recall."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from jobs.load.wire import listener
from transforms.load.latency import Histogram
from transforms.load.verdicts import Verdicts

_TAKE = 5_000
_POLL_S = 0.05
_WINDOW_S = 10
_INTERRUPTED_S = 2.0


class Watch:
    """A thread that reads all verdicts from now on. Latencies (ms) leave out the first `warmup_s` seconds."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, warmup_s: float) -> None:
        self._listener = listener(bootstrap, topic, partitions)
        self._verdicts = Verdicts()
        self._all, self._second = Histogram(), Histogram()
        self._window: deque[tuple[float, int, Histogram]] = deque(maxlen=_WINDOW_S)
        self._started = time.monotonic()
        self._warm = self._started + warmup_s
        self._second_ends = self._started + 1
        self._steady: tuple[float, int] | None = None
        self._last = self._started
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self._thread.start()

    @property
    def scored(self) -> int:
        """Verdicts seen, those of duplicates too. Raises what reading failed with."""
        if self._error is not None:
            raise self._error
        return self._verdicts.seen + self._verdicts.duplicates

    def expect(self, texts: Iterable[bytes], labels: Iterable[int]) -> None:
        """Fraudulent transactions that are about to be sent."""
        with self._lock:
            self._verdicts.expect(texts, labels)

    def finish(self, sent: int, grace_s: float, stop: threading.Event) -> None:
        """Wait until all that was sent is scored, or nothing has come for `grace_s` seconds."""
        began = time.monotonic()
        while self.scored < sent:
            patience = min(grace_s, _INTERRUPTED_S) if stop.is_set() else grace_s
            if time.monotonic() - max(began, self._last) > patience:
                return
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Stop reading."""
        self._done.set()
        self._thread.join()
        self._listener.close()

    def progress(self) -> dict[str, Any]:
        """How it stands; rate and latencies are those of the last ten seconds."""
        with self._lock:
            told = self._verdicts.summary()
            seconds = list(self._window)
        recent = Histogram()
        for _, _, samples in seconds:
            recent.merge(samples)
        per_s = 0.0
        if len(seconds) > 1:
            per_s = (seconds[-1][1] - seconds[0][1]) / (seconds[-1][0] - seconds[0][0])
        return {**told, "scored": self.scored, "per_s": per_s, "p50_ms": recent.percentile(50),
                "p99_ms": recent.percentile(99)}  # fmt: skip

    def summary(self, sent: int) -> dict[str, Any]:
        """All of it: counts, precision and recall, latency, rate after the warm-up, and what of `sent` is missing."""
        with self._lock:
            told = self._verdicts.summary()
            latency = self._all.summary()
        begun, before = self._steady or (self._started, 0)
        seconds = max(self._last - begun, 1e-9)
        scored = self.scored
        return {**told, "scored": scored, "missing": max(0, sent - scored), "latency": latency,
                "per_s": round(max(0, scored - before) / seconds, 1)}  # fmt: skip

    def _read(self) -> None:
        try:
            while not self._done.is_set():
                values = [message.value() or b"" for message in self._listener.poll(_TAKE, _POLL_S)]
                self._take(values, time.monotonic(), time.time_ns() // 1_000_000)
        except Exception as error:  # the sending thread raises it
            self._error = error

    def _take(self, values: list[bytes], now: float, now_ms: int) -> None:
        with self._lock:
            if values:
                self._last = now
                times = self._verdicts.add(values)
                samples = [now_ms - at for at in times]
                self._second.add(samples)
                if now >= self._warm:
                    self._all.add(samples)
            if self._steady is None and now >= self._warm:
                self._steady = (now, self._verdicts.seen + self._verdicts.duplicates)
            if now >= self._second_ends:
                self._second_ends = now + 1
                self._window.append((now, self._verdicts.seen + self._verdicts.duplicates, self._second))
                self._second = Histogram()
