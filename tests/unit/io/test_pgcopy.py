"""The COPY encoder against psycopg's own binary dumpers, field by field."""

from __future__ import annotations

import datetime
import struct
import uuid
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import Dumper, PyFormat, Transformer
from psycopg.types import numeric

from florin_io.pgcopy import SIGNATURE, TRAILER, Column, EncodeError, Encoder

pytestmark = pytest.mark.unit

_BIG = 2**63 - 1
_WIDE = Context(prec=60)
_LONG = st.integers(-_BIG - 1, _BIG)
_DAY = st.dates(datetime.date(1900, 1, 1), datetime.date(2200, 1, 1))


def decimal(units: int, scale: int) -> Decimal:
    """Exact, whatever the context's precision."""
    return Decimal((units < 0, tuple(map(int, str(abs(units)))), -scale))


# Type in PostgreSQL, in Arrow, values, and the same value as psycopg takes it.
KINDS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any], Any]] = {
    "int2 of int8": ("int2", pa.int8(), st.integers(-128, 127), numeric.Int2),
    "int2": ("int2", pa.int16(), st.integers(-(2**15), 2**15 - 1), numeric.Int2),
    "int4": ("int4", pa.int32(), st.integers(-(2**31), 2**31 - 1), numeric.Int4),
    "int8 of int32": ("int8", pa.int32(), st.integers(-(2**31), 2**31 - 1), numeric.Int8),
    "int8": ("int8", pa.int64(), _LONG, numeric.Int8),
    "bool": ("bool", pa.bool_(), st.booleans(), bool),
    "date": ("date", pa.date32(), _DAY, lambda day: day),
    "uuid": ("uuid", pa.binary(16), st.binary(min_size=16, max_size=16), lambda raw: uuid.UUID(bytes=raw)),
    "text": ("text", pa.string(), st.text(max_size=12), str),
    "text of dictionary": ("text", pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "ßß", ""]), str),
    "numeric(4)": ("numeric(4)", pa.int64(), _LONG, lambda units: decimal(units, 4)),
    "numeric(8)": ("numeric(8)", pa.int64(), _LONG, lambda units: decimal(units, 8)),
    "numeric(4) of decimal": (
        "numeric(4)", pa.decimal128(38, 4), st.integers(1 - 10**38, 10**38 - 1).map(lambda u: decimal(u, 4)), Decimal,
    ),
}  # fmt: skip


def fields(data: bytes, columns: int) -> list[list[bytes | None]]:
    """The fields of every row."""
    assert data.startswith(SIGNATURE)
    assert data.endswith(TRAILER)
    rows: list[list[bytes | None]] = []
    place = len(SIGNATURE)
    while (count := struct.unpack_from(">h", data, place)[0]) >= 0:
        assert count == columns
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", data, place)
            place += 4
            row.append(None if size < 0 else data[place : place + size])
            place += max(size, 0)
        rows.append(row)
    assert place + 2 == len(data)
    return rows


def dumped(value: Any) -> bytes | None:
    """As psycopg would send it."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    transformer = Transformer()
    dumper: Dumper = transformer.get_dumper(value, PyFormat.BINARY)  # type: ignore[assignment]
    told = dumper.dump(value)
    return bytes(told) if told is not None else None


def number(raw: bytes | None) -> Any:
    """The value of a numeric field: psycopg leaves zero groups that we cut."""
    if raw is None:
        return None
    count, weight, sign, scale = struct.unpack_from(">hhHh", raw)
    groups = struct.unpack_from(f">{count}h", raw, 8)
    assert not groups or (groups[0] and groups[-1]), f"zeros at an end: {groups}"
    assert all(0 <= group < 10_000 for group in groups)
    # As a whole number of 10^-8 units, of groups that stand at 10000^(weight - i).
    units = sum(group * 10_000 ** (weight - i + 2) for i, group in enumerate(groups))
    return (-units if sign else units), scale


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)  # the first call compiles
@given(data=st.data())
def test_each_type_is_as_psycopg_sends_it(kind: str, data: st.DataObject) -> None:
    type_, arrow, values, python = KINDS[kind]
    column = data.draw(st.lists(st.none() | values, min_size=1, max_size=20))
    array = pa.array(column, arrow) if type_ != "uuid" else pa.array(column, pa.binary(16))
    first = data.draw(st.integers(0, len(column)))
    batch = pa.RecordBatch.from_arrays([array], ["x"]).slice(first)
    encoded = Encoder([Column("x", type_)]).encode(batch)
    told = [row[0] for row in fields(bytes(encoded.data), 1)]
    if type_.startswith("numeric"):
        scale = int(type_[8])
        exact = [None if v is None else (int(python(v).scaleb(8, context=_WIDE)), scale) for v in column[first:]]
        assert [number(raw) for raw in told] == exact
    else:
        assert told == [dumped(None if v is None else python(v)) for v in column[first:]]


def test_constants_are_in_every_row() -> None:
    some = uuid.UUID(int=7)
    columns = [Column("tenant", "int4"), Column("n", "int8"), Column("who", "text"), Column("id", "uuid"),
               Column("late", "bool"), Column("none", "int2")]  # fmt: skip
    encoder = Encoder(columns, {"tenant": 3, "who": "é", "id": some, "late": True, "none": None})
    encoded = encoder.encode(pa.RecordBatch.from_pydict({"n": pa.array([1, 2], pa.int64())}))
    rows = fields(bytes(encoded.data), 6)
    assert rows == [
        [(3).to_bytes(4, "big"), number.to_bytes(8, "big"), "é".encode(), some.bytes, b"\x01", None]
        for number in (1, 2)
    ]
    assert encoded.rows == 2
    assert encoded.columns == ("tenant", "n", "who", "id", "late", "none")


def test_the_buffer_is_used_again_and_the_sha_tells_contents_apart() -> None:
    encoder = Encoder([Column("n", "int8")])
    one = encoder.encode(pa.RecordBatch.from_pydict({"n": [1, 2, 3]}))
    first = one.sha256
    assert encoder.encode(pa.RecordBatch.from_pydict({"n": [1, 2, 4]})).sha256 != first
    assert encoder.encode(pa.RecordBatch.from_pydict({"n": [1, 2, 3]})).sha256 == first


def test_no_rows_are_a_header_and_a_trailer() -> None:
    batch = pa.RecordBatch.from_pydict({"x": pa.array([], pa.string())})
    assert bytes(Encoder([Column("x", "text")]).encode(batch).data) == SIGNATURE + TRAILER


@pytest.mark.parametrize(
    ("type_", "array", "told"),
    [
        ("int2", pa.array([1], pa.int64()), "column 'x' of type int2 cannot be made of Arrow's int64"),
        ("text", pa.array([1], pa.int64()), "column 'x' of type text cannot be made of Arrow's int64"),
        ("numeric(4)", pa.array([Decimal(1)], pa.decimal128(10, 2)), "cannot be made of Arrow's decimal128(10, 2)"),
        ("money", pa.array([1]), "'money' is none of"),
        ("numeric(3)", pa.array([1]), "multiple of 4"),
    ],
)
def test_types_that_do_not_fit_are_named(type_: str, array: pa.Array, told: str) -> None:
    with pytest.raises(EncodeError, match=told.replace("(", r"\(").replace(")", r"\)")):
        Encoder([Column("x", type_)]).encode(pa.RecordBatch.from_arrays([array], ["x"]))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(EncodeError, match="no column 'y'; it has x"):
        Encoder([Column("y", "int8")]).encode(pa.RecordBatch.from_pydict({"x": [1]}))
