"""How the rule kernel is compiled: as the other kernels are, but without counting references to arrays.

The kernel makes no arrays and keeps none, it only looks into those of its caller. Counting them, atomically, at every
call took nine tenths of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def bare(function: _F) -> _F:
    """numba.njit for a function that allocates nothing, keeping the function's type.

    Without a cache of its own: it is called with several sets of types (see `jit.njit`), and is in the cached code of
    `evaluate`.
    """
    njit: Any = numba.njit
    return cast(_F, njit(nogil=True, _nrt=False)(function))
