"""The card scoring benchmark: throughput, latency, memory and loading of the whole system on this machine.

    python -m bench.cards               a table
    python -m bench.cards --json -      the same as one JSON object, the last line of the output

Starts a stack of its own (Kafka, Flink), loads a million histories, puts a backlog of transactions on the log and times
how the job works it off, with one worker and with two, and the no-op job on the same records right after. Every
verdict is counted as a read_committed reader sees it. Figures of the core alone come from `bench.cards_core`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.cards_noop import OUTPUT
from bench.report import deliver, json_option, machine
from bench.stack import BenchStack, bench_stack
from flink.rest import FlinkRest
from florin_io.kafka.log import GroupOffsets, TopicReader
from jobs.load.wire import listener
from jobs.transfer import group_of
from transforms.cards.rulesets import text_of
from transforms.cards.topics import Topics
from transforms.load.latency import Histogram

PARTITIONS = 4
SCORED_AT = 9
SLICE_S = 0.25
WARM, DONE = 0.25, 0.95
"""The stretch of a backlog that is timed: behind the start of the job, before its last partition is alone."""
NO_RULES = """name: none
description: A rule that is off.
rules:
  - {name: none, description: Off., mode: off, when: amount > 1}
"""
ABOUT = {
    "transactions_per_s": "transactions/s of the job with two workers, verdicts written",
    "transactions_per_s_1_worker": "transactions/s of the job with one worker",
    "noop_per_s": "transactions/s of the no-op job with two workers",
    "ratio_to_noop": "transactions_per_s / noop_per_s",
    "evaluate_only_per_s": "evaluations/s of 49 rules over 20 transactions, one core, no Kafka and no Beam",
    "apply_per_s": "transactions/s through the whole core, one core, no Kafka and no Beam",
    "p50_ms_at_10000": "ms, transaction appended to verdict seen, at 10,000/s",
    "p99_ms_at_10000": "ms, the same",
    "p99_ms_in_checkpoints": "ms, the same, of verdicts seen while a checkpoint was under way",
    "p99_ms_between_checkpoints": "ms, the same, of all others",
    "bytes_per_card": "bytes of a worker's memory per card, all included",
    "load_s_1m_cards": "s from the loader's command to its end, 1M cards x 20",
}


class Wrong(RuntimeError):
    """Verdicts are missing or came twice."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the runs; `backlog` in transactions."""

    cards: int
    backlog: int
    latency_s: float
    rules: str


