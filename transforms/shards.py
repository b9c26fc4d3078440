"""The engine: deterministic shards over Kafka logs as a Beam transform. It knows no domain.

ticks -> fan out: one element per shard -> stateful DoFn with a looping processing-time timer
    turn:     poll the partition -> core.apply -> one Kafka transaction (outputs and input offset)
    snapshot: load the cells at the start; afterwards write those that are due
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration, Timestamp
from confluent_kafka import KafkaException

from florin_io.kafka.writer import Fenced
from transforms.core import Output
from transforms.measures import SHARD_COUNTS, Published
from transforms.shard import LogSettings, Shard, ShardSpec, replay
from transforms.shard_keys import balanced_keys
from transforms.shard_thread import ShardThread

_LOG = logging.getLogger(__name__)

MAX_CELLS = 64
"""Cells of state that a shard may have. The Flink runner pays for each declared state when a job starts, and with the
square of their number: 64 cost a TaskManager 2 s of CPU, 128 cost 5 s, 256 cost 20 s."""
TURN_S = 1.0
"""Time between two turns of a shard's timer; no record waits for one, and each costs a bundle: 3 ms of the worker."""
LOST_S = 5.0
"""A shard whose last turn is longer ago is armed again by the next tick."""
RETRY_S = 1.0

_CELLS = [ReadModifyWriteStateSpec(f"cell{number:03d}", BytesCoder()) for number in range(MAX_CELLS)]

# A shard outlives its DoFn instance (Beam tears one down after a minute without work), so it lives in the process.
_RUNNING: dict[str, ShardThread] = {}
_LAST_TURN: dict[str, float] = {}


def _with_cells(method: Any) -> Any:
    """Declare one state parameter per cell; Beam reads the signature and passes them by name."""
    signature = inspect.signature(method)
    kept = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    cells = [
        inspect.Parameter(spec.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=beam.DoFn.StateParam(spec))
        for spec in _CELLS
    ]
    method.__signature__ = signature.replace(parameters=kept + cells)
    return method


def _after(seconds: float) -> Timestamp:
    return Timestamp.now() + Duration(micros=int(seconds * 1_000_000))


class _RunShard(beam.DoFn):  # type: ignore[misc]
    """Keeps the shards of its keys running: one timer turns them, another loads them and writes their cells."""

    EPOCH = ReadModifyWriteStateSpec("epoch", VarIntCoder())
    TURN = TimerSpec("turn", TimeDomain.REAL_TIME)
    SNAPSHOT = TimerSpec("snapshot", TimeDomain.REAL_TIME)

    def __init__(self, shards: dict[str, ShardSpec], settings: LogSettings, namespace: str) -> None:
        self._specs = shards
        self._settings = settings
        self._published = Published(namespace)

    def process(
        self,
        element: tuple[str, str],
        snapshot: Any = beam.DoFn.TimerParam(SNAPSHOT),
    ) -> None:
        """A tick. Arms the shard if it is not turning: at the start, and after a restore that had no timers yet."""
        key = element[0]
        if time.monotonic() - _LAST_TURN.get(key, -LOST_S) >= LOST_S:
            _LAST_TURN[key] = time.monotonic()
            snapshot.set(_after(0))

    @on_timer(TURN)
    def turn(
        self,
        key: Any = beam.DoFn.KeyParam,
        epoch: Any = beam.DoFn.StateParam(EPOCH),
        turn: Any = beam.DoFn.TimerParam(TURN),
        snapshot: Any = beam.DoFn.TimerParam(SNAPSHOT),
    ) -> None:
        """Keep the shard's lease and publish its counts; hand over to `snapshot` when cells are due or it is gone."""
        _LAST_TURN[key] = time.monotonic()
        running = _RUNNING.get(key)
        if running is None or running.epoch != (epoch.read() or 0):
            snapshot.set(_after(0))
            return
        try:
            running.keep()
        except (KafkaException, Fenced) as error:
            # Fenced while Beam still gives this process the key: a broker restarted, or ended a transaction that took
            # too long. A zombie gets no turns, so it does not come here to fence the new owner in return.
            _drop(key)
            _LOG.warning("%s: %s; starts again from its cells", self._specs[key].name, error)
            self._published.add({"fenced" if isinstance(error, Fenced) else "kafka_errors": 1})
            snapshot.set(_after(RETRY_S))
            return
        except BaseException:
            _drop(key)  # apply may be half done; the next start loads the cells
            raise
        self._published.add(running.take_counts())
        self._published.show(self._specs[key].name, running.shard.gauges())
        if running.snapshot_due():
            snapshot.set(_after(0))
        else:
            turn.set(_after(TURN_S))

    @on_timer(SNAPSHOT)
    @_with_cells
    def snapshot(
        self,
        key: Any = beam.DoFn.KeyParam,
        epoch: Any = beam.DoFn.StateParam(EPOCH),
        turn: Any = beam.DoFn.TimerParam(TURN),
        snapshot: Any = beam.DoFn.TimerParam(SNAPSHOT),
        **cells: Any,
    ) -> None:
        """Start the shard from its cells, or write the cells that are due."""
        _LAST_TURN[key] = time.monotonic()
        running = _RUNNING.get(key)
        now_epoch = epoch.read() or 0
        if running is not None and running.epoch == now_epoch and running.failure is None:
            for number, cell in running.dump().items():
                cells[_CELLS[number].name].write(cell)
            running.epoch = now_epoch + 1
            epoch.write(now_epoch + 1)
        else:
            _drop(key)
            try:
                _RUNNING[key] = ShardThread(self._start(key, cells), now_epoch)
            except KafkaException as error:
                _LOG.warning("%s: Kafka: %s; tries again", self._specs[key].name, error.args[0].str())
                self._published.add({"kafka_errors": 1})
                snapshot.set(_after(RETRY_S))
                return
            self._published.begin(SHARD_COUNTS)
            self._published.add({"starts": 1})
        turn.set(_after(TURN_S))

    def _start(self, key: str, cells: dict[str, Any]) -> Shard:
        stored = {number: cells[spec.name].read() for number, spec in enumerate(_CELLS)}
        return Shard(self._specs[key], self._settings, {number: cell for number, cell in stored.items() if cell})


