"""What the benchmarks of whole systems print: tables, or JSON."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

json_option = click.option(
    "--json", "json_to", metavar="FILE", help="Write JSON to FILE, `-` for standard output, instead of a table."
)


def machine() -> str:
    """What was measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def number(value: float) -> str:
    """As people read it: whole from 100 on, three digits below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def deliver(
    figures: dict[str, Any], json_to: str | None, bench: str, about: dict[str, str], unit: str, cpu_us: dict[str, str]
) -> None:
    """Print the figures that `about` explains, and `cpu_us` (text by process) per `unit`; or write all as JSON."""
    if json_to == "-":
        print(json.dumps(figures))
    elif json_to is not None:
        Path(json_to).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    else:
        console = Console(highlight=False)
        table = Table("figure", "value", "meaning", title=f"{bench} on {figures['machine']}")
        for name, meaning in about.items():
            table.add_row(name, number(figures[name]), meaning)
        console.print(table)
        table = Table("process", f"CPU us per {unit}", title=f"Where the CPU time of a {unit} goes")
        for name, used in sorted(cpu_us.items(), key=lambda item: -float(item[1])):
            table.add_row(name, used)
        console.print(table)
