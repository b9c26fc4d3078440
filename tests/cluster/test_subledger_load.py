"""Whole loads on Flink, PostgreSQL and the object store: published as the generator counts them, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from florin_io.objects import ObjectExists, ObjectStore
from jobs.subledger import load
from tests.cluster.ledger_loads import LEDGER, TENANT, Loads
from tests.conftest import Florin
from transforms.subledger_db.model import Fenced
from transforms.subledger_load.graph import LoadLedger
from transforms.subledger_simulate import HEADER

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]


@pytest.fixture(scope="module")
def loads(florin: Florin, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return Loads.on(florin, "subledger_loads", tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def january(loads: Loads) -> dict[str, Any]:
    """A request in frames and one after it as gzip, of one entity; the first is published."""
    loads.entity("fund")
    first, second = loads.make("fund", 60_000, "--requests", "2")
    number = loads.submit({"manifest": first["url"]}, "january")
    assert loads.load(number).state == "PUBLISHED"
    return {"first": first, "second": second, "number": number}


def test_a_load_is_published_as_the_generator_counts_it(loads: Loads, january: dict[str, Any]) -> None:
    loads.check_published(january["number"], january["first"]["totals"])
    copies = loads.store.listing(f"gs://florin-audit/tests/{TENANT}/fund/")
    kept = sorted(copy.url.split("/")[-2] for copy in copies)
    assert kept == sorted(file["sha256"] for file in january["first"]["files"])
    for copy in copies:
        assert hashlib.sha256(loads.store.read(copy.url)).hexdigest() in copy.url


def test_the_next_request_goes_on_from_the_books(loads: Loads, january: dict[str, Any]) -> None:
    """Its supplied balances are those of both requests; its sells take lots that the first one bought."""
    number = loads.submit({"manifest": january["second"]["url"]}, "february")
    assert loads.load(number, parallelism=1, connections=1).state == "PUBLISHED"
    loads.check_published(number, january["second"]["totals"])


def test_rows_that_are_in_the_books_are_duplicates(loads: Loads, january: dict[str, Any]) -> None:
    name = january["first"]["files"][0]["name"]
    (found,) = (one for one in loads.store.listing(f"{LEDGER}/fund/") if one.url.endswith(f"/request-1/{name}"))
    number = loads.submit({"tenant": TENANT, "entity": "fund", "files": [found.url]}, "again")
    assert loads.load(number).state == "PUBLISHED"
    counts = loads.counts(number)
    # What was rejected is no event yet: a sell, say, may find something to sell now.
    assert counts["entries"] <= january["first"]["totals"]["rejected"]
    assert counts["duplicates"] > 0.98 * january["first"]["files"][0]["rows"]


@pytest.mark.long
def test_two_entities_side_by_side(loads: Loads) -> None:
    made = {}
    for name in ("left", "right"):
        loads.entity(name)
        (told,) = loads.make(name, 20_000, "--compression", "gzip")
        made[loads.submit({"manifest": told["url"]}, name)] = told
    threads = [threading.Thread(target=loads.load, args=(number,), kwargs={"parallelism": 1}) for number in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, told in made.items():
        loads.check_published(number, told["totals"])


@pytest.mark.long
def test_without_a_cluster_several_processes_share_a_load(loads: Loads) -> None:
    loads.entity("direct")
    (told,) = loads.make("direct", 20_000)
    number = loads.submit({"manifest": told["url"]}, "direct")
    assert loads.load(number, runner="DirectRunner", parallelism=2, connections=2).state == "PUBLISHED"
    loads.check_published(number, told["totals"])


LINE = b"%d,1,INCOME,%s,2026-01-05,,EQ001,EQ1,,,USD,10.00,,,,\n"


def lines(entity: str, count: int = 500) -> bytes:
    return b"".join(LINE % (number, entity.encode()) for number in range(count))


@pytest.fixture
def alone(loads: Loads, request: pytest.FixtureRequest) -> str:
    """An entity of the test's own."""
    name = f"alone-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    loads.entity(name)
    return name


def bad(what: str, text: bytes) -> tuple[bytes, dict[str, Any], str]:
    """Content, what the request says of it beside the name, and the message."""
    packed = gzip.compress(text)
    if what == "truncated":
        return packed[:-20], {}, "is truncated: its data end at byte"
    if what == "corrupt":
        return packed[:200] + bytes(40) + packed[240:], {}, "is corrupt at or before byte"
    if what == "empty":
        return b"", {}, "is empty"
    if what == "wrong header":
        return gzip.compress(text.replace(b"trade_date", b"tradedate", 1)), {}, "missing: 'trade_date'"
    if what == "wrong sha":
        return packed, {"sha256": "0" * 64}, "it is another file"
    if what == "wrong rows":
        return packed, {"rows": 7}, "the request says 7"
    return packed, {}, "rows are rejected"


