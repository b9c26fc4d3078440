"""How the compiled kernels of a domain are made: once per release, without the GIL, never from a stale cache.

No kernel makes an array or keeps one: they look into those of their caller, and do not count references to them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

# Less is declared of it than there is.
_numba_njit: Any = numba.njit
_F = TypeVar("_F", bound=Callable[..., Any])


class Compiler:
    """Compiles the kernels of one folder; a change of any of its files makes all of them anew."""

    def __init__(self, folder: Path, *patterns: str, error_model: str = "numpy") -> None:
        found = sorted({Path(__file__), *(path for pattern in patterns for path in folder.glob(pattern))})
        stats = [(path.name, path.parent.name, path.stat()) for path in found]
        self._error_model = error_model
        self._stamp = tuple((f"{parent}/{name}", stat.st_mtime_ns, stat.st_size) for name, parent, stat in stats)

    def njit(self, function: _F) -> _F:
        """numba.njit for what Python calls: with a cache on disk. It is called with one set of types only.

        With several, two processes that fill the cache at once would read each other's files under the wrong name.
        """
        compiled: Any = _numba_njit(cache=True, nogil=True, _nrt=False, error_model=self._error_model)(function)
        # numba asks only whether the function's own file has changed, but the machine code it keeps holds every kernel
        # the function calls: a changed part would go on working as before.
        compiled._cache._cache_file._source_stamp = self._stamp
        return cast(_F, compiled)


def part(function: _F) -> _F:
    """numba.njit for what only compiled functions call: it becomes part of them, and of their cached code."""
    return cast(_F, _numba_njit(nogil=True, _nrt=False, forceinline=True, error_model="numpy")(function))


def shared(function: _F) -> _F:
    """Like `part`, for what is long or called from many places: compiled once, and called."""
    return cast(_F, _numba_njit(nogil=True, _nrt=False, error_model="numpy")(function))
