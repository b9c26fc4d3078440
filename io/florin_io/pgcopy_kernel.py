"""The compiled loop of the COPY encoder: row by row, column by column, from Arrow's own memory into one buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Kinds of fields. Of the source: INT_<bytes>; what is written is said by the column's width.
CONSTANT, BOOL, INT_1, INT_2, INT_4, INT_8, UUID, TEXT, TEXT_BY_INDEX, NUMERIC, NUMERIC_128 = range(11)

# A row of the columns' table: kind, address of the data, of the validity bits (0: no nulls), of the strings' offsets
# (of a dictionary: of its indexes), first row, bytes written, added to the number, base-10000 digits behind the point,
# decimals; and of a dictionary the addresses of its values' offsets and bytes.
KIND, DATA, VALID, OFFSETS, FIRST, WIDTH, ADD, FRACTION, SCALE, DICT_OFFSETS, DICT_DATA = range(11)
TABLE_WIDTH = 11

NEGATIVE = 0x4000
BASE = 10_000
# 38 digits are ten groups of four.
MOST_GROUPS = 10

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
_F = TypeVar("_F", bound=Callable[..., Any])
# Less is declared of these than there is.
_numba_njit: Any = numba.njit
_struct_proxy: Any = cgutils.create_struct_proxy
_memcpy: Any = cgutils.raw_memcpy


def _part(function: _F) -> _F:
    return cast(_F, _numba_njit(nogil=True, _nrt=False, forceinline=True)(function))


def _loader(bits: int, result: Any) -> Callable[[int], int]:
    """A compiled function: the integer of so many bits at an address."""

    @intrinsic
    def load(context: Any, address: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer)
            value.align = 1
            return builder.sext(value, ir.IntType(64)) if bits < 64 else value

        return result(types.int64), generate

    return cast(Callable[[int], int], load)


_load_8 = _loader(8, types.int64)
_load_16 = _loader(16, types.int64)
_load_32 = _loader(32, types.int64)
_load_64 = _loader(64, types.int64)


@intrinsic
def _copy(context: Any, target_array: Any, at: Any, source: Any, size: Any) -> Any:
    """memcpy from an address into a place of an array."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = _struct_proxy(signature.args[0])(target, builder, arguments[0])
        into = builder.gep(array.data, [arguments[1]])
        pointer = builder.inttoptr(arguments[2], cgutils.voidptr_t)
        _memcpy(builder, into, pointer, arguments[3], 1)
        return target.get_dummy_value()

    return types.void(target_array, types.int64, types.int64, types.int64), generate


copy_bytes = cast(Callable[[Bytes, int, int, int], None], _copy)


def _storer(bits: int) -> Callable[[Bytes, int, int], None]:
    """A compiled function: put an integer of so many bits into an array, highest byte first."""

    @intrinsic
    def store(context: Any, target_array: Any, at: Any, value: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = _struct_proxy(signature.args[0])(target, builder, arguments[0])
            kind = ir.IntType(bits)
            place = builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())
            number = builder.trunc(arguments[2], kind) if bits < 64 else arguments[2]
            builder.store(builder.bswap(number), place).align = 1
            return target.get_dummy_value()

        return types.void(target_array, types.int64, types.int64), generate

    return cast(Callable[[Bytes, int, int], None], store)


_put_16 = _storer(16)
_put_32 = _storer(32)
_put_64 = _storer(64)


@_part
def _is_null(valid: int, row: int) -> bool:
    return valid != 0 and (_load_8(valid + (row >> 3)) >> (row & 7)) & 1 == 0


@_part
def _put_int(out: Bytes, at: int, width: int, value: int) -> int:
    _put_32(out, at, width)
    if width == 2:
        _put_16(out, at + 4, value)
    elif width == 4:
        _put_32(out, at + 4, value)
    else:
        _put_64(out, at + 4, value)
    return at + 4 + width


@_part
def _put_text(out: Bytes, at: int, offsets: int, data: int, place: int) -> int:
    start = _load_32(offsets + 4 * place)
    size = _load_32(offsets + 4 * place + 4) - start
    _put_32(out, at, size)
    copy_bytes(out, at + 4, data + start, size)
    return at + 4 + size


