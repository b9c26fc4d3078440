"""The book of a task: the same rows give the same bytes; entries balance; what does not fit together is refused."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.subledger.real import csv_of
from tests.unit.subledger.rows import random_rows
from transforms.subledger import fields
from transforms.subledger.book import Book
from transforms.subledger.errors import BookError
from transforms.subledger.ids import event_id, je_id
from transforms.subledger.jit import Words
from transforms.subledger.opening import Opening
from transforms.subledger.order import sort
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.rules import parse_rules
from transforms.subledger.rulesets import shipped, text_of
from transforms.subledger.settings import LotMethod, Settings

pytestmark = pytest.mark.unit

_PERIODS = ((202601, True), (202602, True))
_FIRST = fields.first_je_no(5, 3)
_NAMES = ("headers", "lines", "rejects", "lots", "positions")
Rows = list[dict[str, Any]]


def _settings(lots: LotMethod = "FIFO", rules: str | None = None) -> Settings:
    return Settings("acme", "ACME-EQ", "USD", rules or text_of("standard"), _PERIODS, 5, lot_method=lots)


def _entries(rows: list[dict[str, str]], settings: Settings | None = None) -> pa.RecordBatch:
    header, data = csv_of(rows)
    return sort(parse_block(data, read_header(header), 0, 2, settings or _settings())[0])


def _posted(
    rows: pa.RecordBatch, size: int, settings: Settings | None = None, wanted: Words | None = None
) -> dict[str, pa.Table]:
    """All that comes out, by name, of rows in batches of a size."""
    settings = settings or _settings()
    book = Book(settings, parse_rules(settings.rules_text), _FIRST, wanted)
    parts: dict[str, list[pa.RecordBatch]] = {name: [] for name in _NAMES}
    for start in range(0, rows.num_rows, size):
        batch = rows.slice(start, size)
        book.needs(batch)
        book.supply(Opening.empty())
        for name, part in zip(_NAMES, book.post(batch), strict=True):
            parts[name].append(part)
    closing = book.close()
    parts["lots"].append(closing.lots)
    parts["positions"].append(closing.positions)
    schemas = (fields.HEADER, fields.LINE, fields.REJECT, fields.LOT, fields.POSITION)
    found = {
        name: pa.Table.from_batches(parts[name], schema).combine_chunks()
        for name, schema in zip(_NAMES, schemas, strict=True)
    }
    return found | {"balances": pa.Table.from_batches([closing.balances])}


def _event(number: int, event_class: str, **values: str) -> dict[str, str]:
    row = {
        "source_id": str(number), "version": "1", "event_class": event_class, "entity": "ACME-EQ",
        "trade_date": "2026-01-05", "account_ref": "EQ1", "instrument": "AA", "currency": "USD",
    }  # fmt: skip
    return row | values


def _buy(number: int, quantity: str = "10", price: str = "2", **values: str) -> dict[str, str]:
    return _event(number, "BUY", quantity=quantity, price=price, **values)


def _sell(number: int, quantity: str = "10", price: str = "3", **values: str) -> dict[str, str]:
    return _event(number, "SELL", quantity=quantity, price=price, **values)


@pytest.mark.parametrize("lots", ["FIFO", "AVERAGE"])
def test_rows_give_the_same_bytes_however_they_are_cut(lots: LotMethod) -> None:
    settings = _settings(lots)
    rows = _entries(random_rows(1, 600), settings)
    whole = _posted(rows, 10_000, settings)
    assert min(table.num_rows for table in whole.values()) > 0
    for size in (1, 13, 250):
        for name, table in _posted(rows, size, settings).items():
            assert table.equals(whole[name]), f"{name} in batches of {size}"


def test_only_events_that_are_wanted_need_be_kept() -> None:
    rows = _entries(random_rows(2, 1500))
    refers = rows.filter(rows.column("ref_hi").is_valid())
    wanted = np.stack([refers.column(name).to_numpy() for name in ("ref_hi", "ref_lo")], axis=1)
    whole = _posted(rows, 10_000)
    for name, table in _posted(rows, 100, wanted=wanted).items():
        assert table.equals(whole[name]), name
    # Without them, what was posted before is not found.
    none = _posted(rows, 10_000, wanted=np.zeros((0, 2), np.uint64))
    assert set(none["headers"].column("kind").to_pylist()) == {fields.ENTRY_KIND}


@pytest.mark.parametrize("seed", range(5))
def test_debits_are_credits_in_each_currency_and_in_base_currency(seed: int) -> None:
    found = _posted(_entries(random_rows(seed, 800)), 300)
    entered, accounted = Counter[tuple[int, str]](), Counter[int]()
    for line in found["lines"].to_pylist():
        entered[line["je_no"], line["currency"]] += line["side"] * line["amount"]
        accounted[line["je_no"]] += line["side"] * line["accounted"]
        assert line["amount"] >= 0
        assert line["accounted"] >= 0
    assert set(entered.values()) == {0}
    assert set(accounted.values()) == {0}
    sums = Counter[str]()
    for balance in found["balances"].to_pylist():
        sums[balance["currency"]] += balance["debit"] - balance["credit"]
        sums["base"] += balance["accounted_debit"] - balance["accounted_credit"]
    assert set(sums.values()) == {Decimal(0)}


def test_every_row_is_posted_or_rejected_and_numbered_in_order() -> None:
    rows = _entries(random_rows(3, 900))
    found = _posted(rows, 200)
    events = set(found["headers"].column("line").to_pylist())
    rejects = found["rejects"].column("line").to_pylist()
    assert len(events) + len(rejects) == rows.num_rows
    assert events.isdisjoint(rejects)
    numbers = found["headers"].column("je_no").to_pylist()
    assert numbers == list(range(_FIRST, _FIRST + len(numbers)))
    assert fields.request_of(numbers[-1]) == 5


def test_ids_are_those_of_event_rules_and_kind() -> None:
    found = _posted(_entries([_buy(1), _event(2, "CORRECT", quantity="3", price="2", reference="1")]), 10)
    version, basis = shipped("standard").version, shipped("standard").basis
    for header in found["headers"].to_pylist():
        event = event_id("acme", "ledger", header["source_id"], header["version"])
        assert header["event_id"] == event
        assert header["je_id"] == je_id(event, version, basis, header["kind"])
    assert [header["reference_id"] for header in found["headers"].to_pylist()] == [
        None, event_id("acme", "ledger", "1", 1), None,
    ]  # fmt: skip


def test_sales_of_many_lots_taken_back_and_made_again_fit_into_growing_tables() -> None:
    rows = [_buy(number, "1") for number in range(1, 3001)]
    for number in range(4001, 4041, 2):
        rows.append(_sell(number, "3000", trade_date="2026-01-06"))
        rows.append(_event(number + 1, "CANCEL", reference=str(number), trade_date="2026-01-06"))
    found = _posted(_entries(rows), 10_000)
    assert found["rejects"].num_rows == 0
    assert found["lines"].num_rows == 2 * 3000 + 20 * 2 * 3002
    assert found["lots"].num_rows == 3000
    assert set(found["lots"].column("quantity").to_pylist()) == {10**8}
    (position,) = found["positions"].to_pylist()
    assert (position["quantity"], position["cost"], position["realised"]) == (3000 * 10**8, 6000 * 10**4, 0)
    assert max(found["lines"].column("line_no").to_pylist()) == 3002


def _reasons(found: dict[str, pa.Table]) -> list[tuple[int, str, str]]:
    return [(row["line"], row["column"], row["reason"]) for row in found["rejects"].to_pylist()]


_MOST = "9999999999"
_NO_EVENT = "no such event of its instrument or account before this one"


@pytest.mark.parametrize(("rows", "reasons"), [
    ([_buy(1, _MOST, "1"), _buy(2)], [(3, "quantity", "the position would be too large")]),
    ([_buy(1, amount="99999999999999"), _buy(2, amount="1")], [(3, "amount", "the position would be too large")]),
    ([_buy(1, currency="KWD", amount="99999999999999", fx_rate="2")],
     [(2, "amount", "the entry's amounts are too large")]),
    ([_buy(1, _MOST, "1"), _event(2, "REVALUE", price=_MOST)], [(3, "price", "the entry's amounts are too large")]),
    ([_buy(1), _sell(2, currency="EUR", fx_rate="1")], [(3, "currency", "the instrument is held in another currency")]),
    ([_buy(1), _sell(2, "10.00000001")], [(3, "quantity", "more than is held")]),
    ([_event(1, "SETTLE", amount="5", fee="1")], [(2, "fee", "the rule that applies books no fee")]),
    ([_buy(1, account_ref="OTHER")], [(2, "account_ref", "no account for it in the mapping")]),
    ([_event(1, "CANCEL", reference="1")], [(2, "reference", _NO_EVENT)]),
    ([_event(1, "CANCEL", reference="2"), _buy(2)], [(2, "reference", _NO_EVENT)]),
    ([_buy(1), _event(2, "CANCEL", reference="1", instrument="", account_ref="CASH1", trade_date="2026-01-06")],
     [(3, "reference", _NO_EVENT)]),
    ([_buy(1), _event(2, "CORRECT", reference="1")], [(3, "quantity", "is empty")]),
    ([_buy(1), _event(2, "CORRECT", reference="1", quantity="1", price="1", account_ref="OTHER")],
     [(3, "account_ref", "no account for it in the mapping")]),
])  # fmt: skip
def test_what_cannot_be_booked_is_rejected_and_changes_nothing(
    rows: list[dict[str, str]], reasons: list[tuple[int, str, str]]
) -> None:
    found = _posted(_entries(rows), 10)
    assert sorted(_reasons(found)) == reasons
    bad = {line for line, *_ in reasons}
    good = [row for line, row in enumerate(rows, 2) if line not in bad]
    without = _posted(_entries(good), 10)
    for name in ("lines", "lots", "positions", "balances"):
        assert found[name].equals(without[name]), name


def test_a_reject_of_the_book_tells_its_row() -> None:
    found = _posted(_entries([_sell(7, "1.5", "-2.25", amount="10", fee="1.1", fee_currency="USD")]), 10)
    (reject,) = found["rejects"].to_pylist()
    assert reject["text"] == "7,1,SELL,ACME-EQ,2026-01-05,,EQ1,AA,1.5,-2.25,USD,10,1.1,USD,1,"


def test_balances_are_exact_beyond_64_bits() -> None:
    rows = [_event(number, "INCOME", amount="99999999999999") for number in range(1, 101)]
    found = _posted(_entries(rows), 7)
    total = Decimal("9999999999999900.0000")
    assert [(row["debit"], row["credit"]) for row in found["balances"].to_pylist()] == [(total, 0), (0, total)]


_HALVES = """\
name: halves
mapping: {a: "1", b: "2", c: "3", rounding: "9"}
rules:
  - name: income
    class: INCOME
    when: currency == base
    lines:
      - {account: a, side: debit, amount: gross}
      - {account: b, side: credit, amount: gross / 2}
      - {account: c, side: credit, amount: 0.5 * gross}
  - name: foreign
    class: INCOME
    lines:
      - {account: a, side: debit, amount: net}
      - {account: c, side: debit, amount: fee}
      - {account: b, side: credit, amount: gross}
