"""Work that goes on for ever in a Beam worker, one loop a key, and keeps nothing in Beam state.

ticks -> fan out: one element per key -> DoFn with a looping processing-time timer: loop.turn(), wait, again
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration, Timestamp

from transforms.measures import LOOP_COUNTS, Published
from transforms.shard_keys import balanced_keys

_LOG = logging.getLogger(__name__)

LOST_S = 10.0
"""A loop whose last turn is longer ago is armed again by the next tick (a restore may lose its timer)."""


class Loop(Protocol):
    """A piece of work that is done in turns."""

    name: str
    """Topic and partition: `topic/3`."""

    def turn(self) -> float:
        """Work for a moment; returns how many seconds to wait before the next turn. Raises only for defects."""

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call, by metric name."""

    def gauges(self) -> dict[str, int]:
        """How it stands now, by metric name."""

    def close(self) -> None:
        """Give connections back."""


# A loop outlives its DoFn instance (Beam tears one down after a minute without work), so it lives in the process.
_LOOPS: dict[tuple[str, str], Loop] = {}
_LAST_TURN: dict[tuple[str, str], float] = {}


class _RunLoop(beam.DoFn):  # type: ignore[misc]
    TURN = TimerSpec("turn", TimeDomain.REAL_TIME)

    def __init__(self, makers: Mapping[str, Callable[[], Loop]], namespace: str) -> None:
        self._makers = makers
        self._namespace = namespace
        self._published = Published(namespace)

    def process(self, element: tuple[str, str], turn: Any = beam.DoFn.TimerParam(TURN)) -> None:
        """A tick: arms the loop if it is not turning."""
        name = (self._namespace, element[0])
        if time.monotonic() - _LAST_TURN.get(name, -LOST_S) >= LOST_S:
            _LAST_TURN[name] = time.monotonic()
            turn.set(Timestamp.now())

    @on_timer(TURN)
    def turn(self, key: Any = beam.DoFn.KeyParam, turn: Any = beam.DoFn.TimerParam(TURN)) -> None:
        """One turn of the key's loop."""
        name = (self._namespace, key)
        loop = _LOOPS.get(name)
        if loop is None:
            loop = _LOOPS[name] = self._makers[key]()
            self._published.begin(LOOP_COUNTS)
        try:
            pause = loop.turn()
        except BaseException:
            _LOOPS.pop(name).close()
            raise
        self._published.add(loop.take_counts())
        self._published.show(loop.name, loop.gauges())
        _LAST_TURN[name] = time.monotonic()
        turn.set(Timestamp.now() + Duration(micros=int(pause * 1_000_000)))


def _fan_out(_: bytes, keys: list[str]) -> list[tuple[str, str]]:
    return [(key, "") for key in keys]


class RunLoops(beam.PTransform):  # type: ignore[misc]
    """Runs one loop per name for ever, spread evenly over the workers. Applied to ticks; has no output."""

    def __init__(self, makers: Mapping[str, Callable[[], Loop]], *, namespace: str, max_parallelism: int = 128):
        super().__init__()
        keys = balanced_keys(list(makers), max_parallelism)
        self._makers = dict(zip(keys, makers.values(), strict=True))
        self._namespace = namespace

    def expand(self, ticks: Any) -> Any:
        """fan out -> run"""
        return (
            ticks
            | "FanOut" >> beam.FlatMap(_fan_out, list(self._makers)).with_output_types(tuple[str, str])
            | "Run" >> beam.ParDo(_RunLoop(self._makers, self._namespace))
        )
