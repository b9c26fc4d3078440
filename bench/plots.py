"""Drawings of what the benchmarks measured, from the JSON that they wrote.

    python -m bench.plots                                  docs/measured/*.json -> docs/measured/*.svg
    python -m bench.plots --to=/tmp my.json other.json     of other measurements

Which benchmark wrote a file shows in its figures. The same JSON gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import number

Figures = dict[str, Any]
MEASURED = Path(__file__).parent.parent / "docs" / "measured"
_LEAST_SHARE = 0.005
"""Of the CPU time: processes with less are not drawn."""


def bars(axes: Axes, title: str, values: dict[str, float], unit: str) -> None:
    """One bar a value, with its number."""
    drawn = axes.barh(list(values), list(values.values()), color="C0")
    axes.bar_label(drawn, [number(value) for value in values.values()], padding=3)
    axes.set(title=title, xlabel=unit, xlim=(0, 1.25 * max(values.values())))
    axes.invert_yaxis()


def cpu(axes: Axes, used: dict[str, float], unit: str) -> None:
    """CPU time in µs by process, the largest first."""
    whole = sum(used.values())
    shown = {name: part for name, part in sorted(used.items(), key=lambda one: -one[1]) if part > _LEAST_SHARE * whole}
    bars(axes, f"CPU time per {unit}: {whole:.3g} µs", shown, "µs")


def transfer(figures: Figures, axes: list[Axes]) -> None:
    """bench.transfer."""
    rates = {
        "8 DFSPs": figures["transfers_per_s"], "no-op job": figures["noop_per_s"],
        "two DFSPs": figures["hot_pair_per_s"], "with read model": figures["with_read_model_per_s"],
    }  # fmt: skip
    bars(axes[0], "complete transfers", rates, "a second")
    times = {
        f"{what} {share}": figures[f"{key}{share}_ms_at_1000"]
        for what, key in (("reserved", ""), ("committed", "committed_"))
        for share in ("p50", "p99")
    }
    bars(axes[1], "latency at 1,000/s", times, "ms from the append of the prepare")
    cpu(axes[2], {name: s * 1e6 for name, s in figures["cpu_s_per_transfer_by_process"].items()}, "transfer")


def cards(figures: Figures, axes: list[Axes]) -> None:
    """bench.cards."""
    rates = {
        "two workers": figures["transactions_per_s"], "no-op job": figures["noop_per_s"],
        "one worker": figures["transactions_per_s_1_worker"],
    }  # fmt: skip
    bars(axes[0], "card transactions", rates, "a second")
    times = {
        "p50": figures["p50_ms_at_10000"], "p99": figures["p99_ms_at_10000"],
        "p99 in checkpoints": figures["p99_ms_in_checkpoints"],
        "p99 between them": figures["p99_ms_between_checkpoints"],
    }  # fmt: skip
    bars(axes[1], "latency at 10,000/s", times, "ms from append to verdict")
    cpu(axes[2], figures["cpu_us_per_transaction_by_process"], "transaction")


def subledger(figures: Figures, axes: list[Axes]) -> None:
    """bench.subledger."""
    rates = {
        f"{workers} workers, {connections} connections": rate
        for workers, found in figures["entries_per_s_by_taskmanagers_and_connections"].items()
        for connections, rate in found.items()
    }
    bars(axes[0], "ledger entries", rates | {"plain ceiling": figures["ceiling_per_s"]}, "a second")
    for entries, told in figures["memory_mb_by_entries"].items():
        seconds, resident = zip(*((at, mb) for at, mb, _ in told["samples"]), strict=True)
        axes[1].plot(seconds, resident, label=f"{int(entries):,} entries")
    axes[1].set(title="resident memory of both workers", xlabel="s", ylabel="MB", ylim=0)
    axes[1].legend()
    cpu(axes[2], figures["cpu_us_per_entry_by_process"], "entry")


KINDS: dict[str, Callable[[Figures, list[Axes]], None]] = {
    "transfers_per_s": transfer, "transactions_per_s": cards, "entries_per_s": subledger,
}  # fmt: skip


def draw(source: Path, folder: Path) -> Path:
    """One JSON as an SVG of the same name. Raises click.UsageError if no benchmark of a whole system wrote it."""
    try:
        figures = json.loads(source.read_text(encoding="utf-8"))
        kind = next(KINDS[name] for name in KINDS if name in figures)
    except (OSError, ValueError, TypeError, StopIteration) as error:
        wanted = "bench.transfer, bench.cards or bench.subledger"
        raise click.UsageError(f"{source} is not what {wanted} writes with --json FILE ({error!r})") from error
    with mpl.rc_context({"svg.hashsalt": "florin", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(15, 3.4), layout="constrained")
        kind(figures, list(figure.subplots(1, 3)))
        figure.suptitle(f"{(kind.__doc__ or '').rstrip('.')} on {figures['machine']}")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{source.stem}.svg"
        figure.savefig(target, metadata={"Date": None})
    return target


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default=MEASURED, help="Folder of the SVGs.")
def main(files: tuple[Path, ...], to: Path) -> None:
    """Draw every file."""
    for source in files or sorted(MEASURED.glob("*.json")):
        print(draw(source, to))


if __name__ == "__main__":
    main()