@_part
def _put_groups(out: Bytes, at: int, groups: Longs, count: int, fraction: int, scale: int, negative: bool) -> int:
    """A number of base-10000 digits, the lowest first; those behind the point are `fraction`."""
    last = 0  # lowest digits that are zero are left out
    while last < count and groups[last] == 0:
        last += 1
    digits = count - last
    _put_32(out, at, 8 + 2 * digits)
    _put_16(out, at + 4, digits)
    _put_16(out, at + 6, count - 1 - fraction if digits else 0)
    _put_16(out, at + 8, NEGATIVE if negative and digits else 0)
    _put_16(out, at + 10, scale)
    at += 12
    for i in range(count - 1, last - 1, -1):
        _put_16(out, at, groups[i])
        at += 2
    return at


@_part
def _put_numeric(out: Bytes, at: int, value: int, fraction: int, scale: int, groups: Longs) -> int:
    left = np.uint64(value)
    if value < 0:
        left = np.uint64(0) - left
    count = 0
    while left != np.uint64(0):
        above = left // np.uint64(BASE)
        groups[count] = np.int64(left - above * np.uint64(BASE))
        left = above
        count += 1
    return _put_groups(out, at, groups, count, fraction, scale, value < 0)


@_part
def _put_numeric_128(
    out: Bytes, at: int, low: int, high: int, fraction: int, scale: int, groups: Longs, limbs: Longs
) -> int:
    negative = high < 0
    if negative:  # two's complement
        low, high = ~low + 1, ~high + (1 if low == 0 else 0)
    limbs[0], limbs[1] = low & 0xFFFFFFFF, (low >> 32) & 0xFFFFFFFF
    limbs[2], limbs[3] = high & 0xFFFFFFFF, (high >> 32) & 0xFFFFFFFF
    count = 0
    while limbs[0] | limbs[1] | limbs[2] | limbs[3]:
        rest = 0
        for i in range(3, -1, -1):
            value = (rest << 32) | limbs[i]
            limbs[i] = value // BASE
            rest = value % BASE
        groups[count] = rest
        count += 1
    return _put_groups(out, at, groups, count, fraction, scale, negative)


@_part
def _put_field(out: Bytes, at: int, column: Longs, row: int, groups: Longs, limbs: Longs) -> int:
    """One field; where the next one begins."""
    kind, data = column[KIND], column[DATA]
    if kind == CONSTANT:  # with its length before it
        copy_bytes(out, at, data, column[WIDTH])
        return at + int(column[WIDTH])
    row += column[FIRST]
    if _is_null(column[VALID], row):
        _put_32(out, at, -1)
        return at + 4
    if kind == INT_8:
        return _put_int(out, at, column[WIDTH], _load_64(data + 8 * row) + column[ADD])
    if kind == INT_4:
        return _put_int(out, at, column[WIDTH], _load_32(data + 4 * row) + column[ADD])
    if kind == INT_2:
        return _put_int(out, at, column[WIDTH], _load_16(data + 2 * row))
    if kind == INT_1:
        return _put_int(out, at, column[WIDTH], _load_8(data + row))
    if kind == NUMERIC:
        return _put_numeric(out, at, _load_64(data + 8 * row), column[FRACTION], column[SCALE], groups)
    if kind == TEXT:
        return _put_text(out, at, column[OFFSETS], data, row)
    if kind == TEXT_BY_INDEX:
        place = _load_32(column[OFFSETS] + 4 * row)
        return _put_text(out, at, column[DICT_OFFSETS], column[DICT_DATA], place)
    if kind == UUID:
        _put_32(out, at, 16)
        copy_bytes(out, at + 4, data + 16 * row, 16)
        return at + 20
    if kind == NUMERIC_128:
        low, high = _load_64(data + 16 * row), _load_64(data + 16 * row + 8)
        return _put_numeric_128(out, at, low, high, column[FRACTION], column[SCALE], groups, limbs)
    _put_32(out, at, 1)
    out[at + 4] = (_load_8(data + (row >> 3)) >> (row & 7)) & 1
    return at + 5


@_numba_njit(cache=True, nogil=True, _nrt=False)  # type: ignore[untyped-decorator]
def encode_rows(out: Bytes, at: int, table: Longs, rows: int, groups: Longs, limbs: Longs) -> int:
    """Rows into the buffer from `at` on; the place behind them. The caller has made it long enough.

    `table` has a row of TABLE_WIDTH numbers for each column; `groups` and `limbs` are room to compute in.
    """
    columns = len(table)
    for row in range(rows):
        _put_16(out, at, columns)
        at += 2
        for number in range(columns):
            at = _put_field(out, at, table[number], row, groups, limbs)
    return at
