"""Drawings are of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import plots

pytestmark = pytest.mark.unit


LEDGER = {
    "entries_per_s": 112464, "ceiling_per_s": 283281, "machine": "2 cores",
    "entries_per_s_by_taskmanagers_and_connections": {"1": {"1": 83048}, "2": {"4": 112464}},
    "cpu_us_per_entry_by_process": {"workers": 7.1, "postgres": 7.2, "objects": 0.0},
    "memory_mb_by_entries": {"1000000": {"samples": [[0.25, 300.0, 200.0], [0.5, 900.0, 400.0]]}},
}  # fmt: skip


@pytest.mark.parametrize("source", sorted(plots.MEASURED.glob("*.json")), ids=lambda source: source.stem)
def test_what_is_in_the_docs_can_be_drawn_again(source: Path, tmp_path: Path) -> None:
    figures = json.loads(source.read_text())
    target = plots.draw(source, tmp_path)
    drawn = target.read_bytes()
    [rate] = [figures[name] for name in ("transfers_per_s", "transactions_per_s", "entries_per_s") if name in figures]
    assert f"{rate:,.0f}" in drawn.decode()
    assert plots.draw(source, tmp_path).read_bytes() == drawn
    assert target.name in {path.name for path in plots.MEASURED.glob("*.svg")}


def test_loads_are_drawn_beside_their_ceiling(tmp_path: Path) -> None:
    source = tmp_path / "subledger.json"
    source.write_text(json.dumps(LEDGER))
    drawn = plots.draw(source, tmp_path).read_text()
    for text in ("83,048", "112,464", "283,281", "1,000,000 entries", "CPU time per entry"):
        assert text in drawn


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON"])
def test_what_no_benchmark_wrote_is_a_clear_error(text: str, tmp_path: Path) -> None:
    source = tmp_path / "other.json"
    source.write_text(text)
    told = CliRunner().invoke(plots.main, [str(source), f"--to={tmp_path}"])
    assert told.exit_code == 2
    assert f"{source} is not what bench.transfer, bench.cards or bench.subledger writes" in " ".join(
        told.output.replace("│", " ").split()
    )