def _drop(key: str) -> None:
    running = _RUNNING.pop(key, None)
    if running is not None:
        running.close()


def _fan_out(_: bytes, keys: list[str]) -> list[tuple[str, str]]:
    return [(key, "") for key in keys]


class RunShards(beam.PTransform):  # type: ignore[misc]
    """Run shards for ever on a streaming runner. Applied to a pipeline; has no output (outputs go to Kafka).

    `shards` keep their order for the life of a job: keys, and with them Flink's state, follow from it.
    """

    def __init__(self, shards: list[ShardSpec], settings: LogSettings, *, namespace: str, max_parallelism: int = 128):
        super().__init__()
        keys = balanced_keys([shard.name for shard in shards], max_parallelism)
        self._shards = dict(zip(keys, shards, strict=True))
        self._settings = settings
        self._namespace = namespace

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """ticks -> fan out -> run"""
        return (
            pipeline
            | "Ticks" >> FlinkStreamingImpulseSource().set_interval_ms(1000).set_message_count(0)
            | "FanOut" >> beam.FlatMap(_fan_out, list(self._shards)).with_output_types(tuple[str, str])
            | "Run" >> beam.ParDo(_RunShard(self._shards, self._settings, self._namespace))
        )


class ReplayShards(beam.PTransform):  # type: ignore[misc]
    """Run shards from the log's beginning to given end offsets on any runner, and stop. Writes nothing to Kafka.

    `ends` holds an end offset (exclusive) per shard. `consume(shard, outputs)` gets what each shard makes, batch by
    batch; what it returns are the elements of the output.
    """

    def __init__(
        self,
        shards: list[ShardSpec],
        ends: list[int],
        bootstrap: str,
        consume: Callable[[ShardSpec, Iterator[list[Output]]], Any],
    ) -> None:
        super().__init__()
        self._work = list(zip(shards, ends, strict=True))
        self._bootstrap = bootstrap
        self._consume = consume

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """shards -> what was made of their outputs"""
        bootstrap, consume = self._bootstrap, self._consume
        return (
            pipeline
            | "Shards" >> beam.Create(self._work)
            | "Apart" >> beam.Reshuffle()
            | "Replay" >> beam.MapTuple(lambda shard, end: consume(shard, replay(shard, bootstrap, end)))
        )
