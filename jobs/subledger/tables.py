"""Tables on a terminal that are as wide as what they show: figures are there to be compared, and ids to be copied."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(
    title: str, names: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: Collection[str] = (),
    total: Sequence[str] | None = None, note: str = "", out: Path | None = None,
) -> None:  # fmt: skip
    """Rows under their columns' names; those named in `right` stand to the right. `total` is set off below."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right" if name in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    if total is not None:
        table.add_section()
        table.add_row(*map(Text, total))
    needed = Console(width=10_000).measure(table).maximum
    with out.open("w", encoding="utf-8") if out else nullcontext(sys.stdout) as file:
        console = Console(highlight=False, width=max(Console().width, needed), file=file)
        console.print(table)
        if note:
            console.print(note)
