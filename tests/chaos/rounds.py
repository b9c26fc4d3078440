"""A round: load, faults at once or shortly after each other, recovery, and the checks."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from tests.chaos.faults import Fault, Interrupted, Scene
from tests.chaos.subjects import Subject
from tests.conftest import eventually

CALM_S = 3.0
"""Steady output for so long is calm: what was struck has recovered."""
SETTLE_S = 6.0
"""So long Flink may need to notice that a connection is gone; a process that hangs longer is paused for longer."""
APART_S = 5.0
"""The second fault of a pair follows within that time."""


@dataclass(frozen=True)
class Result:
    """What became of a round; times in seconds.

    `lasted_s` is until the processes were there again, `silent_s` the longest time in which a shard with traffic put
    out nothing, `recovered_s` the time from the first fault until no shard was silent any more (0: none ever was).
    """

    faults: tuple[str, ...]
    lasted_s: float = 0.0
    silent_s: float = 0.0
    recovered_s: float = 0.0
    records: int = 0
    failure: str = ""


def play(subject: Subject, scene: Scene, faults: tuple[Fault, ...], random: Random) -> Result:
    """Strike and see whether everything comes out right. Raises AssertionError, and what is broken."""
    late = any(fault.keeps_records_from_kafka for fault in faults)
    delays = [0.0, *(random.uniform(0, APART_S) for _ in faults[1:])]
    victims = [scene.victim(fault, random) for fault in faults]
    watch = subject.watch()
    try:
        with subject.under_load(senders_late=late) as load:
            eventually("steady output", lambda: load.failed or watch.calm_for() >= CALM_S)
            began = time.monotonic()

            def strike(number: int) -> None:
                if scene.stop.wait(delays[number]):
                    raise Interrupted
                scene.strike(faults[number], victims[number])

            with ThreadPoolExecutor(len(faults)) as pool:
                for done in [pool.submit(strike, number) for number in range(len(faults))]:
                    done.result()
            over = time.monotonic()

            def steady() -> bool:
                return time.monotonic() - over >= SETTLE_S and watch.calm_for() >= CALM_S

            eventually("all servers and the job are there again", lambda: load.failed or scene.whole())
            eventually("steady output again", lambda: load.failed or steady())
        records = subject.check(watch)
        silences = watch.silences(since=began)
    finally:
        watch.close()
    return Result(
        tuple(fault.name for fault in faults),
        round(over - began, 1),
        round(max((silence.ended - silence.began for silence in silences), default=0.0), 1),
        round(max((silence.ended - began for silence in silences), default=0.0), 1),
        records,
    )
