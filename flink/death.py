"""A process that ends with the one that started it, however that ends. Standard library only: workers start with it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, signum: int) -> Callable[[], None]:
    """To be run in the new process: on Linux the kernel sends it `signum` when the parent's starting thread ends."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def in_the_new_process() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signum)
            if os.getppid() != parent:
                os._exit(1)

    return in_the_new_process
