"""The transfer benchmark: throughput, latency, recovery and cost of the whole system on this machine.

    python -m bench.transfer               a table
    python -m bench.transfer --json -      the same as one JSON object, the last line of the output

Starts a stack of its own (Kafka, Flink, PostgreSQL), runs the transfer job and the load generator beside it, and the
no-op job as the yardstick in the same run. Every transfer is checked; a run with a wrong outcome reports no figures.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console

from bench import noop
from bench.report import deliver, json_option, machine
from bench.stack import BenchStack, bench_stack
from florin_io.kafka.log import end_offsets
from jobs.load.config import Config
from jobs.load.report import Report
from jobs.load.transfer import run
from jobs.read_model import database_of
from transforms.load.scenarios import EVERYDAY
from transforms.read_model import schema
from transforms.read_model.reader import ReadModel
from transforms.transfers.topics import Topics

PARTITIONS = 4
HAPPY = {"committed": 1.0}
ROUNDS = 3
"""Of throughput; the round with the middle ratio is reported, and all are in the JSON."""
WARM_S = 20.0
"""Before latency is measured, the JVMs of Kafka and Flink compile what they run; cold they add some 100 ms."""
ABOUT = {
    "transfers_per_s": "complete transfers/s over 8 DFSPs",
    "hot_pair_per_s": "complete transfers/s between two DFSPs",
    "with_read_model_per_s": "complete transfers/s over 8 DFSPs, read model on",
    "read_model_events_per_s": "events/s the read model applied meanwhile and after",
    "noop_per_s": "transfers/s of the no-op job",
    "ratio_to_noop": "transfers_per_s / noop_per_s",
    "p50_ms_at_1000": "ms, prepare appended to POST seen, at 1,000/s",
    "p99_ms_at_1000": "ms, the same",
    "committed_p50_ms_at_1000": "ms, prepare appended to COMMITTED seen by the payer, at 1,000/s",
    "committed_p99_ms_at_1000": "ms, the same",
    "recovery_s": "s without outputs after kill -9 of a TaskManager at 1,000/s",
    "cpu_s_per_transfer": "CPU seconds per transfer, all processes",
}


class WrongOutcomes(RuntimeError):
    """The load generator found transfers that ended other than they must."""


@dataclass(frozen=True)
class Plan:
    """Lengths of the runs in seconds."""

    throughput_s: float
    latency_s: float
    recovery_s: float
    in_flight: int


def checked(config: Config) -> Report:
    """Run the load and insist on right outcomes."""
    report = run(config)
    if not report.ok:
        raise WrongOutcomes(
            f"{report.mismatches} mismatches, {report.missing} missing: {report.examples[:3]} {report.hints}"
        )
    return report


def throughput(stack: BenchStack, plan: Plan, **settings: Any) -> tuple[float, dict[str, float]]:
    """Complete transfers/s as fast as it goes, and CPU seconds per transfer by process."""
    before = stack.cpu_s()
    report = checked(
        Config(
            rate=0,
            duration_s=plan.throughput_s,
            mix=HAPPY,
            in_flight=plan.in_flight,
            warmup_s=plan.throughput_s / 6,
            **settings,
        )
    )
    return report.per_s, {name: (used - before[name]) / report.completed for name, used in stack.cpu_s().items()}


def beside_noop(stack: BenchStack, plan: Plan, say: Console) -> dict[str, Any]:
    """Throughput of the transfer job and of the no-op job in turns: what else the machine does changes both alike."""
    stack.run("bench.noop", "--detach", "--topic_prefix=noop-")
    kafka, rounds = stack.addresses()["kafka"], []
    # The first turn is not counted: at full rate Kafka's just-in-time compiler is busy for about a minute.
    for number in range(ROUNDS + 1):
        turn = f"round {number} of {ROUNDS}" if number else "to warm up"
        say.print(f"throughput over 8 DFSPs, then of the no-op job, {turn} ...")
        rate, by_process = throughput(stack, plan)
        found = rate, noop.drive(kafka, "noop-", PARTITIONS, plan.throughput_s, plan.in_flight), by_process
        if number:
            rounds.append(found)
    stack.run("flink", "savepoint", "noop-noop")
    rounds.sort(key=lambda one: one[0] / one[1])
    rate, noop_rate, by_process = rounds[ROUNDS // 2]
    return {
        "transfers_per_s": rate,
        "noop_per_s": noop_rate,
        "ratio_to_noop": rate / noop_rate,
        "rounds": [{"transfers_per_s": rate, "noop_per_s": noop_rate} for rate, noop_rate, _ in rounds],
        "cpu_s_per_transfer": sum(by_process.values()),
        "cpu_s_per_transfer_by_process": by_process,
    }


def recovery(stack: BenchStack, plan: Plan) -> float:
    """Seconds without any output after kill -9 of a TaskManager at 1,000/s; every outcome must still be right."""

    def kill() -> None:
        os.kill(stack.taskmanagers_at_work()[0], signal.SIGKILL)

    timer = threading.Timer(plan.recovery_s / 4, kill)
    timer.start()
    try:
        report = checked(Config(rate=1000, duration_s=plan.recovery_s, mix=HAPPY, grace_s=60))
    finally:
        timer.cancel()
    return report.longest_silence_s


def read_model_rate(stack: BenchStack, plan: Plan) -> tuple[float, float]:
    """Complete transfers/s with the read model on, and events/s it applied until it had caught up."""
    stack.run("jobs.read_model", "--detach")
    kafka, topic = stack.addresses()["kafka"], Topics().events
    with ReadModel(database_of(None, schema.DEFAULT_SCHEMA)) as model:
        while any(model.lag(end_offsets(kafka, topic, PARTITIONS))):
            time.sleep(0.5)
        before, began = sum(model.offsets().values()), time.monotonic()
        rate, _ = throughput(stack, plan)
        while any(model.lag(end_offsets(kafka, topic, PARTITIONS))):
            time.sleep(0.2)
        return rate, (sum(model.offsets().values()) - before) / (time.monotonic() - began)


def measure(plan: Plan, say: Console) -> dict[str, Any]:
    """All figures, in the order in which they disturb each other least."""
    figures: dict[str, Any] = {}
    with bench_stack(taskmanagers=5) as stack:
        stack.run("jobs.transfer", "--detach")
        stack.run("jobs.hub", "setup")
        checked(Config(rate=1000, duration_s=WARM_S, mix=HAPPY, warmup_s=0))
        figures |= beside_noop(stack, plan, say)
        say.print("throughput between two DFSPs ...")
        figures["hot_pair_per_s"], _ = throughput(stack, plan, dfsps=("dfsp1", "dfsp2"))
        # Last of the three, so that Kafka's just-in-time compiler has done its work.
        say.print("latency at 1,000/s ...")
        report = checked(Config(rate=1000, duration_s=plan.latency_s, mix=dict(EVERYDAY)))
        figures["p50_ms_at_1000"], figures["p99_ms_at_1000"] = report.reserved["p50_ms"], report.reserved["p99_ms"]
        figures["committed_p50_ms_at_1000"] = report.committed["p50_ms"]
        figures["committed_p99_ms_at_1000"] = report.committed["p99_ms"]
        say.print("recovery after kill -9 ...")
        figures["recovery_s"] = recovery(stack, plan)
        say.print("throughput with the read model on ...")
        figures["with_read_model_per_s"], figures["read_model_events_per_s"] = read_model_rate(stack, plan)
    figures["machine"] = machine()
    return figures


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@json_option
@click.option(
    "--seconds", default=30.0, show_default=True, help="Length of each throughput run; the others follow from it."
)
@click.option("--in-flight", default=8000, show_default=True, help="Transfers at once in the throughput runs.")
def main(json_to: str | None, seconds: float, in_flight: int) -> None:
    """Measure and report."""
    logging.basicConfig(level=logging.ERROR)
    say = Console(stderr=True, highlight=False)
    try:
        figures = measure(Plan(seconds, 2 * seconds, max(2 * seconds, 40.0), in_flight), say)
    except WrongOutcomes as error:
        say.print(f"[red]no figures: {error}[/red]", soft_wrap=True)
        sys.exit(1)
    cpu_us = {name: f"{seconds * 1e6:.0f}" for name, seconds in figures["cpu_s_per_transfer_by_process"].items()}
    deliver(figures, json_to, "bench.transfer", ABOUT, "transfer", cpu_us)


if __name__ == "__main__":
    main()
