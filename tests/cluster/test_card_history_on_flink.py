"""The loader of card histories as a bounded job on Flink: simulated and from files, the same as on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Florin
from transforms.cards.simulate import Population, Simulator

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def digest(florin: Florin, out: Path, *options: str) -> str:
    """Load, and tell what the manifest calls the contents."""
    florin.run("jobs.card_history", "--out", str(out), "--partitions", "2", *options)
    return str(json.loads((out / "manifest.json").read_text())["digest"])


def test_simulated_histories_are_the_same_on_flink(florin: Florin, tmp_path: Path) -> None:
    options = ("--cards", "20000", "--seed", "11")
    here = digest(florin, tmp_path / "here", *options, "--runner", "DirectRunner")
    assert digest(florin, tmp_path / "flink", *options, "--job-name", "history-a") == here


def test_records_from_files_are_grouped_the_same_on_flink(florin: Florin, tmp_path: Path) -> None:
    simulator = Simulator(Population(cards=500, seed=11))
    for number in range(4):
        (tmp_path / f"past-{number}.packets").write_bytes(simulator.take(10_000).packets.tobytes())
    options = ("--packets", str(tmp_path / "past-*.packets"))
    here = digest(florin, tmp_path / "here", *options, "--runner", "DirectRunner")
    assert digest(florin, tmp_path / "flink", *options, "--job-name", "history-b") == here
    florin.run("jobs.card_history", "--out", str(tmp_path / "flink"), "--verify")
