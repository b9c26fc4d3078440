"""How the kernels of card scoring are compiled: once per release, without the GIL, never from a stale cache.

No kernel makes an array or keeps one: they look into those of their caller, and do not count references to them. Doing
so, atomically and at every call, took nine tenths of their time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from transforms.jit import Compiler

# Less is declared of these than there is.
_numba_njit: Any = numba.njit
_make_array: Any = make_array
_populate_array: Any = populate_array
_insert_function: Any = cgutils.get_or_insert_function
_F = TypeVar("_F", bound=Callable[..., Any])


njit = Compiler(Path(__file__).parent, "*.py", "rules/*.py", error_model="python").njit
"""numba.njit for what Python calls."""


def part(function: _F) -> _F:
    """numba.njit for what only compiled functions call: it becomes part of them, and of their cached code."""
    return cast(_F, _numba_njit(nogil=True, _nrt=False, forceinline=True)(function))


Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]


@part
def whole(number: Any) -> int:
    """A number as int64: compiled code computes with an unsigned and a signed one in floating point."""
    return np.int64(number)  # type: ignore[return-value]


@part
def copy_bytes(target: Bytes, at: int, source: Bytes, count: int) -> None:
    """Copy the first bytes of an array to a place in another; they are apart."""
    for i in range(count):
        target[at + i] = source[i]


@intrinsic
def _longs_at(context: Any, address: Any, count: Any) -> Any:
    array_type = types.Array(types.int64, 1, "C")

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = _make_array(array_type)(target, builder)
        data = builder.inttoptr(arguments[0], array.data.type)
        word = target.get_constant(types.intp, 8)
        _populate_array(array, data, shape=[arguments[1]], strides=[word], itemsize=word, meminfo=None)
        return array._getvalue()

    return array_type(types.int64, types.int64), generate


longs_at = cast(Callable[[int, int], Longs], _longs_at)
"""The int64 from an address on, so many of them, as an array. The owner of the memory keeps it alive."""


@intrinsic
def _prefetch(context: Any, address: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = _insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return target.get_dummy_value()

    return types.void(types.int64), generate


prefetch = cast(Callable[[int], None], _prefetch)
"""Have the processor fetch the cache line at an address, which need not be one of ours."""
