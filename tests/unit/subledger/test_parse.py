"""Every row of a ledger file is taken exactly, or rejected with its line, column and reason."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.subledger.errors import InputError, SubledgerError
from transforms.subledger.fields import COLUMNS, ENTRY, REJECT
from transforms.subledger.parse import accounting_periods, parse_block, read_header
from transforms.subledger.settings import Settings
from transforms.subledger.text_fields import month_number

pytestmark = pytest.mark.unit

_HEADER = read_header(",".join(COLUMNS).encode())
_PERIODS = ((202512, False), (202601, True), (202602, True))
_SETTINGS = Settings("acme", "e", "EUR", "", _PERIODS, 1)
_ROW = {
    "source_id": "1", "version": "1", "event_class": "BUY", "entity": "e", "trade_date": "2026-01-05",
    "settle_date": "2026-01-07", "account_ref": "A1", "instrument": "I", "quantity": "10", "price": "2.5",
    "currency": "USD", "amount": "25", "fee": "1", "fee_currency": "USD", "fx_rate": "0.9", "reference": "",
}  # fmt: skip


def _line(**values: str) -> bytes:
    return ",".join((_ROW | values)[name] for name in COLUMNS).encode() + b"\n"


def _parsed(data: bytes, settings: Settings = _SETTINGS) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    entries, rejects = parse_block(data, _HEADER, 7, 2, settings)
    entries.validate(full=True)
    rejects.validate(full=True)
    assert entries.schema.equals(ENTRY)
    assert rejects.schema.equals(REJECT)
    return entries.to_pylist(), rejects.to_pylist()


def _fault(**values: str) -> tuple[object, object]:
    entries, rejects = _parsed(_line() + _line(**values) + _line())
    assert [entry["line"] for entry in entries] == [2, 4]
    (reject,) = rejects
    assert (reject["file"], reject["line"], reject["kind"]) == (7, 3, "REJECT")
    assert reject["text"] == _line(**values).decode().rstrip("\n").replace("\1", "\ufffd")[:500]
    return reject["column"], reject["reason"]


_REASONS = [
    ({"source_id": ""}, "source_id", "is empty"),
    ({"source_id": "x" * 129}, "source_id", "is longer than 128 bytes"),
    ({"account_ref": ""}, "account_ref", "is empty"),
    ({"instrument": "a\1b"}, "instrument", "has a control character"),
    ({"version": ""}, "version", "is no whole number from 1 to 2147483647"),
    ({"version": "0"}, "version", "is no whole number from 1 to 2147483647"),
    ({"version": "01"}, "version", "is no whole number from 1 to 2147483647"),
    ({"version": "2147483648"}, "version", "is no whole number from 1 to 2147483647"),
    ({"event_class": "BUYS"}, "event_class", "is no event class"),
    ({"event_class": "buy"}, "event_class", "is no event class"),
    ({"event_class": "REVALUEX"}, "event_class", "is no event class"),
    ({"entity": "f"}, "entity", "is another entity than the request's"),
    ({"trade_date": "2026-02-29"}, "trade_date", "is no date as in 2026-01-31, from 1900 to 2199"),
    ({"trade_date": "26-02-2026"}, "trade_date", "is no date as in 2026-01-31, from 1900 to 2199"),
    ({"trade_date": "2026-03-01"}, "trade_date", "no accounting period is open on or after it"),
    ({"settle_date": "soon"}, "settle_date", "is no date as in 2026-01-31, from 1900 to 2199"),
    ({"instrument": ""}, "instrument", "is empty"),
    ({"quantity": ""}, "quantity", "is empty"),
    ({"quantity": "-1"}, "quantity", "must be positive"),
    ({"quantity": "0"}, "quantity", "must be positive"),
    ({"quantity": "1e5"}, "quantity", "is no decimal number"),
    ({"quantity": "+1"}, "quantity", "is no decimal number"),
    ({"quantity": " 1"}, "quantity", "is no decimal number"),
    ({"quantity": ".5"}, "quantity", "is no decimal number"),
    ({"quantity": "5."}, "quantity", "is no decimal number"),
    ({"quantity": "-"}, "quantity", "is no decimal number"),
    ({"quantity": "1.2.3"}, "quantity", "is no decimal number"),
    ({"quantity": "0.000000001"}, "quantity", "has more decimals than it can have"),
    ({"quantity": "10000000000"}, "quantity", "is too large"),
    ({"price": "x"}, "price", "is no decimal number"),
    ({"currency": ""}, "currency", "is empty"),
    ({"currency": "XYZ"}, "currency", "is no currency of ISO 4217"),
    ({"currency": "usd"}, "currency", "is no currency of ISO 4217"),
    ({"amount": "-0.01"}, "amount", "must not be negative"),
    ({"amount": "1.001"}, "amount", "has more decimals than it can have"),
    ({"amount": "1.5", "currency": "JPY", "fee_currency": ""}, "amount", "has more decimals than it can have"),
    ({"amount": "100000000000000"}, "amount", "is too large"),
    ({"amount": "", "price": ""}, "amount", "is empty"),
    ({"amount": "", "quantity": "9999999999", "price": "9999999999"}, "amount", "quantity x price is too large"),
    ({"fee": "-1"}, "fee", "must not be negative"),
    ({"fee": "0.001"}, "fee", "has more decimals than it can have"),
    ({"fee_currency": "GBP"}, "fee_currency", "must be the row's currency or the base currency"),
    ({"fee_currency": "???"}, "fee_currency", "is no currency of ISO 4217"),
    ({"fx_rate": ""}, "fx_rate", "is missing, for the currency is not the base currency"),
    ({"fx_rate": "0"}, "fx_rate", "must be positive"),
    ({"fx_rate": "0.9", "currency": "EUR", "fee_currency": ""}, "fx_rate",
     "must be empty or 1, for the currency is the base currency"),
    ({"event_class": "INCOME", "amount": "0"}, "amount", "must not be zero"),
    ({"event_class": "FX", "currency": "EUR", "fee_currency": "", "fx_rate": ""}, "currency",
     "must be another than the base currency"),
    ({"event_class": "FX", "price": "0"}, "price", "must be positive"),
    ({"event_class": "REVALUE", "price": ""}, "price", "is empty"),
    ({"event_class": "REVALUE", "price": "-1"}, "price", "must not be negative"),
    ({"event_class": "CANCEL"}, "reference", "is empty"),
    ({"event_class": "CORRECT"}, "reference", "is empty"),
    ({"reference": "a,b"}, "", "has another number of columns than the header"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "column", "reason"), _REASONS)
def test_a_bad_row_is_rejected_with_its_column_and_reason(values: dict[str, str], column: str, reason: str) -> None:
    assert _fault(**values) == (column, reason)


def test_a_row_that_is_no_utf8_is_rejected_and_others_are_not() -> None:
    data = _line() + _line(account_ref="X").replace(b",X,", b",\xff\xfe,") + _line(instrument="Ä", version="x")
    entries, rejects = _parsed(data + _line(instrument="Ä"))
    assert [(entry["line"], entry["instrument"]) for entry in entries] == [(2, "I"), (5, "Ä")]
    assert [(row["line"], row["column"], row["reason"]) for row in rejects] == [
        (3, "account_ref", "is no UTF-8"), (4, "version", "is no whole number from 1 to 2147483647"),
    ]  # fmt: skip


def _number(text: str, scale: int) -> int | None:
    return None if text == "" else int(Decimal(text).scaleb(scale))


@settings(max_examples=300, deadline=None)
@given(
    st.decimals(0, 9_999_999_999, places=8), st.integers(0, 12), st.booleans(),
    st.dates(date(1900, 1, 1), date(2026, 2, 28)), st.integers(1, 2**31 - 1),
)  # fmt: skip
@example(Decimal("9999999999.99999999"), 0, True, date(2000, 2, 29), 2**31 - 1)
@example(Decimal("0.00000001"), 3, True, date(1900, 3, 1), 1)
def test_numbers_and_dates_are_taken_exactly(value: Decimal, zeros: int, minus: bool, day: date, version: int) -> None:
    text = f"{'-' * minus}{value:f}" + "0" * zeros
    later = day + timedelta(days=3)
    entries, rejects = _parsed(
        _line(price=text, trade_date=day.isoformat(), settle_date=later.isoformat(), version=str(version))
    )
    assert rejects == []
    (entry,) = entries
    assert entry["price"] == int(Decimal(text).scaleb(8))
    assert (entry["trade_date"], entry["settle_date"], entry["version"]) == (day, later, version)


@pytest.mark.parametrize(("quantity", "price", "currency", "amount"), [
    ("3", "0.335", "USD", "1.00"), ("1", "0.125", "USD", "0.12"), ("1", "0.135", "USD", "0.14"),
    ("7", "1.5", "JPY", "10"), ("9", "1.5", "JPY", "14"), ("1", "0.0005", "KWD", "0"), ("1", "0.00005", "CLF", "0"),
    ("9999999999", "9999", "USD", "99989999990001"), ("0.00000001", "0.00000001", "USD", "0"),
])  # fmt: skip
def test_without_an_amount_it_is_quantity_times_price_rounded_half_to_even(
    quantity: str, price: str, currency: str, amount: str
) -> None:
    line = _line(quantity=quantity, price=price, currency=currency, amount="", fee="", fee_currency="")
    entries, rejects = _parsed(line)
    assert rejects == []
    assert entries[0]["amount"] == _number(amount, 4)


def test_what_is_left_out_has_its_meaning() -> None:
    line = _line(currency="EUR", fee="", fee_currency="", fx_rate="", settle_date="", event_class="INCOME",
                 instrument="", quantity="", price="")  # fmt: skip
    (entry,), _ = _parsed(line)
    assert entry["fee"] == 0
    assert entry["fee_currency"] == "EUR"
    assert entry["fx_rate"] == 10**8
    assert [entry[name] for name in ("settle_date", "instrument", "quantity", "price", "reference", "ref_hi")] == [
        None
    ] * 6


def test_a_trade_in_a_closed_period_goes_to_the_first_open_one_after_it() -> None:
    entries, _ = _parsed(
        _line(trade_date="2025-12-31") + _line(trade_date="1999-01-01") + _line(trade_date="2026-02-01")
    )
    assert [entry["period"] for entry in entries] == [202601, 202601, 202602]


def test_periods_between_open_ones_are_closed() -> None:
    table = accounting_periods(((202603, True), (202601, True), (202602, False)))
    months = [table[month_number(period)] for period in (202512, 202601, 202602, 202603, 202604)]
    assert months == [202601, 202601, 202603, 202603, 0]


def test_fields_may_stand_in_quotes_and_lines_end_as_on_windows() -> None:
    names = {"source_id": '"a,""b"', "account_ref": '"A 1"', "quantity": '"10"', "reference": '""'}
    entries, rejects = _parsed((_line(**names) + _line(instrument='"')).replace(b"\n", b"\r\n"))
    assert (entries[0]["source_id"], entries[0]["account_ref"], entries[0]["quantity"]) == ('a,"b', "A 1", 10**9)
    assert entries[0]["reference"] is None
    assert [(row["line"], row["reason"]) for row in rejects] == [(3, "has another number of columns than the header")]


def test_a_quote_in_the_middle_is_rejected() -> None:
    entries, rejects = _parsed(_line(instrument='a"b') + _line(instrument='"a"b') + _line())
    assert [entry["line"] for entry in entries] == [4]
    assert {row["reason"] for row in rejects} == {
        "has a control character",
        "has another number of columns than the header",
    }


def test_lines_are_the_same_however_they_are_cut_into_blocks() -> None:
    lines = [_line(source_id=str(number), instrument=f"I{number % 7}") for number in range(50)]
    lines[10], lines[20] = b"\n", _line(version="no")
    whole = parse_block(b"".join(lines), _HEADER, 0, 2, _SETTINGS)
    for size in (1, 7, 25):
        parts = [
            parse_block(b"".join(lines[at : at + size]), _HEADER, 0, 2 + at, _SETTINGS) for at in range(0, 50, size)
        ]
        for place in range(2):
            assert (
                pa.Table.from_batches([part[place] for part in parts])
                .combine_chunks()
                .to_batches()[0]
                .equals(whole[place])
            )


def test_nothing_gives_nothing_and_the_last_line_needs_no_end() -> None:
    assert _parsed(b"") == ([], [])
    assert len(_parsed(_line().rstrip(b"\n"))[0]) == 1
    assert len(_parsed(b"\n")[1]) == 1


def test_columns_may_stand_in_any_order() -> None:
    names = sorted(COLUMNS)
    header = read_header(b"\xef\xbb\xbf" + ",".join(names).encode() + b"\r\n")
    line = ",".join(_ROW[name] for name in names).encode()
    found = parse_block(line, header, 7, 2, _SETTINGS)[0]
    assert found.equals(parse_block(_line(), _HEADER, 7, 2, _SETTINGS)[0])


@pytest.mark.parametrize(("header", "told"), [
    (b"source_id,version", "missing: 'event_class'"),
    (",".join((*COLUMNS, "extra")).encode(), "unknown: 'extra'"),
    (",".join((*COLUMNS, "version")).encode(), "twice there: 'version'"),
    (b"\xff", "no UTF-8"), (b"", "missing: 'source_id'"),
])  # fmt: skip
def test_a_wrong_header_is_told(header: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_header(header)


@pytest.mark.parametrize(("change", "told"), [
    ({"entity": "a b"}, "entity 'a b'"), ({"base_currency": "XXX"}, "base currency 'XXX'"),
    ({"lot_method": "LIFO"}, "lot method 'LIFO'"), ({"periods": ((202613, True),)}, "period 202613"),
    ({"max_reject_share": 2}, "from 0 to 1"), ({"digits": {"EUR": 5}}, "0 to 4"),
])  # fmt: skip
def test_settings_are_checked(change: dict[str, object], told: str) -> None:
    values = {"tenant": "t", "entity": "e", "base_currency": "EUR", "rules_text": "", "periods": (), "request_id": 1}
    with pytest.raises(SubledgerError, match=told):
        Settings(**(values | change))  # type: ignore[arg-type]


def test_settings_are_the_same_after_a_trip_through_json() -> None:
    assert Settings.from_json(_SETTINGS.to_json()) == _SETTINGS


def test_an_entity_may_have_currencies_of_its_own() -> None:
    own = Settings("acme", "e", "EUR", "", _PERIODS, 1, digits={"EUR": 2, "XBT": 4})
    entries, rejects = _parsed(_line(currency="XBT", amount="1.2345", fee="", fee_currency="") + _line(), own)
    assert [entry["currency"] for entry in entries] == ["XBT"]
    assert [(row["line"], row["column"]) for row in rejects] == [(3, "currency")]
