"""The ledger generator: what it says its rows come to is what the plain model makes of them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from florin_io.frames import Index
from jobs.load.subledger import Order, make
from tests.unit.subledger.plain import Plain
from tests.unit.subledger.real import Real
from transforms.subledger_simulate import HEADER, Mix, Simulator, World

pytestmark = pytest.mark.unit

BUSY = Mix(errors=0.02, duplicates=0.02, late=0.02, cancels=0.05, fees=0.3, fills=3)


def text_of(simulator: Simulator, rows: int, part: int = 1, parts: int = 1) -> bytes:
    return HEADER + b"".join(bytes(simulator.lines(block)) for block in simulator.rows(rows, part, parts))


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


@pytest.mark.parametrize(("base", "lots"), [("USD", "FIFO"), ("EUR", "AVERAGE"), ("GBP", "FIFO")])
def test_counts_and_closing_balances_are_those_of_the_plain_model(base: str, lots: str) -> None:
    world = World("FUND-1", base, lots, instruments=40, seed=7)
    simulator = Simulator(world, BUSY)
    books = Plain("FUND-1", base, lots, dict(world.periods()))
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for part in (1, 2):
        rows = rows_of(text_of(simulator, 3_000, part, 2))
        found, told = books.load([rows]), simulator.totals()
        kinds = Counter(kind for *_, kind in found.rejects)
        assert (told.rows, told.posted) == (len(rows), found.posted)
        assert (told.duplicates, sum(told.rejected.values())) == (kinds["DUPLICATE"], kinds["REJECT"])
        assert told.rejected == Counter(column for *_, column, kind in found.rejects if kind == "REJECT")
        assert told.entries == len(found.entries)
        assert told.lines == sum(len(entry.lines) for entry in found.entries)
        for entry in found.entries:
            for line in entry.lines:
                total = sums.setdefault((line.account, line.currency), [Decimal(0), Decimal(0)])
                sign = 1 if line.side == "D" else -1
                total[0] += sign * line.amount
                total[1] += sign * line.accounted
        balances = {
            (one.account, one.currency): [Decimal(one.amount), Decimal(one.accounted)] for one in simulator.balances()
        }
        assert balances == sums


@pytest.mark.parametrize(("base", "lots"), [("USD", "FIFO"), ("EUR", "AVERAGE")])
def test_the_core_makes_of_them_what_the_generator_says(base: str, lots: str) -> None:
    world = World("FUND-1", base, lots, instruments=60, seed=11)
    simulator = Simulator(world, BUSY)
    books = Real("FUND-1", base, lots, dict(world.periods()), batch=700)
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for part in (1, 2, 3):
        header, _, data = text_of(simulator, 4_000, part, 3).partition(b"\n")
        found, told = books.load_texts([(header + b"\n", data)]), simulator.totals()
        kinds = Counter(reject.rsplit(" ", 2)[1] for reject in found.rejects if reject.endswith("REJECT"))
        assert told.rejected == kinds
        assert told.duplicates == sum(reject.endswith("DUPLICATE") for reject in found.rejects)
        assert told.entries == sum(map(len, found.entries.values()))
        for text in found.balances:
            _, account, currency, _, debit, credit, _, accounted_debit, accounted_credit = text.split(" ")
            total = sums.setdefault((account, currency), [Decimal(0), Decimal(0)])
            total[0] += Decimal(debit) - Decimal(credit)
            total[1] += Decimal(accounted_debit) - Decimal(accounted_credit)
        wanted = {
            (one.account, one.currency): [Decimal(one.amount), Decimal(one.accounted)] for one in simulator.balances()
        }
        assert sums == wanted


def test_every_kind_of_row_and_of_defect_comes_up() -> None:
    world = World(instruments=40)
    simulator = Simulator(world, BUSY)
    rows = rows_of(text_of(simulator, 20_000))
    classes = Counter(row["event_class"] for row in rows)
    assert set(classes) >= {"BUY", "SELL", "INCOME", "FEE", "FX", "SETTLE", "REVALUE", "CANCEL", "CORRECT"}
    assert set(simulator.totals().rejected) == {
        "trade_date", "event_class", "amount", "currency", "fx_rate", "account_ref", "entity", "quantity", "reference",
        "version",
    }  # fmt: skip
    assert any(row["trade_date"].startswith("2025-12") for row in rows), "late rows"


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first, again, other = (text_of(Simulator(World(seed=seed)), 5_000) for seed in (3, 3, 4))
    assert first == again != other


def test_instruments_are_as_skewed_as_asked_for() -> None:
    def share(skew: float) -> float:
        rows = rows_of(text_of(Simulator(World(skew=skew, instruments=500), Mix(fills=1)), 20_000))
        counts = Counter(row["instrument"] for row in rows if row["instrument"])
        return counts.most_common(1)[0][1] / counts.total()

    assert share(0) < 0.01 < 0.1 < share(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "JPY"}, "base currency"), ({"lots": "LIFO"}, "FIFO or AVERAGE"), ({"start": "soon"}, "2026-01"),
        ({"instruments": 0}, "instruments"), ({"months": 0}, "months"),
    ],
)  # fmt: skip
def test_a_world_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(**options)  # type: ignore[arg-type]


def test_shares_beyond_what_can_be_are_refused() -> None:
    with pytest.raises(ValueError, match="share of errors"):
        Mix(errors=0.5)


def order(folder: Path, **options: object) -> Order:
    told = {"entries": 4_000, "files": 3} | options
    return Order(str(folder), (("acme", World(instruments=50)),), BUSY, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize("compression", ["zstd-frames", "zstd", "gzip"])
def test_files_hold_what_the_manifest_says(tmp_path: Path, compression: str) -> None:
    [made] = make(order(tmp_path, compression=compression), lambda _: None, threading.Event())
    folder = Path(made.manifest).parent
    assert json.loads(Path(made.manifest).read_text()) == made.told
    rows = 0
    for told in made.told["files"]:
        packed = (folder / told["name"]).read_bytes()
        assert (len(packed), hashlib.sha256(packed).hexdigest()) == (told["size"], told["sha256"])
        if compression == "gzip":
            text = gzip.decompress(packed)
        else:
            text = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(packed)
        assert len(rows_of(text)) == told["rows"]
        rows += told["rows"]
        if compression == "zstd-frames":
            index = Index.from_json((folder / f"{told['name']}.idx").read_text(), told["name"], len(packed))
            assert index.rows == told["rows"]
    assert rows == made.told["totals"]["rows"] == 4_000
    balances = (folder / "balances.csv").read_bytes()
    assert hashlib.sha256(balances).hexdigest() == made.told["balances"]["sha256"]
    assert balances.startswith(b"account,currency,amount,accounted\n")


def test_rows_of_a_request_do_not_depend_on_how_many_files_hold_them(tmp_path: Path) -> None:
    def text(files: int) -> list[dict[str, str]]:
        [made] = make(order(tmp_path / str(files), files=files, compression="gzip"), lambda _: None, threading.Event())
        folder = Path(made.manifest).parent
        packed = [(folder / told["name"]).read_bytes() for told in made.told["files"]]
        return [row for one in packed for row in rows_of(gzip.decompress(one))]

    assert text(1) == text(5)


def test_what_is_there_is_kept_and_another_order_is_refused(tmp_path: Path) -> None:
    [first] = make(order(tmp_path), lambda _: None, threading.Event())
    [again] = make(order(tmp_path), lambda _: None, threading.Event())
    assert (first.kept, again.kept) == (False, True)
    assert first.told == again.told
    with pytest.raises(ValueError, match="another simulation"):
        make(order(tmp_path, entries=5_000), lambda _: None, threading.Event())


def test_an_interrupted_request_has_no_manifest(tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        make(order(tmp_path), lambda _: stop.set(), stop)
    assert not list(tmp_path.rglob("manifest.json"))
    [made] = make(order(tmp_path), lambda _: None, threading.Event())
    assert not made.kept


def test_the_default_mix_compresses_ten_to_one() -> None:
    text = text_of(Simulator(World()), 100_000)
    assert len(text) / len(pa.compress(text, codec="zstd", asbytes=True)) > 10
