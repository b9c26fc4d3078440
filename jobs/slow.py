"""A word to whoever waits for something that is slow the first time, as compiling is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Kernels that are there already take less.
_AFTER_S = 8.0
COMPILING = "compiling kernels, once per version: a minute or two"


@contextmanager
def told_if_slow(say: Callable[[], None], after_s: float = _AFTER_S) -> Iterator[None]:
    """Call `say`, from another thread, if what is done here takes longer than `after_s`."""
    told = threading.Timer(after_s, say)
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()
