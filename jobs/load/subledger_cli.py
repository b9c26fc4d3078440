"""python -m jobs.load subledger: options of the ledger generator, and what it wrote."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from florin_io.objects import ObjectStoreError
from jobs.load.subledger import COMPRESSIONS, Made, Order, Progress, make
from jobs.load.terminal import guarded
from jobs.slow import COMPILING, told_if_slow
from transforms.subledger_simulate import Mix, World, warm_up


@click.command(
    help="""Write simulated ledger files: orders filled in many like rows, skewed instruments, several currencies,
    errors, duplicates, late rows, cancels and corrections, revaluations at the end of each month.

    Each request gets compressed CSV files, the closing balances its books must show, and a manifest.json with all
    counts, which `python -m jobs.subledger submit --manifest` takes. The same options write the same bytes; what is
    there already is kept.

    Exit codes: 0 written, 2 wrong options or other files in the place, 3 the object store cannot be reached, 130
    interrupted.
    """
)
@click.option("--out", required=True, metavar="DIR", help="A folder, or gs://bucket/prefix.")
@click.option("--entries", type=click.IntRange(min=1), default=1_000_000, show_default=True,
              help="Rows of each request.")  # fmt: skip
@click.option("--entity", "entities", multiple=True, default=("acme/ACME-EQ",), show_default=True,
              metavar="TENANT/ENTITY[/BASE[/LOTS]]",
              help="Whose books (repeatable); BASE is USD, EUR or GBP, LOTS FIFO or AVERAGE. [/USD/FIFO]")  # fmt: skip
@click.option("--requests", type=click.IntRange(1, 12), default=1, show_default=True,
              help="Requests per entity, one after the other in time.")  # fmt: skip
@click.option("--files", type=click.IntRange(1, 1000), default=4, show_default=True, help="Files of each request.")
@click.option("--compression", type=click.Choice(list(COMPRESSIONS)), default="zstd-frames", show_default=True,
              help="zstd-frames has an index and is read by many at once.")  # fmt: skip
@click.option("--level", type=click.IntRange(1, 19), default=3, show_default=True, help="Level of zstd.")
@click.option("--start", default=World.start, show_default=True, metavar="MONTH",
              help="First open period; the month before it is closed.")  # fmt: skip
@click.option("--months", type=click.IntRange(1, 24), default=World.months, show_default=True, help="Open periods.")
@click.option("--instruments", type=click.IntRange(min=1), default=World.instruments, show_default=True,
              help="Instruments.")  # fmt: skip
@click.option("--skew", type=click.FloatRange(0, 3), default=World.skew, show_default=True,
              help="How unevenly instruments are used: Zipf's exponent; 0: all alike.")  # fmt: skip
@click.option("--errors", type=float, default=Mix.errors, show_default=True, help="Share of rows to be rejected.")
@click.option(
    "--duplicates", type=float, default=Mix.duplicates, show_default=True, help="Share of rows that come twice."
)
@click.option("--late", type=float, default=Mix.late, show_default=True, help="Share of rows of the closed period.")
@click.option("--cancels", type=float, default=Mix.cancels, show_default=True, help="Share of CANCEL and CORRECT rows.")
@click.option("--fees", type=float, default=Mix.fees, show_default=True, help="Share of orders with a fee.")
@click.option("--fills", type=float, default=Mix.fills, show_default=True,
              help="Like rows of an average order: repetition, so how well files compress.")  # fmt: skip
@click.option("--source", default="ledger", show_default=True, help="Source named in the manifest.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=World.seed, show_default=True, help="Same seed, same bytes."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on one line.")
def subledger(
    out: str, entries: int, entities: tuple[str, ...], requests: int, files: int, compression: str, level: int,
    start: str, months: int, instruments: int, skew: float, errors: float, duplicates: float, late: float,
    cancels: float, fees: float, fills: float, source: str, seed: int, as_json: bool,
) -> None:  # fmt: skip
    try:
        worlds = tuple(_world(text, start, months, instruments, skew, seed) for text in entities)
        mix = Mix(errors, duplicates, late, cancels, fees, fills)
        place = out if "://" in out else str(Path(out).absolute())
        order = Order(place, worlds, mix, entries, requests, min(files, entries), compression, level, source)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        made = guarded(lambda progress, stop: _make(order, progress, stop))
    except ObjectStoreError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(3)
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        click.echo(json.dumps([{"manifest": one.manifest, "kept": one.kept, **one.told} for one in made]))
    else:
        _show(made, Console(highlight=False))


def _make(order: Order, progress: Callable[[Progress], None], stop: threading.Event) -> list[Made]:
    with told_if_slow(lambda: click.echo(COMPILING, err=True)):
        warm_up()
    return make(order, progress, stop)


def _world(text: str, start: str, months: int, instruments: int, skew: float, seed: int) -> tuple[str, World]:
    parts = text.split("/")
    if not 2 <= len(parts) <= 4 or not all(parts):
        raise ValueError(f"--entity is TENANT/ENTITY[/BASE[/LOTS]] as acme/ACME-EQ/USD/FIFO, got {text!r}")
    tenant, entity, base, lots = (*parts, *("USD", "FIFO")[len(parts) - 2 :])
    return tenant, World(entity, base, lots, start, months, instruments, skew, seed)


def _show(made: list[Made], console: Console) -> None:
    for one in made:
        told, totals = one.told, one.told["totals"]
        size = sum(file["size"] for file in told["files"])
        console.print(
            f"{'kept' if one.kept else 'wrote'} {one.manifest}\n"
            f"  {totals['rows']:,} rows in {len(told['files'])} files, {size / 1e6:,.1f} MB {told['compression']}; "
            f"{totals['posted']:,} to be posted as {totals['entries']:,} entries with {totals['lines']:,} lines, "
            f"{totals['rejected']:,} rejected, {totals['duplicates']:,} duplicates",
            soft_wrap=True,
        )
