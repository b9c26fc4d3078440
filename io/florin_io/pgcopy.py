"""Arrow record batches as PostgreSQL's binary COPY format."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from florin_io import pgcopy_kernel as kernel

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_EPOCH_DAYS = 10_957  # PostgreSQL counts days from 2000-01-01, Arrow from 1970-01-01
_INT_WIDTHS = {"int2": 2, "int4": 4, "int8": 8}
_INT_KINDS = {1: kernel.INT_1, 2: kernel.INT_2, 4: kernel.INT_4, 8: kernel.INT_8}
_NUMERIC = re.compile(r"numeric\((\d+)\)")
# The longest field of each type with its length before it; of text its strings come on top.
_LONGEST = {"bool": 5, "int2": 6, "int4": 8, "int8": 12, "date": 8, "uuid": 20, "text": 4}
_LONGEST_NUMERIC = 12 + 2 * kernel.MOST_GROUPS


class EncodeError(TypeError):
    """A batch whose columns are not what the table takes; the message names the column and both types."""


class Column(NamedTuple):
    """A column of the table and its type: int2, int4, int8, bool, date, uuid, text, or numeric(scale).

    numeric(4) takes int64 of 10^-4 units, or decimal128 of scale 4; a scale is a multiple of 4. int8 takes uint64 too,
    and keeps its bits.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Encoded:
    """Rows as COPY (FORMAT binary) takes them: `COPY table (columns) FROM STDIN (FORMAT binary)`.

    `data` is valid until its encoder's next call.
    """

    columns: tuple[str, ...]
    data: memoryview
    rows: int
    sha256: str


class Encoder:
    """Encodes batches of one table. `constants` are columns with the same value in every row; batches lack them.

    Not for several threads at once: the buffer is used again and again.
    """

    def __init__(self, columns: Sequence[Column], constants: Mapping[str, object] | None = None) -> None:
        constants = constants or {}
        self._columns = tuple(columns)
        self._names = tuple(column.name for column in columns)
        if unknown := sorted(set(constants) - set(self._names)):
            raise EncodeError(f"constants that are no columns: {', '.join(unknown)}")
        self._constants = {
            column.name: np.frombuffer(_field(column, constants[column.name]), np.uint8)
            for column in columns
            if column.name in constants
        }
        for column in columns:
            _scale(column)
        self._buffer = np.empty(0, np.uint8)
        self._groups = np.empty(2 * kernel.MOST_GROUPS, np.int64)
        self._limbs = np.empty(4, np.int64)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """All rows of a batch that has the columns by name, in any order; nulls are NULL. Raises EncodeError."""
        table = np.zeros((len(self._columns), kernel.TABLE_WIDTH), np.int64)
        room = len(SIGNATURE) + len(TRAILER) + 2 * batch.num_rows
        for number, column in enumerate(self._columns):
            constant = self._constants.get(column.name)
            if constant is not None:
                table[number, [kernel.KIND, kernel.DATA, kernel.WIDTH]] = (
                    kernel.CONSTANT, constant.ctypes.data, len(constant),
                )  # fmt: skip
                room += len(constant) * batch.num_rows
            else:
                room += _describe(column, _array_of(batch, column), table[number])
        if len(self._buffer) < room:
            self._buffer = np.empty(room, np.uint8)
        self._buffer[: len(SIGNATURE)] = np.frombuffer(SIGNATURE, np.uint8)
        end = int(kernel.encode_rows(self._buffer, len(SIGNATURE), table, batch.num_rows, self._groups, self._limbs))
        assert end + len(TRAILER) <= room, f"{end} bytes encoded, {room} expected at most"
        self._buffer[end : end + 2] = np.frombuffer(TRAILER, np.uint8)
        data = memoryview(self._buffer.data)[: end + 2]
        return Encoded(self._names, data, batch.num_rows, hashlib.sha256(data).hexdigest())


def warm_up() -> None:
    """Compile the loop of all encoders, or find that it is done."""
    Encoder([Column("n", "int8")]).encode(pa.RecordBatch.from_pydict({"n": pa.array([1], pa.int64())}))


def _array_of(batch: pa.RecordBatch, column: Column) -> pa.Array:
    place = batch.schema.get_field_index(column.name)
    if place < 0:
        raise EncodeError(f"the batch has no column {column.name!r}; it has {', '.join(batch.schema.names)}")
    return batch.column(place)


