"""python -m jobs.load subledger: what it prints, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from florin_io.objects import ObjectStore
from jobs.load.subledger_cli import subledger

pytestmark = pytest.mark.unit


def load(folder: Path | str, *options: str) -> Result:
    return CliRunner().invoke(subledger, [f"--out={folder}", "--entries=500", "--instruments=20", *options])


def test_two_entities_get_a_manifest_each_for_each_request(tmp_path: Path) -> None:
    done = load(tmp_path, "--entity=a/ONE", "--entity=b/TWO/EUR/AVERAGE", "--requests=2", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout.splitlines()[-1])
    assert [(one["tenant"], one["entity"], one["base_currency"], one["lot_method"]) for one in made] == [
        ("a", "ONE", "USD", "FIFO"), ("a", "ONE", "USD", "FIFO"), ("b", "TWO", "EUR", "AVERAGE"),
        ("b", "TWO", "EUR", "AVERAGE"),
    ]  # fmt: skip
    assert [Path(one["manifest"]).relative_to(tmp_path).as_posix() for one in made] == [
        f"{entity}/request-{number}/manifest.json" for entity in ("a/ONE", "b/TWO") for number in (1, 2)
    ]
    assert all(one["totals"]["rows"] == 500 for one in made)


def test_a_second_run_keeps_what_is_there_and_says_so(tmp_path: Path) -> None:
    assert load(tmp_path).stdout.startswith("wrote ")
    assert load(tmp_path).stdout.startswith("kept ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--entity=acme"], "TENANT/ENTITY"), (["--entity=a/b/c/d/e"], "TENANT/ENTITY"),
        (["--entity=a/b/CHF"], "base currency"), (["--entity=a/b/USD/LIFO"], "FIFO or AVERAGE"),
        (["--entity=a/b", "--entity=a/b"], "named twice"), (["--errors=0.9"], "share of errors"),
        (["--start=January"], "2026-01"), (["--compression=lz4"], "lz4"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(tmp_path: Path, options: list[str], told: str) -> None:
    done = load(tmp_path, *options)
    assert done.exit_code == 2
    assert told in done.output
    assert not list(tmp_path.iterdir())


def test_files_of_another_simulation_are_not_replaced(tmp_path: Path) -> None:
    assert load(tmp_path).exit_code == 0
    done = load(tmp_path, "--seed=9")
    assert done.exit_code == 2
    assert "another simulation" in done.output


def test_an_object_store_that_is_away_is_exit_code_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 (discard) answers nowhere.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("jobs.load.subledger.ObjectStore", lambda: ObjectStore(give_up_s=0.1))
    done = load("gs://florin-ledger/nowhere")
    assert done.exit_code == 3
    assert "127.0.0.1:9" in done.output
