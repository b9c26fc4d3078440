"""A streaming job without Kafka: four keys count the ticks of their looping timers; test_stack.py runs it."""

from __future__ import annotations

import argparse
import sys

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration, Timestamp

from flink.errors import StackError
from flink.records import JobRecord
from flink.submit import flink_defaults, submit


def four_keys(_: object) -> list[tuple[str, str]]:
    return [(str(key), "") for key in range(4)]


class Count(beam.DoFn):
    """Ticks twenty times a second; `fail` raises instead."""

    COUNT = ReadModifyWriteStateSpec("count", VarIntCoder())
    TICK = TimerSpec("tick", TimeDomain.REAL_TIME)

    def __init__(self, fail: bool) -> None:
        self.fail = fail
        self.ticks = Metrics.counter("trivial", "ticks")

    def process(self, _element, count=beam.DoFn.StateParam(COUNT), tick=beam.DoFn.TimerParam(TICK)):  # type: ignore
        if self.fail:
            raise ValueError("this job was told to fail")
        if count.read() is None:
            count.write(0)
            tick.set(Timestamp.now())

    @on_timer(TICK)
    def on_tick(self, count=beam.DoFn.StateParam(COUNT), tick=beam.DoFn.TimerParam(TICK)):  # type: ignore
        count.write(count.read() + 1)
        self.ticks.inc()
        tick.set(Timestamp.now() + Duration(micros=50_000))


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--savepoint_path")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--fail", action="store_true")
    options, given = parser.parse_known_args()
    pipeline = beam.Pipeline(options=PipelineOptions(flink_defaults(given, "trivial", options.parallelism)))
    (
        pipeline
        | "Ticks" >> FlinkStreamingImpulseSource().set_interval_ms(1000).set_message_count(0)
        | "Keys" >> beam.FlatMap(four_keys).with_output_types(tuple[str, str])
        | "Count" >> beam.ParDo(Count(options.fail))
    )
    try:
        handle = submit(pipeline, JobRecord("trivial", options.parallelism), savepoint=options.savepoint_path)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{handle.job_id} {handle.seconds:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
