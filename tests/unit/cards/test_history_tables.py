"""Past transactions in tables: every kind of column comes back as the wire has it, every bad row with its reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from transforms.cards.history_files import HistoryError
from transforms.cards.history_tables import COLUMNS, records_of_table, texts_of
from transforms.cards.packed import text_of

pytestmark = pytest.mark.unit

GOOD = ["00004000222100", "1577836800000", "022", "00", "1050", "022", "0011", "00042", "00000"]


def table(*rows: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)})


def changed(name: str, value: str | None) -> list[str | None]:
    return [value if name == column else text for column, text in zip(COLUMNS, GOOD, strict=True)]


def test_text_columns_are_taken_as_they_are() -> None:
    records, rejects = records_of_table(table(GOOD, changed("code", "1234567"), changed("country", "GB1")), 9, 0, "t")
    assert rejects == []
    pairs = zip(records.cards, records.items, strict=True)
    assert [text_of(int(card), item, records.texts).decode() for card, item in pairs] == [
        ",".join(row) for row in (GOOD, changed("code", "1234567"), changed("country", "GB1"))
    ]
    assert records.places.tolist() == [9, 10, 11]


def test_numbers_get_their_leading_zeros_back() -> None:
    numbers = pa.RecordBatch.from_pydict({name: [int(text)] for name, text in zip(COLUMNS, GOOD, strict=True)})
    assert texts_of(numbers, "t").to_pylist() == [",".join(GOOD)]


def test_timestamps_become_milliseconds_and_dictionaries_text() -> None:
    made = table(GOOD)
    when = pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    made = made.set_column(1, "timestamp", when).set_column(2, "country", made.column(2).dictionary_encode())
    made = made.set_column(7, "city", made.column(7).cast(pa.large_string()))
    assert texts_of(made, "t").to_pylist() == [",".join(GOOD)]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("card", "123", "the card is not 14 digits"),
        ("timestamp", "yesterday", "the timestamp is not 1 to 13 digits"),
        ("amount", "-5", "the amount is not digits below 2^31"),
        ("amount", "2147483648", "the amount is not digits below 2^31"),
        ("country", "22", "country, response, currency, merchant or city"),
        ("city", "1,234", "country, response, currency, merchant or city"),
        ("code", "1234", "the code is not 5 to 8 characters"),
        ("code", "x" * 90, "longer than a packet"),
        ("merchant", None, "a field is empty"),
    ],
)
def test_a_bad_row_is_told_with_its_number_and_the_others_are_taken(name: str, value: str | None, reason: str) -> None:
    records, rejects = records_of_table(table(GOOD, changed(name, value), GOOD), 0, 100, "t")
    assert len(records.cards) == 2
    assert [reject.row for reject in rejects] == [101]
    assert rejects[0].reason.startswith(reason)
    assert value is None or value in rejects[0].text


def test_a_missing_column_names_the_file_and_what_it_needs() -> None:
    with pytest.raises(HistoryError, match="past.csv has no column city, code; it needs card,timestamp"):
        texts_of(pa.RecordBatch.from_pydict({name: ["1"] for name in COLUMNS[:-2]}), "past.csv")


def test_a_column_of_another_kind_names_it() -> None:
    made = table(GOOD).set_column(4, "amount", pa.array([10.5]))
    with pytest.raises(HistoryError, match="column amount is double"):
        texts_of(made, "past.parquet")


def test_no_rows_are_no_records() -> None:
    records, rejects = records_of_table(table(GOOD).slice(1), 0, 0, "t")
    assert len(records.cards) == len(rejects) == 0
