"""How the kernels of card scoring are compiled: once per release, without the GIL, never from a stale cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])


def _stamp() -> tuple[tuple[str, int, int], ...]:
    folder = Path(__file__).parent
    found = sorted(folder.rglob("*.py"))
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in found]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


_STAMP = _stamp()


def njit(function: _F) -> _F:
    """numba.njit with a cache on disk and without the GIL, keeping the function's type."""
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    # numba asks only whether the function's own file has changed, but the machine code it keeps holds every kernel
    # the function calls: a changed rule would go on deciding as before.
    compiled._cache._cache_file._source_stamp = _STAMP
    return cast(_F, compiled)


Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]


@njit
def whole(number: Any) -> int:
    """A number as int64: compiled code computes with an unsigned and a signed one in floating point."""
    return np.int64(number)  # type: ignore[return-value]


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@njit
def longs_at(address: int, count: int) -> Longs:
    """The `count` int64 at an address, as an array. The owner of the memory keeps it alive."""
    return carray(_pointer(address), (count,), np.int64)  # type: ignore[call-arg]
