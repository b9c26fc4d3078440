"""The loader as a user runs it, on this machine: simulated, from files, twice, interrupted, over other histories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner, Result

from florin_io.folder import Folder
from jobs import card_history
from transforms.cards.history_files import MANIFEST, FileHistory, read_manifest
from transforms.cards.history_tables import COLUMNS
from transforms.cards.packed import text_of
from transforms.cards.simulate import Mix, Population, Simulator

pytestmark = pytest.mark.unit

SIMULATED = ["--cards", "400", "--partitions", "2"]


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes of the direct runner take seconds to start; one test below has them."""

    def run(transform: beam.PTransform, *_: Any) -> None:
        with beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner"])) as pipeline:
            _ = pipeline | "Histories" >> transform

    monkeypatch.setattr(card_history, "_run", run)


def load(out: Path, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(card_history.main, ["--out", str(out), "--runner", "DirectRunner", *options])
    assert result.exit_code == code, result.output
    return result


def told(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout.splitlines()[-1]))


def texts(out: Path, partitions: int) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for partition in range(partitions):
        history = FileHistory(Folder(str(out)), partition, partitions)
        for cell in range(1, 64):
            cards, counts, items = history.read(cell)
            rows = history.texts(cell)
            for card, count, some in zip(cards, counts, items, strict=True):
                found[int(card)] = [text_of(int(card), item, rows) for item in some[:count]]
    return found


def past(count: int = 3_000) -> list[bytes]:
    """Transactions of 100 cards as texts, in the order of the input."""
    taken = Simulator(Population(cards=100, seed=3), Mix(duplicates=0, late=0.2)).take(count)
    return [packet.tobytes()[:99].rstrip(b"\0") for packet in taken.packets]


def last_20(lines: list[bytes]) -> dict[int, list[bytes]]:
    wanted: dict[int, list[bytes]] = {}
    for line in sorted(lines, key=lambda line: int(line.split(b",")[1])):
        wanted.setdefault(int(line[:14]), []).append(line)
    return {card: some[-20:] for card, some in wanted.items()}


def write_csv(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"\n".join([",".join(COLUMNS).encode(), *lines]) + b"\n")


def test_simulated_histories_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    first, second = told(load(tmp_path / "a", *SIMULATED, "--json")), told(load(tmp_path / "b", *SIMULATED, "--json"))
    assert first["digest"] == second["digest"]
    assert first["cards"] > 390
    assert first["what"] == "loaded"
    other = told(load(tmp_path / "c", *SIMULATED, "--seed", "2", "--json"))
    assert other["digest"] != first["digest"]


def test_running_it_again_checks_and_keeps_what_is_there(tmp_path: Path) -> None:
    first = told(load(tmp_path, *SIMULATED, "--json"))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    again = told(load(tmp_path, *SIMULATED, "--json"))
    assert again["what"] == "there already, verified"
    assert again["digest"] == first["digest"]
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}


def test_what_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    first = told(load(tmp_path, *SIMULATED, "--json"))
    (tmp_path / MANIFEST).unlink()
    next(tmp_path.rglob("*.arrow")).write_bytes(b"half")
    assert told(load(tmp_path, *SIMULATED, "--json"))["digest"] == first["digest"]
    assert "verified" in load(tmp_path, "--verify").output


def test_other_histories_are_replaced_only_when_asked(tmp_path: Path) -> None:
    load(tmp_path, *SIMULATED)
    output = load(tmp_path, "--cards", "50", "--partitions", "3", code=4).output
    assert "holds other histories" in output
    assert "--overwrite" in output
    load(tmp_path, "--cards", "50", "--partitions", "3", "--overwrite")
    assert read_manifest(Folder(str(tmp_path)), 3).cards <= 50
    assert len(list(tmp_path.rglob("*.arrow"))) == len(read_manifest(Folder(str(tmp_path))).files)


def test_a_damaged_file_is_found_by_verify_and_by_loading_again(tmp_path: Path) -> None:
    load(tmp_path, *SIMULATED)
    path = next(tmp_path.rglob("*.arrow"))
    path.write_bytes(path.read_bytes()[:-8])
    assert path.name in load(tmp_path, "--verify", code=4).output
    assert path.name in load(tmp_path, *SIMULATED, code=4).output
    load(tmp_path, *SIMULATED, "--overwrite")
    load(tmp_path, "--verify")