@pytest.mark.parametrize(
    "what", ["truncated", "corrupt", "empty", "wrong header", "wrong sha", "wrong rows", "too many rejects"]
)
def test_bad_input_fails_the_request_and_nothing_is_published(
    loads: Loads, alone: str, what: str, tmp_path: Path
) -> None:
    entity = "another" if what == "too many rejects" else alone
    content, says, told = bad(what, HEADER + lines(entity))
    path = tmp_path / "ledger.csv.gz"
    path.write_bytes(content)
    number = loads.submit({"tenant": TENANT, "entity": alone, "files": [str(path)]}, alone)
    with loads.connect() as connection:
        row = connection.execute("SELECT files FROM request WHERE request_id = %s", (number,)).fetchone()
    assert row is not None
    begun = loads.begin(number)
    outcome = run_in_process(loads, number, begun.attempt, {**begun.files[0], "sha256": None, "size": None, **says})
    assert outcome.state == "FAILED"
    assert told in outcome.message
    assert str(path) in outcome.message or "reject" in outcome.message
    counts = loads.counts(number)
    assert counts["entries"] == counts["lines"] == counts["balances"] == 0
    assert counts["rejected"] == (500 if what == "too many rejects" else 0)
    loads.check_clean(number)


def run_in_process(loads: Loads, number: int, attempt: int, file: dict[str, Any]) -> load.Outcome:
    """A load without a cluster, of a file that the request describes so."""
    import json

    with loads.connect() as connection:
        connection.execute("UPDATE request SET files = %s WHERE request_id = %s", (json.dumps([file]), number))
    return load.run(number, attempt, loads.options(runner="DirectRunner", parallelism=1))


def test_supplied_balances_that_differ_fail_the_request(loads: Loads, alone: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_bytes(HEADER + lines(alone))
    right = "account,currency,amount,accounted\n1300,USD,5000.00,5000.00\n4000,USD,-5000.00,-5000.00\n"
    for key, supplied, state in (("wrong", right.replace("5000", "4999", 1), "FAILED"), ("right", right, "PUBLISHED")):
        (tmp_path / f"{key}.csv").write_text(supplied)
        told = {"tenant": TENANT, "entity": alone, "files": [str(tmp_path / "ledger.csv")]}
        number = loads.submit({**told, "supplied": str(tmp_path / f"{key}.csv")}, f"{alone}-{key}")
        outcome = load.run(number, loads.begin(number).attempt, loads.options(runner="DirectRunner", parallelism=1))
        assert (key, outcome.state) == (key, state), outcome.message
        if state == "FAILED":
            assert "balance supplied 1300 USD: expected 4999.0000, found 5000.0000" in outcome.message
        assert loads.counts(number)["entries"] == (500 if state == "PUBLISHED" else 0)


def test_a_zombie_publishes_nothing(loads: Loads, alone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that is overtaken while it works: its successor's rows are the only ones."""
    (tmp_path / "ledger.csv").write_bytes(HEADER + lines(alone))
    number = loads.submit({"tenant": TENANT, "entity": alone, "files": [str(tmp_path / "ledger.csv")]}, alone)
    first = loads.begin(number)
    expand = LoadLedger.expand

    def overtaken(self: LoadLedger, pipeline: Any) -> Any:
        loads.begin(number)
        return expand(self, pipeline)

    options = loads.options(runner="DirectRunner", parallelism=1)
    with monkeypatch.context() as patch:
        patch.setattr(LoadLedger, "expand", overtaken)
        with pytest.raises(Fenced):
            load.run(number, first.attempt, options)
    assert loads.state(number) == "RUNNING"
    assert loads.counts(number)["entries"] == 0
    assert load.run(number, first.attempt + 1, options).state == "PUBLISHED"
    assert loads.counts(number)["entries"] == 500
    with pytest.raises(Fenced):
        load.run(number, first.attempt, options)


def test_a_store_that_is_away_is_no_fault_of_the_request(
    loads: Loads, alone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectStore.__init__, "__defaults__", (None, 0.3))
    path = f"{LEDGER}/away/ledger.csv"
    loads.store.upload(HEADER + lines(alone), path)
    number = loads.submit({"tenant": TENANT, "entity": alone, "files": [path]}, alone)
    attempt = loads.begin(number).attempt
    options = loads.options(runner="DirectRunner", parallelism=1)
    with pytest.raises(load.LoadFailed, match="127.0.0.1:1 cannot be used"):
        load.run(number, attempt, loads.options(runner="DirectRunner", parallelism=1, objects="http://127.0.0.1:1"))
    assert loads.state(number) == "RUNNING"
    assert load.run(number, attempt, options).state == "PUBLISHED"


def test_the_object_store_replaces_nothing(loads: Loads) -> None:
    for size in (10, 12_000_000):
        url = f"gs://florin-audit/tests/once-{size}"
        assert loads.store.upload(b"a" * size, url)
        assert not loads.store.upload(b"a" * size, url)
        with pytest.raises(ObjectExists):
            loads.store.upload(b"b" * size, url)
        assert loads.store.read(url, 3, 2) == b"aa"
        assert loads.store.find(url).size == size