"""


def _lines(found: dict[str, pa.Table]) -> list[tuple[str, int, str, int, int]]:
    names = ("account", "side", "currency", "amount", "accounted")
    return [tuple(line[name] for name in names) for line in found["lines"].to_pylist()]  # type: ignore[misc]


def test_parts_are_rounded_and_the_rest_goes_to_the_rounding_account() -> None:
    settings = _settings(rules=_HALVES)
    rows = [_event(1, "INCOME", amount="0.03", instrument=""), _event(2, "INCOME", amount="-0.01", instrument="")]
    assert _lines(_posted(_entries(rows, settings), 10, settings)) == [
        ("1", 1, "USD", 300, 300), ("2", -1, "USD", 200, 200), ("3", -1, "USD", 200, 200), ("9", 1, "USD", 100, 100),
        ("1", -1, "USD", 100, 100), ("9", 1, "USD", 100, 100),
    ]  # fmt: skip


def test_a_fee_in_another_currency_is_not_added_to_the_row_s_amounts() -> None:
    settings = _settings(rules=_HALVES)
    row = _event(1, "INCOME", amount="10", currency="EUR", fx_rate="1.1", fee="1", fee_currency="USD")
    found = _posted(_entries([row], settings), 10, settings)
    assert _reasons(found) == [(2, "fee_currency", "a line adds it to amounts of another currency")]


def test_no_rule_for_a_class_rejects_its_rows() -> None:
    settings = _settings(rules=_HALVES)
    found = _posted(_entries([_event(1, "FEE", amount="1")], settings), 10, settings)
    assert _reasons(found) == [(2, "event_class", "no rule for this class and these values")]


def test_an_accounted_loss_with_an_entered_gain_makes_two_lines() -> None:
    rows = [_buy(1, currency="EUR", fx_rate="2"), _sell(2, price="2.5", currency="EUR", fx_rate="1")]
    lines = [line for line in _lines(_posted(_entries(rows), 10)) if line[0] == "4100"]
    assert lines == [("4100", -1, "EUR", 50000, 0), ("4100", 1, "EUR", 0, 150000)]


def test_batches_out_of_order_are_refused() -> None:
    rows = _entries([_buy(number, instrument=name) for number, name in enumerate("ABC")])
    book = Book(_settings(), shipped("standard"), _FIRST)
    book.post(rows.slice(1))
    with pytest.raises(BookError, match="rows are not in order"):
        book.post(rows.slice(0, 1))
    with pytest.raises(BookError, match="rows are not in order"):
        Book(_settings(), shipped("standard"), _FIRST).post(rows.take(pa.array([2, 1, 0])))


def test_no_rows_give_nothing() -> None:
    rows = _entries([])
    for name, table in _posted(rows, 10).items():
        assert table.num_rows == 0, name
    book = Book(_settings(), shipped("standard"), _FIRST)
    assert book.post(rows).headers.num_rows == 0


def _published(rows: list[dict[str, str]]) -> dict[str, pa.Table]:
    return _posted(_entries(rows), 100)


def _opening(found: dict[str, pa.Table]) -> Opening:
    return Opening(found["lots"], found["positions"], found["headers"], found["lines"])


def test_positions_must_be_what_their_lots_are() -> None:
    before = _published([_buy(1), _buy(2)])
    rows = _entries([_sell(3)])
    book = Book(_settings(), shipped("standard"), fields.first_je_no(6, 0))
    book.needs(rows)
    with pytest.raises(BookError, match="the position of 'AA' is 2000000000, its lots have 1000000000"):
        book.supply(_opening(before)._replace(lots=before["lots"].slice(1)))


def test_positions_that_nobody_asked_for_are_refused() -> None:
    book = Book(_settings(), shipped("standard"), fields.first_je_no(6, 0))
    with pytest.raises(BookError, match="the position of 'AA' is supplied, which was not asked for"):
        book.supply(_opening(_published([_buy(1)])))


def test_an_entry_must_come_with_its_lots() -> None:
    before = _published([_buy(1), _sell(2)])
    rows = _entries([_event(3, "CANCEL", reference="2")])
    book = Book(_settings(), shipped("standard"), fields.first_je_no(6, 0))
    events = book.needs(rows).events.to_pylist()
    sale = before["headers"].filter(
        pa.array([header["event_id"] in events for header in before["headers"].to_pylist()])
    )
    with pytest.raises(BookError, match="changed lot"):
        book.supply(_opening(before)._replace(headers=sale))


def test_lots_that_others_changed_may_be_told_twice_and_later() -> None:
    before = _published([_buy(1), _buy(2), _sell(3, "4"), _buy(4, instrument="BB")])
    rows = _entries(
        [_sell(5, "1", trade_date="2026-01-07"), _event(6, "CANCEL", reference="3", trade_date="2026-01-08")]
    )
    book = Book(_settings(), shipped("standard"), fields.first_je_no(6, 0))
    first, second = rows.slice(0, 1), rows.slice(1)
    assert book.needs(first).instruments.to_pylist() == ["AA"]
    only = before["positions"].filter(pa.array([row["instrument"] == "AA" for row in before["positions"].to_pylist()]))
    twice = _opening(before)._replace(lots=pa.concat_tables([before["lots"]] * 2), positions=only)
    book.supply(twice)
    book.post(first)
    needs = book.needs(second)
    assert (len(needs.instruments), len(needs.events)) == (0, 1)
    book.supply(twice._replace(positions=fields.POSITION.empty_table()))
    posted = book.post(second)
    assert posted.rejects.num_rows == 0
    (position,) = book.close().positions.to_pylist()
    assert (position["instrument"], position["quantity"]) == ("AA", 19 * 10**8)


def test_gains_that_no_column_could_hold_are_rejected() -> None:
    # Each gain fits by itself; the fifth would make the sum of them too large.
    big, rows = "99999999999999", list[dict[str, str]]()
    for number in range(1, 41, 2):
        rows.append(_buy(number, "1", amount="0"))
        rows.append(_sell(number + 1, "1", amount=big))
    found = _posted(_entries(rows), 10)
    assert {reason[1:] for reason in _reasons(found)} == {("amount", "the entry's amounts are too large")}
    (position,) = found["positions"].to_pylist()
    assert position["realised"] == 4 * (10**18 - 10**4)