def _describe(column: Column, array: pa.Array, row: Any) -> int:
    """Fill the column's row of the kernel's table; the bytes that its fields take at most."""
    buffers = array.buffers()
    row[kernel.FIRST] = array.offset
    row[kernel.VALID] = buffers[0].address if buffers[0] is not None and array.null_count else 0
    scale = _scale(column)
    row[kernel.SCALE], row[kernel.FRACTION] = scale, scale // 4
    longest = _LONGEST.get(column.type, _LONGEST_NUMERIC) * len(array)
    wanted = array.type
    if column.type == "text" and pa.types.is_dictionary(wanted):
        return longest + _describe_dictionary(column, array, row)
    data = buffers[-1]
    row[kernel.DATA] = data.address if data is not None else 0
    row[kernel.KIND] = _kind(column, wanted)
    if column.type == "text":
        row[kernel.OFFSETS] = buffers[1].address
        return longest + (data.size if data is not None else 0)
    row[kernel.WIDTH] = 4 if column.type == "date" else _INT_WIDTHS.get(column.type, 0)
    row[kernel.ADD] = -_EPOCH_DAYS if column.type == "date" else 0
    return longest


def _describe_dictionary(column: Column, array: pa.DictionaryArray, row: Any) -> int:
    """Fill in where indexes and values are; the bytes of the strings of all rows at most."""
    values = array.dictionary
    if array.type.index_type != pa.int32() or values.type != pa.string() or values.null_count:
        raise _misfit(column, array.type)
    offsets, data = values.buffers()[1:]
    row[kernel.KIND] = kernel.TEXT_BY_INDEX
    row[kernel.OFFSETS] = array.indices.buffers()[1].address
    row[kernel.DICT_OFFSETS] = offsets.address + 4 * values.offset
    row[kernel.DICT_DATA] = data.address if data is not None else 0
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return int(np.diff(bounds).max(initial=0)) * len(array)


def _kind(column: Column, given: pa.DataType) -> int:
    """How the kernel reads the column. Raises EncodeError if the types do not fit."""
    if column.type in _INT_WIDTHS and pa.types.is_signed_integer(given):
        size = given.bit_width // 8
        if size <= _INT_WIDTHS[column.type]:
            return _INT_KINDS[size]
    if column.type == "int8" and given == pa.uint64():
        return kernel.INT_8
    if column.type.startswith("numeric"):
        if given == pa.int64():
            return kernel.NUMERIC
        if pa.types.is_decimal128(given) and given.scale == _scale(column):
            return kernel.NUMERIC_128
    fitting = {
        ("date", pa.date32()): kernel.INT_4,
        ("bool", pa.bool_()): kernel.BOOL,
        ("uuid", pa.binary(16)): kernel.UUID,
        ("text", pa.string()): kernel.TEXT,
    }
    if (column.type, given) not in fitting:
        raise _misfit(column, given)
    return fitting[column.type, given]


def _misfit(column: Column, given: pa.DataType) -> EncodeError:
    return EncodeError(f"column {column.name!r} of type {column.type} cannot be made of Arrow's {given}")


def _scale(column: Column) -> int:
    """Decimals of a numeric column, else 0. Raises EncodeError for a type that we do not know."""
    if column.type in _LONGEST:
        return 0
    found = _NUMERIC.fullmatch(column.type)
    if not found or int(found[1]) % 4:
        raise EncodeError(
            f"column {column.name!r}: type {column.type!r} is none of {', '.join(_LONGEST)} and numeric(scale) with a "
            "scale that is a multiple of 4"
        )
    return int(found[1])


def _field(column: Column, value: object) -> bytes:
    """One value as a field: its length and its bytes."""
    if value is None:
        return (-1).to_bytes(4, "big", signed=True)
    if column.type in _INT_WIDTHS and isinstance(value, int):
        data = value.to_bytes(_INT_WIDTHS[column.type], "big", signed=True)
    elif column.type == "text" and isinstance(value, str):
        data = value.encode()
    elif column.type == "uuid" and isinstance(value, uuid.UUID):
        data = value.bytes
    elif column.type == "bool" and isinstance(value, bool):
        data = bytes([value])
    else:
        raise EncodeError(f"column {column.name!r} of type {column.type} cannot have the constant {value!r}")
    return len(data).to_bytes(4, "big") + data
