"""Drawings are of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import plots

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "figure"),
    [("transfer", "transfers_per_s"), ("cards", "transactions_per_s"), ("subledger", "ceiling_per_s")],
)
def test_what_is_in_the_docs_can_be_drawn_again(name: str, figure: str, tmp_path: Path) -> None:
    source = plots.MEASURED / f"{name}.json"
    drawn = plots.draw(source, tmp_path).read_bytes()
    assert f"{json.loads(source.read_text())[figure]:,.0f}" in drawn.decode()
    assert plots.draw(source, tmp_path).read_bytes() == drawn


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON"])
def test_what_no_benchmark_wrote_is_a_clear_error(text: str, tmp_path: Path) -> None:
    source = tmp_path / "other.json"
    source.write_text(text)
    told = CliRunner().invoke(plots.main, [str(source), f"--to={tmp_path}"])
    assert told.exit_code == 2
    assert f"{source} is not what bench.transfer, bench.cards or bench.subledger writes" in " ".join(
        told.output.replace("│", " ").split()
    )
