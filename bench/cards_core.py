"""The card scoring core alone, on one core of this machine: no Kafka, no Beam.

    python -m bench.cards_core                              a table
    python -m bench.cards_core --cards 3000000 --json -     the same as one JSON object, the last line of the output

Simulated cards with their histories, simulated traffic in batches as the engine makes them. Rates are per second of
CPU time, so that what else runs on the machine matters less; memory is the growth of the resident set.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numba
import numpy as np

from jobs.rules.sets import read_set
from transforms.cards.base import CardHistory
from transforms.cards.core import CardsCore
from transforms.cards.fields import FIELDS, HISTORY
from transforms.cards.history_cells import positions, simulated_cell
from transforms.cards.packed import unpack_all
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rules.language import parse
from transforms.cards.simulate import Population, Simulator
from transforms.cards.topics import Topics
from transforms.cards.warm import warm_up
from transforms.core import Batch

BATCH = CardsCore.BATCH_RECORDS
"""Records of a batch, as many as the engine takes at most."""
EVALUATED = 20_000
ABOUT = {
    "apply_per_s": "transactions/s through the whole core, output records included",
    "evaluate_only_per_s": "evaluations/s of the rules over 20 transactions, unpacked already",
    "bytes_per_card": "bytes of memory per card, all included",
    "load_s": "s to read the histories from memory into the core",
    "dump_mb_per_s": "MB/s of snapshot cells",
    "warm_up_s": "s to compile the kernels, or to read them from the cache",
}


class _Simulated(CardHistory):
    """Histories made when they are read."""

    digest = "simulated"

    def __init__(self, people: Population) -> None:
        self._people = people
        self._places = positions(people, 0, 1, list(range(1, 64)))
        self._texts: Any = None
        self.seconds = 0.0

    def read(self, cell: int) -> Any:
        started = time.process_time()
        made = simulated_cell(self._people, self._places[cell])
        self._texts = made.texts
        self.seconds += time.process_time() - started
        return made.cards, made.counts, made.items

    def texts(self, cell: int) -> Any:
        return self._texts


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _cpu(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _batches(people: Population, count: int, first: int = 0) -> list[Batch]:
    traffic = Simulator(people).take(count)
    data = traffic.packets.tobytes()
    values = [data[at : at + 100] for at in range(0, len(data), 100)]
    # The log's clock runs along with the traffic's.
    times = np.maximum.accumulate(traffic.times).tolist()
    return [
        Batch(
            list(range(first + at, first + min(at + BATCH, count))), times[at : at + BATCH],
            [value[:14] for value in values[at : at + BATCH]], values[at : at + BATCH],
        )
        for at in range(0, count, BATCH)
    ]  # fmt: skip


@numba.njit(nogil=True)
def _evaluate_all(program: Any, columns: Any, hits: Any) -> int:
    fired = 0
    for at in range(len(columns)):
        fired += evaluate(program, columns[at], HISTORY, hits) > 0
    return fired


def _seen(core: CardsCore, batches: list[Batch]) -> Any:
    """What rules see of traffic of cards with a full history: int64[n, FIELDS, HISTORY]."""
    found = np.zeros((EVALUATED, FIELDS, HISTORY), np.int64)
    done = 0
    for value in (value for batch in batches for value in batch.values):
        card = int(value[:14])
        items = core.store.items(card)
        if len(items) == HISTORY:
            found[done] = unpack_all(items, core.store.memory.texts, card)
            done += 1
        if done == EVALUATED:
            break
    return found[:done]


def measure(cards: int, rules: str, transactions: int, rounds: int) -> dict[str, Any]:
    """The figures for so many cards and the rule file with this text."""
    people = Population(cards=cards)
    started = time.perf_counter()
    warm_up()
    compiling = time.perf_counter() - started
    base = _Simulated(people)
    core = CardsCore(0, 1, Topics(), rules, base)
    resident = _resident()
    load_s = _cpu(lambda: core.load({})) - base.seconds
    bytes_per_card = (_resident() - resident) / len(core.store)
    batches = _batches(people, transactions * rounds)
    per_round = len(batches) // rounds
    outputs = 0
    times = []
    for at in range(0, per_round * rounds, per_round):
        started = time.process_time()
        for batch in batches[at : at + per_round]:
            outputs += len(core.apply(batch))
        times.append(time.process_time() - started)
    columns = _seen(core, batches[-20:])
    ruleset = parse(rules)
    program, hits = compile_set(ruleset), np.zeros(len(ruleset.rules) + 1, np.uint8)
    _evaluate_all(program, columns[:1], hits)
    evaluating = min(_cpu(lambda: _evaluate_all(program, columns, hits)) for _ in range(5))
    counts = core.counters()
    started = time.process_time()
    dumped = sum(len(payload) for _, payload in core.dump(whole=True))
    dump_s = time.process_time() - started
    return {
        "cards": len(core.store),
        "rules": len(ruleset.rules),
        "apply_per_s": round(per_round * BATCH / min(times)),
        "apply_per_s_of_each_round": [round(per_round * BATCH / seconds) for seconds in times],
        "evaluate_only_per_s": round(len(columns) / evaluating),
        "bytes_per_card": round(bytes_per_card, 1),
        "load_s": round(load_s, 2),
        "dump_mb_per_s": round(dumped / dump_s / 1e6),
        "warm_up_s": round(compiling, 2),
        "outputs_per_transaction": round(outputs / (per_round * rounds * BATCH), 3),
        "counters": {name: value for name, value in counts.items() if not name.startswith(("rule_", "shadow_"))},
    }


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cards", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Cards with a history.")
@click.option(
    "--rules", default="seed", show_default=True, metavar="NAME|FILE", help="Rule set: seed, default, a file."
)
@click.option("--transactions", type=click.IntRange(BATCH), default=200_000, show_default=True, help="In each round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="The fastest is reported.")
@click.option("--json", "json_to", metavar="FILE", help="Write JSON to FILE, `-` for standard output, not a table.")
def main(cards: int, rules: str, transactions: int, rounds: int, json_to: str | None) -> None:
    """Measure and print."""
    try:
        text = read_set(rules).text
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    figures = {"machine": platform.processor() or platform.machine(), **measure(cards, text, transactions, rounds)}
    if json_to is None:
        for name, about in ABOUT.items():
            click.echo(f"{figures[name]:>14,}  {about}")
    elif json_to == "-":
        click.echo(json.dumps(figures))
    else:
        Path(json_to).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
