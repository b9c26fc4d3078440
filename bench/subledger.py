"""The subledger benchmark: whole loads on Flink, their memory, each step alone, and the plain ceiling, on this machine.

    python -m bench.subledger               a table
    python -m bench.subledger --json -      the same as one JSON object, the last line of the output
    python -m bench.subledger --quick       a tenth of everything

Starts stacks of its own, generates ledger files into their object store, and loads them into new tables again and
again, with one TaskManager and with two, over one, two and four connections. Every load is reconciled with balances
that the generator has supplied, or there are no figures.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.report import json_option, machine, number
from bench.stack import bench_stack
from bench.subledger_loads import ENTITIES, Ledger, Wrong

TASKMANAGERS = (1, 2)
CONNECTIONS = (1, 2, 4)
ABOUT = {
    "entries_per_s": "ledger entries/s, request taken to published, two TaskManagers, the best number of connections",
    "ceiling_per_s": "entries/s of pyarrow's reader and COPY of the same journal, two processes, nothing else",
    "ratio_to_ceiling": "entries_per_s / ceiling_per_s",
    "rss_growth": "peak memory of the workers in the largest load / in one of a tenth of it",
    "mb_per_additional_request": "MB that workers have more at the peak with two requests than with one",
    "mb_per_additional_request_without_mapped_files": "the same of what is not the page cache's",
    "side_by_side_ratio": "time of two requests side by side / one after the other",
    "copy_rows_per_s": "journal lines/s by COPY, encoding included",
    "adbc_rows_per_s": "the same lines by ADBC's driver",
}


@dataclass(frozen=True)
class Plan:
    """Sizes in entries: timed loads, those whose memory is watched, each of two side by side, steps alone."""

    entries: int
    memory: tuple[int, ...]
    side: int
    alone: int


def part(module: str, *arguments: str) -> dict[str, Any]:
    """A benchmark in a process of its own."""
    command = [sys.executable, "-m", module, *arguments, "--json", "-"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(plan: Plan, say: Console) -> dict[str, Any]:
    """All figures; the second stack is used for all that is not compared by TaskManagers."""
    figures: dict[str, Any] = {}
    rates: dict[str, dict[str, int]] = {}
    for workers in TASKMANAGERS:
        with bench_stack(taskmanagers=workers) as stack:
            ledger = Ledger(stack, say)
            last = workers == max(TASKMANAGERS)
            # Before and after what is compared with it: a machine's speed may change meanwhile.
            ceilings = [ceiling(ledger, plan, say)] if last else []
            rates[str(workers)] = throughput(ledger, workers, plan, figures)
            if not last:
                continue
            ceilings.append(ceiling(ledger, plan, say))
            figures |= ceilings[-1]
            figures["ceilings_per_s"] = [round(one["ceiling_per_s"]) for one in ceilings]
            figures["ceiling_per_s"] = round(sum(one["ceiling_per_s"] for one in ceilings) / len(ceilings))
            figures |= side_by_side(ledger, plan, say)
            figures |= memory_of_loads(ledger, plan, say)
            say.print("steps alone, COPY and ADBC ...")
            figures |= part(
                "bench.subledger_alone", f"--rows={plan.alone}", f"--postgres={stack.addresses()['postgres']}",
                f"--folder={stack.home.parent}",
            )  # fmt: skip
    figures["entries_per_s_by_taskmanagers_and_connections"] = rates
    figures["entries_per_s"] = max(rates[str(max(TASKMANAGERS))].values())
    figures["ratio_to_ceiling"] = round(figures["entries_per_s"] / figures["ceiling_per_s"], 3)
    return figures | {"machine": machine()}


def throughput(ledger: Ledger, workers: int, plan: Plan, figures: dict[str, Any]) -> dict[str, int]:
    """Whole loads: entries/s by connections; `figures` gets what their processes cost."""
    manifest = ledger.files(plan.entries)
    ledger.say.print(f"throughput, TaskManagers: {workers} ...")
    rates = {}
    for connections in CONNECTIONS:
        if connections < workers:
            continue  # each worker has one
        before = ledger.stack.cpu_s()
        request, _ = ledger.load(manifest, workers, connections)
        used = {name: seconds - before.get(name, 0) for name, seconds in ledger.stack.cpu_s().items()}
        rates[str(connections)] = round(request["entries_per_s"])
        figures["lines_per_entry"] = round(request["lines_posted"] / request["rows"], 3)
        figures["cpu_us_per_entry_by_process"] = {
            name: round(seconds / request["rows"] * 1e6, 2)
            for name, seconds in used.items()
            if name not in ("load generator", "kafka")
        }
    return rates


def ceiling(ledger: Ledger, plan: Plan, say: Console) -> dict[str, Any]:
    """The plain ceiling on the same rows, from the disk."""
    say.print("plain ceiling ...")
    folder = ledger.stack.home.parent / "ledger"
    manifest = Path(ledger.files(plan.entries, place=str(folder)))
    names = [str(manifest.parent / file["name"]) for file in json.loads(manifest.read_text())["files"]]
    postgres = ledger.stack.addresses()["postgres"]
    figures = part("bench.subledger_ceiling", *(f"--files={name}" for name in names), f"--postgres={postgres}")
    shutil.rmtree(folder)
    say.print(f"  {figures['ceiling_per_s']:,.0f}/s")
    return figures


def side_by_side(ledger: Ledger, plan: Plan, say: Console) -> dict[str, Any]:
    """Two requests of different entities, one after the other on all workers, then side by side on half each."""
    manifests = [ledger.files(plan.side, entity) for entity in ENTITIES]
    seconds, memory = {}, {}
    for name, workers, at_once in (("one after the other", 2, 1), ("side by side", 1, 2)):
        seconds[name], memory[name] = ledger.load_all(manifests, workers, at_once)
        say.print(f"two requests of {plan.side:,} {name}: {seconds[name]:.1f} s, {memory[name].peak:,.0f} MB")
    one, two = memory["one after the other"], memory["side by side"]
    return {
        "side_by_side_s": round(seconds["side by side"], 1),
        "one_after_the_other_s": round(seconds["one after the other"], 1),
        "side_by_side_ratio": round(seconds["side by side"] / seconds["one after the other"], 3),
        "mb_per_additional_request": round(max(0.0, two.peak - one.peak), 1),
        "mb_per_additional_request_without_mapped_files": round(max(0.0, two.peak_of_own - one.peak_of_own), 1),
    }


def memory_of_loads(ledger: Ledger, plan: Plan, say: Console) -> dict[str, Any]:
    """The workers' memory over loads of different sizes."""
    say.print("memory ...")
    rates, memories = {}, {}
    for entries in plan.memory:
        request, memories[entries] = ledger.load(ledger.files(entries), 2, 2)
        rates[str(entries)] = round(request["entries_per_s"])
    largest = max(memories)
    return {
        "entries_per_s_by_entries": rates,
        "memory_mb_by_entries": {str(entries): memory.to_json() for entries, memory in memories.items()},
        "rss_growth": round(memories[largest].peak / memories[largest // 10].peak, 3),
    }


def show(figures: dict[str, Any]) -> None:
    """The figures for people."""
    console = Console(highlight=False)
    rows = [(name, _number(figures[name]), meaning) for name, meaning in ABOUT.items()]
    _print(console, f"bench.subledger on {figures['machine']}", ("figure", "value", "meaning"), rows)
    rates = figures["entries_per_s_by_taskmanagers_and_connections"]
    cells = [(workers, *(_number(found.get(str(n))) for n in CONNECTIONS)) for workers, found in rates.items()]
    _print(console, "entries/s", ("TaskManagers", *(f"{n} connections" for n in CONNECTIONS)), cells)
    alone = [(step, _number(rate)) for step, rate in figures["rows_per_s_by_step"].items()]
    _print(console, "steps alone, on one core", ("step", "rows/s"), alone)
    memory = [
        (
            f"{int(entries):,}", _number(figures["entries_per_s_by_entries"][entries]), _number(told["peak"]),
            _number(told["peak_without_mapped_files"]),
        )
        for entries, told in figures["memory_mb_by_entries"].items()
    ]  # fmt: skip
    _print(console, "memory of the workers", ("entries", "entries/s", "peak MB", "without mapped files"), memory)
    used = sorted(figures["cpu_us_per_entry_by_process"].items(), key=lambda item: -item[1])
    cost = [(name, f"{microseconds:.2f}") for name, microseconds in used]
    _print(console, "Where the CPU time of an entry goes", ("process", "CPU us per entry"), cost)


def _print(console: Console, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else number(value)


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@json_option
@click.option("--entries", default=10_000_000, show_default=True, help="Ledger entries of the timed loads.")
@click.option(
    "--largest", default=50_000_000, show_default=True, help="Entries of the largest load of the memory runs."
)
@click.option("--quick", is_flag=True, help="A tenth of all sizes.")
def main(json_to: str | None, entries: int, largest: int, quick: bool) -> None:
    """Measure and report."""
    logging.basicConfig(level=logging.ERROR)
    say = Console(stderr=True, highlight=False)
    scale = 10 if quick else 1
    entries, largest = entries // scale, largest // scale
    memory = tuple(sorted({largest // 50, largest // 10, largest // 5, largest}))
    try:
        subprocess.run([sys.executable, "-m", "transforms.subledger.warm"], check=True)
        figures = measure(Plan(entries, memory, entries // 5, entries // 10), say)
    except (Wrong, subprocess.CalledProcessError) as error:
        say.print(f"[red]no figures: {error}[/red]", soft_wrap=True)
        sys.exit(1)
    if json_to is None:
        show(figures)
    elif json_to == "-":
        print(json.dumps(figures))
    else:
        Path(json_to).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
