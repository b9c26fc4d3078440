"""What a request looks up in the books."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from florin_io.postgres import Connection
from tests.cluster.subledger_books import JANUARY, MARCH, Posting, begin, event, publish_in
from transforms.subledger import fields
from transforms.subledger_db import lookups

pytestmark = pytest.mark.database


def test_openings_are_the_newest_snapshot_of_each_instrument(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a", "XS1"), Posting("b", "XS2")])
    publish_in(db, fund, "two", [Posting("c", "XS1", Decimal("7.25"))])
    third = begin(db, f"{fund} three", entity=fund)
    lots, positions = lookups.opening(db, third, ["XS1", "XS2", "XS9", None])
    assert lots.schema.equals(fields.LOT)
    assert positions.schema.equals(fields.POSITION)
    rows = {row["instrument"]: row for row in positions.to_pylist()}
    assert (rows["XS1"]["quantity"], rows["XS1"]["cost"]) == (20 * 10**8, 1_072_500)
    assert rows["XS2"]["quantity"] == 10 * 10**8
    assert [row["instrument"] for row in lots.to_pylist()] == ["XS1", "XS1", "XS2"]
    assert [table.num_rows for table in lookups.opening(db, third, [])] == [0, 0]


def test_a_published_event_is_found_with_its_lines_its_lots_and_what_took_it_back(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a", "XS1", Decimal("12.34")), Posting("b", "XS2")])
    publish_in(db, fund, "two", [Posting("stop-a", "XS1", Decimal("12.34"), MARCH, takes_back="a")])
    third = begin(db, f"{fund} three", entity=fund)
    headers, lines, lots = lookups.entries(db, third, [event("a").bytes, event("unknown").bytes])
    assert headers.schema.equals(fields.HEADER)
    assert lines.schema.equals(fields.LINE)
    found = {row["source_id"]: row for row in headers.to_pylist()}
    assert set(found) == {"a", "stop-a"}
    assert found["stop-a"]["reference_id"] == event("a").bytes
    assert [(row["account"], row["side"], row["amount"]) for row in lines.to_pylist()] == [
        ("1200", 1, 123_400), ("1000", -1, 123_400),
    ]  # fmt: skip
    assert lots["lot"].to_pylist() == [found["a"]["je_no"]]
    nothing = lookups.entries(db, third, [])
    assert [table.num_rows for table in nothing] == [0, 0, 0]


def test_published_ids_come_in_order_and_by_range(db: Connection, fund: str) -> None:
    names = [f"e{number}" for number in range(200)]
    done = publish_in(db, fund, "one", [Posting(name, on=MARCH if name < "e5" else JANUARY) for name in names])
    other = begin(db, f"{fund} two", entity=fund)
    among = lookups.overlapping(db, other, (5, 10))
    assert among == [done.request_id]
    ids = lookups.published_ids(db, other, among)
    expected = sorted(event(name).bytes for name in names)
    assert [int(hi).to_bytes(8, "big") + int(lo).to_bytes(8, "big") for hi, lo in ids] == expected
    half = lookups.published_ids(db, other, among, expected[50], expected[150])
    assert half.shape == (100, 2)
    assert np.array_equal(half, ids[50:150])
    assert lookups.published_ids(db, other, []).shape == (0, 2)
    assert lookups.overlapping(db, other, (10**19 + 1, 10**19 + 9)) == []


def test_opening_balances_are_sums_over_all_periods(db: Connection, fund: str) -> None:
    publish_in(db, fund, "one", [Posting("a"), Posting("b", amount=Decimal("0.01"), on=MARCH)])
    request = begin(db, f"{fund} two", entity=fund)
    table = lookups.opening_balances(db, request)
    assert table.schema.equals(fields.SUPPLIED)
    assert [(row["account"], row["amount"]) for row in table.to_pylist()] == [
        ("1000", Decimal("-100.0100")), ("1200", Decimal("100.0100")),
    ]  # fmt: skip