def core_alone(cards: int, rules: str) -> dict[str, Any]:
    """`bench.cards_core` in a process of its own."""
    command = [sys.executable, "-m", "bench.cards_core", "--cards", str(cards), "--rules", rules, "--json", "-"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def growth(plan: Plan, folder: Path, say: Console) -> dict[str, Any]:
    """The core alone with more cards and with more rules."""
    figures: dict[str, Any] = {}
    say.print("core alone ...")
    alone = core_alone(plan.cards, plan.rules)
    figures["apply_per_s"], figures["bytes_per_card"] = alone["apply_per_s"], alone["bytes_per_card"]
    by_cards = {cards: core_alone(cards, plan.rules) for cards in (100_000, 3_000_000)} | {plan.cards: alone}
    figures["by_cards"] = {
        str(cards): {name: by_cards[cards][name] for name in ("apply_per_s", "bytes_per_card", "load_s")}
        for cards in sorted(by_cards)
    }
    by_rules = {}
    for count, text in (("0", NO_RULES), ("49", text_of("seed")), ("196", several(text_of("seed"), 4))):
        file = folder / f"rules-{count}.yaml"
        file.write_text(text, encoding="utf-8")
        by_rules[count] = core_alone(100_000, str(file))["evaluate_only_per_s"]
    figures["evaluate_only_per_s"] = by_rules["49"]
    figures["evaluate_only_per_s_by_rules"] = by_rules
    return figures


def several(text: str, copies: int) -> str:
    """A rule file with `copies` times the rules of this one, under names of their own."""
    head, _, rules = text.partition("\nrules:\n")
    return f"{head}\nrules:\n" + "".join(rules.replace("name: R", f"name: C{copy}R") for copy in range(copies))


def fill(stack: BenchStack, plan: Plan, day: int, count: int) -> int:
    """Append `count` transactions; returns the simulated day on which others go on."""
    report = stack.output(
        "jobs.load", "cards", "--rate=0", f"--count={count}", f"--cards={plan.cards}", f"--from-day={day}",
        "--report=json",
    )  # fmt: skip
    return int(json.loads(report)["next_day"])


def drained(stack: BenchStack, job: str) -> float:
    """Wait until the job, just started, has worked off its log; transactions/s of the stretch WARM to DONE of it."""
    kafka, topic = stack.addresses()["kafka"], Topics().transactions
    with GroupOffsets(kafka, topic, PARTITIONS, group_of(job)) as group:
        total = sum(group.ends())
        before = sum(done.offset or 0 for done in group.committed())
        samples = [(time.monotonic(), before)]
        while samples[-1][1] < total:
            time.sleep(0.1)
            samples.append((time.monotonic(), sum(done.offset or 0 for done in group.committed())))
    first, last = (next(at for at in samples if at[1] >= before + share * (total - before)) for share in (WARM, DONE))
    return (last[1] - first[1]) / max(last[0] - first[0], 1e-9)


def written(kafka: str, topic: str) -> int:
    """Records of a topic that were committed."""
    reader = TopicReader(kafka, topic, PARTITIONS, "florin-bench", from_start=True, bounded=True)
    count = 0
    try:
        while not reader.ended:
            count += len(reader.poll(20_000, 0.5))
    finally:
        reader.close()
    return count


def throughput(stack: BenchStack, plan: Plan, say: Console) -> dict[str, Any]:
    """Each job works off a backlog while nothing else is at work: two workers, the no-op job, one worker."""
    figures: dict[str, Any] = {}
    say.print("throughput, two workers ...")
    stack.run("flink", "savepoint", "cards")
    day = fill(stack, plan, 1, plan.backlog)
    before = stack.cpu_s()
    stack.run("flink", "restore", "latest", "--job", "cards")
    figures["transactions_per_s"] = drained(stack, "cards")
    used = {name: seconds - before.get(name, 0) for name, seconds in stack.cpu_s().items()}
    figures["cpu_us_per_transaction_by_process"] = {
        name: round(seconds / plan.backlog * 1e6, 2) for name, seconds in used.items() if name != "load generator"
    }
    stack.run("flink", "savepoint", "cards")
    say.print("no-op job, the same transactions ...")
    stack.run("bench.cards_noop", "--detach")
    figures["noop_per_s"] = drained(stack, "cards-noop")
    stack.run("flink", "savepoint", "cards-noop")
    figures["ratio_to_noop"] = figures["transactions_per_s"] / figures["noop_per_s"]
    say.print("throughput, one worker ...")
    day = fill(stack, plan, day, plan.backlog // 2)
    stack.run("flink", "restore", "latest", "--job", "cards", "--parallelism=1")
    figures["transactions_per_s_1_worker"] = drained(stack, "cards")
    stack.run("flink", "savepoint", "cards")
    stack.run("flink", "restore", "latest", "--job", "cards", "--parallelism=2")
    kafka = stack.addresses()["kafka"]
    for topic, sent in ((Topics().scored, plan.backlog + plan.backlog // 2), (OUTPUT, plan.backlog)):
        if (found := written(kafka, topic)) != sent:
            raise Wrong(f"{sent:,} transactions gave {found:,} records of {topic}")
    return figures | {"next_day": day}


class Timeline:
    """A thread that notes, for every quarter of a second, how long ago the verdicts it sees were due (ms)."""

    def __init__(self, kafka: str) -> None:
        self._reader = listener(kafka, Topics().scored, PARTITIONS)
        self._stop = threading.Event()
        self.slices: dict[int, Histogram] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            values = [message.value() or b"" for message in self._reader.poll(5000, 0.05)]
            now = time.time()
            samples = [int(now * 1000) - int(value.split(b",", SCORED_AT + 1)[SCORED_AT]) for value in values]
            self.slices.setdefault(int(now / SLICE_S), Histogram()).add(samples)
        self._reader.close()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def split(self, spans: list[tuple[float, float]]) -> tuple[Histogram, Histogram]:
        """Latencies within the given spans of time (s since the epoch) and outside of them."""
        within, outside = Histogram(), Histogram()
        for number, samples in self.slices.items():
            start = number * SLICE_S
            inside = any(start < end and begin < start + SLICE_S for begin, end in spans)
            (within if inside else outside).merge(samples)
        return within, outside


def latency(stack: BenchStack, plan: Plan, day: int, say: Console) -> dict[str, Any]:
    """At 10,000 transactions/s: percentiles of all, and of what was seen while a checkpoint was under way."""
    say.print("latency at 10,000/s ...")
    load = ("jobs.load", "cards", "--rate=10000", f"--cards={plan.cards}", "--report=json")
    stack.output(*load, f"--from-day={day}", "--duration=20")
    began = time.time()
    timeline = Timeline(stack.addresses()["kafka"])
    try:
        stack.output(*load, f"--from-day={day + 1}", f"--duration={plan.latency_s}")
    finally:
        timeline.close()
    with FlinkRest(stack.addresses()["flink"]) as rest:
        history = rest.get(f"/jobs/{rest.require('cards')['jid']}/checkpoints")["history"]
    spans = [(point["trigger_timestamp"] / 1000, point["latest_ack_timestamp"] / 1000) for point in history]
    within, outside = timeline.split([span for span in spans if span[1] > began])
    everything = Histogram()
    everything.merge(within)
    everything.merge(outside)
    return {
        "p50_ms_at_10000": everything.percentile(50),
        "p99_ms_at_10000": everything.percentile(99),
        "p99_ms_in_checkpoints": within.percentile(99),
        "p99_ms_between_checkpoints": outside.percentile(99),
        "checkpoints": sum(end > began for _, end in spans),
        "checkpoint_mb": round(max((point.get("checkpointed_size", 0) for point in history), default=0) / 1e6, 1),
    }


def measure(plan: Plan, say: Console) -> dict[str, Any]:
    """All figures, in the order in which they disturb each other least."""
    with bench_stack(taskmanagers=2) as stack:
        folder = stack.home.parent
        figures = growth(plan, folder, say)
        say.print(f"loading {plan.cards:,} cards ...")
        began = time.monotonic()
        histories = str(folder / "histories")
        stack.run("jobs.card_history", f"--cards={plan.cards}", "--out", histories, f"--partitions={PARTITIONS}")
        figures["load_s_1m_cards"] = round((time.monotonic() - began) * 1_000_000 / plan.cards, 1)
        began = time.monotonic()
        stack.run("jobs.cards", "start", "--detach", "--history", histories, "--rules", plan.rules)
        figures["start_s"] = round(time.monotonic() - began, 1)
        figures |= throughput(stack, plan, say)
        figures |= latency(stack, plan, figures.pop("next_day"), say)
    figures["machine"] = machine()
    return figures


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@json_option
@click.option("--cards", default=1_000_000, show_default=True, help="Cards with a history of 20.")
@click.option("--backlog", default=4_000_000, show_default=True, help="Transactions of a throughput run.")
@click.option("--seconds", default=60.0, show_default=True, help="Length of the latency run.")
@click.option("--rules", default="default", show_default=True, help="Rule set of the job: default or seed.")
def main(json_to: str | None, cards: int, backlog: int, seconds: float, rules: str) -> None:
    """Measure and report."""
    logging.basicConfig(level=logging.ERROR)
    say = Console(stderr=True, highlight=False)
    try:
        figures = measure(Plan(cards, backlog, seconds, rules), say)
    except Wrong as error:
        say.print(f"[red]no figures: {error}[/red]", soft_wrap=True)
        sys.exit(1)
    cpu_us = {name: f"{used:.2f}" for name, used in figures["cpu_us_per_transaction_by_process"].items()}
    deliver(figures, json_to, "bench.cards", ABOUT, "transaction", cpu_us)


if __name__ == "__main__":
    main()
