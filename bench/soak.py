"""The soak: the transfer job at a steady rate for long, watching for growth of latency, memory and state.

    python -m bench.soak --minutes 30 --rate 1000

One line per minute: latency of that minute, resident memory of the workers, size of the last checkpoint. At the end the
first and the last five minutes are compared. Every transfer is checked.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console

from bench.stack import BenchStack, bench_stack
from flink.rest import FlinkRest
from jobs.load.config import Config
from jobs.load.report import Report, Second
from jobs.load.transfer import run
from transforms.load.scenarios import EVERYDAY

COMPARED_MINUTES = 5
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Minute:
    """What was seen at the end of a minute of the run; sizes in megabytes."""

    minute: int
    workers_mb: float
    checkpoint_mb: float


def watch(stack: BenchStack, minutes: int, seen: list[Minute], stop: threading.Event, say: Console) -> None:
    """Append what is seen once a minute."""
    with FlinkRest(stack.addresses()["flink"]) as rest:
        job_id = rest.require("transfer")["jid"]
        for minute in range(1, minutes + 1):
            if stop.wait(60):
                return
            latest = rest.get(f"/jobs/{job_id}/checkpoints")["latest"]["completed"] or {}
            found = Minute(minute, stack.workers_rss() / MEGABYTE, latest.get("checkpointed_size", 0) / MEGABYTE)
            seen.append(found)
            say.print(f"minute {minute}: workers {found.workers_mb:,.0f} MB, checkpoint {found.checkpoint_mb:,.1f} MB")


def latency(seconds: list[Second], minute: int) -> tuple[float, float]:
    """Medians of the p50 and the p99 of the seconds of one minute, in ms."""
    part = [second for second in seconds if second.second // 60 == minute and second.p50_ms is not None]
    if not part:
        raise ValueError(f"no transfers in minute {minute}")
    return statistics.median(s.p50_ms or 0 for s in part), statistics.median(s.p99_ms or 0 for s in part)


def summary(report: Report, seen: list[Minute], minutes: int) -> dict[str, Any]:
    """The run in one object; growth compares the last minutes with the first (the very first one is warm-up)."""
    by_minute = [latency(report.timeline, minute) for minute in range(minutes)]
    head, tail = by_minute[1 : 1 + COMPARED_MINUTES], by_minute[-COMPARED_MINUTES:]
    return {
        "minutes": minutes,
        "transfers": report.completed,
        "mismatches": report.mismatches,
        "missing": report.missing,
        "p50_ms_first": statistics.mean(p50 for p50, _ in head),
        "p50_ms_last": statistics.mean(p50 for p50, _ in tail),
        "p99_ms_first": statistics.mean(p99 for _, p99 in head),
        "p99_ms_last": statistics.mean(p99 for _, p99 in tail),
        "by_minute": [
            {**asdict(found), "p50_ms": by_minute[found.minute - 1][0], "p99_ms": by_minute[found.minute - 1][1]}
            for found in seen
        ],
    }


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.option("--minutes", default=30, show_default=True, help="Length of the run.")
@click.option("--rate", default=1000.0, show_default=True, help="Transfers/s.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object, the last line.")
def main(minutes: int, rate: float, as_json: bool) -> None:
    """Run and report; exit 1 if a transfer ended wrong."""
    logging.basicConfig(level=logging.ERROR)
    say = Console(stderr=True, highlight=False)
    seen: list[Minute] = []
    stop = threading.Event()
    with bench_stack(taskmanagers=2) as stack:
        stack.run("jobs.transfer", "--detach", "--no-sequencer")
        stack.run("jobs.hub", "setup")
        watcher = threading.Thread(target=watch, args=(stack, minutes, seen, stop, say), daemon=True)
        watcher.start()
        began = time.monotonic()
        report = run(Config(rate=rate, duration_s=60.0 * minutes, mix=dict(EVERYDAY)))
        stop.set()
        watcher.join(10)
        say.print(f"{report.completed:,} transfers in {time.monotonic() - began:,.0f} s")
    found = summary(report, seen, minutes)
    if as_json:
        print(json.dumps(found))
    else:
        Console(highlight=False).print_json(data=found)
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
