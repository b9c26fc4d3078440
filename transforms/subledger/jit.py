"""Compiled kernels of the subledger, and the arrays that they look into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from transforms.jit import Compiler

njit = Compiler(Path(__file__).parent, "*.py", "rules/*.py").njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

NONE: Final = -(2**63)
"""A missing number in a column of int64."""
LIMIT: Final = 10**18
"""Numbers of a column are below this one, so that sums and differences of a few stay within 64 bits."""
long = cast(Callable[[Any], int], np.int64)
"""A number as int64: compiled code takes a literal for a type of its own, and mixes signs in floating point."""
