"""A line a second on what a streaming job does: its counters from Flink, its lag from Kafka."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass

from confluent_kafka import KafkaException
from rich.console import Console
from rich.live import Live
from rich.text import Text

from flink.rest import TERMINAL, FlinkError, FlinkRest
from florin_io.kafka.log import GroupOffsets
from transforms.measures import LATENCY_BUCKETS_MS

_LOG = logging.getLogger(__name__)
WINDOW_S = 10.0
PLAIN_EVERY_S = 10.0


def counters(rest: FlinkRest, job_id: str, namespace: str) -> dict[str, int]:
    """Sums over all subtasks of the job's Beam counters in a namespace, without gauges; from zero after a restart."""
    totals: dict[str, int] = {}
    mark = f".{namespace}_"
    for vertex in rest.job(job_id)["vertices"]:
        path = f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics"
        names = [metric["id"] for metric in rest.get(path) if mark in metric["id"] and "__" not in metric["id"]]
        if names:
            for metric in rest.get(path, get=",".join(names), agg="sum"):
                name = metric["id"].split(mark, 1)[1]
                totals[name] = totals.get(name, 0) + int(metric["sum"])
    return totals


def percentile(counts: dict[str, int], share: float) -> int | None:
    """Upper bound in ms of the latency bucket that holds the given share of the records, None without records."""
    total = counts.get("records", 0)
    if total <= 0:
        return None
    for bound in LATENCY_BUCKETS_MS:
        if counts.get(f"latency_ms_le_{bound}", 0) >= share * total:
            return bound
    return LATENCY_BUCKETS_MS[-1]


def lag_of(offsets: GroupOffsets) -> int | None:
    """Records of a log that its group has not committed yet, or None while Kafka does not answer."""
    try:
        return offsets.lag()
    except KafkaException as error:  # progress must not end with a hiccup of Kafka; the job itself reports it
        _LOG.debug("lag: %s", error)
        return None


@dataclass
class _Sample:
    at: float
    counts: dict[str, int]


def line(first: _Sample, last: _Sample, lag: int | None) -> str:
    """Rate and latency between two samples, totals of the last."""
    delta = {name: max(0, last.counts[name] - first.counts.get(name, 0)) for name in last.counts}
    seconds = max(last.at - first.at, 0.001)
    p50, p99 = percentile(delta, 0.5), percentile(delta, 0.99)
    latency = f"latency p50 <= {p50} ms, p99 <= {p99} ms" if p50 is not None else "latency -"
    total = last.counts
    return (
        f"{delta.get('records', 0) / seconds:,.0f} records/s over {seconds:.0f} s | total "
        f"{total.get('records', 0):,} in, "
        f"{total.get('outputs', 0):,} out, {total.get('dead_letters', 0):,} dead letters | "
        f"lag {'?' if lag is None else f'{lag:,}'} | {latency}"
    )


def follow(rest: FlinkRest, job_id: str, namespace: str, offsets: GroupOffsets, console: Console) -> str:
    """Show progress until the job ends, and return its last state. KeyboardInterrupt is the caller's.

    On a terminal one line is kept up to date; otherwise a plain line comes every ten seconds.
    """
    samples: deque[_Sample] = deque()
    printed = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            try:
                state = rest.state(job_id)
                samples.append(_Sample(time.monotonic(), counters(rest, job_id, namespace)))
            except FlinkError as error:
                state = f"unknown: {error}"
            while len(samples) > 2 and samples[-1].at - samples[0].at > WINDOW_S:
                samples.popleft()
            if state in TERMINAL:
                return state
            text = f"{state} | {line(samples[0], samples[-1], lag_of(offsets))}" if samples else state
            if console.is_terminal:
                live.update(Text(text), refresh=True)
            elif time.monotonic() - printed >= PLAIN_EVERY_S:
                printed = time.monotonic()
                console.print(text, soft_wrap=True)
            time.sleep(1)