def test_csv_files_give_the_last_20_of_each_card_wherever_they_stand(tmp_path: Path) -> None:
    lines = past()
    for number in range(3):
        write_csv(tmp_path / f"past-{number}.csv", lines[number * 1_000 : (number + 1) * 1_000])
    load(tmp_path / "out", "--csv", str(tmp_path / "past-*.csv"), "--partitions", "3")
    assert texts(tmp_path / "out", 3) == last_20(lines)


def test_parquet_with_numbers_and_packets_give_the_same_histories_as_csv(tmp_path: Path) -> None:
    lines = [line for line in past() if b"W" not in line and len(line.split(b",")[-1]) == 5]
    write_csv(tmp_path / "past.csv", lines)
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(tmp_path / "past.csv"), tmp_path / "past.parquet")
    (tmp_path / "past.packets").write_bytes(b"".join(line.ljust(99, b"\0") + b"\n" for line in lines))
    digests = {
        told(load(tmp_path / form, f"--{form}", str(tmp_path / f"past.{form}"), "--json"))["digest"]
        for form in ("csv", "parquet", "packets")
    }
    assert len(digests) == 1
    assert texts(tmp_path / "parquet", 4) == last_20(lines)


def test_blocks_do_not_change_the_histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "past.csv", past())
    whole = told(load(tmp_path / "a", "--csv", str(tmp_path / "past.csv"), "--json"))["digest"]
    monkeypatch.setattr("florin_io.tables.BLOCK_BYTES", 5_000)
    monkeypatch.setattr("transforms.card_history._ROWS_AT_ONCE", 100)
    assert told(load(tmp_path / "b", "--csv", str(tmp_path / "past.csv"), "--json"))["digest"] == whole


def test_bad_rows_are_counted_and_kept_with_their_reasons(tmp_path: Path) -> None:
    lines = past(50)
    write_csv(tmp_path / "past.csv", [*lines, b"12,not,a,transaction,at,all,0,0,0", b"1,2,3"])
    result = load(tmp_path / "out", "--csv", str(tmp_path / "past.csv"))
    assert "2 records were not taken" in result.output
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects/file-00000.jsonl").read_text().splitlines()]
    assert sorted(reject["reason"] for reject in rejects) == [
        "3 fields where 9 are expected", "the card is not 14 digits"]  # fmt: skip
    assert texts(tmp_path / "out", 4) == last_20(lines)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "give --cards"),
        (["--cards", "10", "--csv", "{}/past.csv"], 2, "give --cards"),
        (["--csv", "{}/nothing*.csv"], 4, "there is no such file"),
        (["--parquet", "{}/past.csv"], 4, "is no Parquet file"),
        (["--packets", "{}/past.csv"], 4, "is not whole records of 100 bytes"),
        (["--csv", "{}/other.csv"], 4, "has no column"),
        (["--cards", "10", "--start", "soon"], 2, "--start takes a date"),
        (["--cards", "10", "--per-day", "0"], 2, "transactions per day"),
        (["--verify"], 4, "no manifest.json"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, options: list[str], code: int, said: str) -> None:
    write_csv(tmp_path / "past.csv", past(3))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert said in load(tmp_path / "out", *(part.format(tmp_path) for part in options), code=code).output


def test_it_runs_in_worker_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write_csv(tmp_path / "past.csv", past(200))
    result = load(tmp_path / "out", "--csv", str(tmp_path / "past.csv"), "--json")
    assert told(result)["transactions"] == sum(len(some) for some in last_20(past(200)).values())


def test_the_sizes_in_the_manifest_add_up(tmp_path: Path) -> None:
    load(tmp_path, *SIMULATED)
    manifest = read_manifest(Folder(str(tmp_path)))
    assert manifest.size == sum(path.stat().st_size for path in tmp_path.rglob("*.arrow"))
    assert manifest.items == sum(len(some) for some in texts(tmp_path, 2).values())
    assert np.all([entry.cards > 0 for entry in manifest.files])
