"""Kernels are compiled ahead, each for one set of types: with several, processes would read each other's cache."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from transforms.subledger import book_kernel, ids, parse, parse_kernel
from transforms.subledger.fields import COLUMNS
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.settings import Settings
from transforms.subledger.warm import warm_up

pytestmark = pytest.mark.unit

_KERNELS: tuple[Any, ...] = (
    parse_kernel.parse_lines, parse._unquote, ids._hash_one, book_kernel.post_rows, book_kernel.enter_all,
    book_kernel.find_all, book_kernel.lots_of, book_kernel.move_lots, book_kernel.tally,
)  # fmt: skip


def test_what_is_warm_is_all_that_is_called() -> None:
    warm_up()
    settings = Settings("t", "e", "EUR", "", ((202601, True),), 1)
    header = read_header(",".join(COLUMNS).encode())
    line = b'"1",1,INCOME,e,2026-01-01,,A,,,,EUR,1,,,,\n'
    for data in (line, line.replace(b'"', b""), bytearray(line), pa.py_buffer(bytearray(line.replace(b'"', b"")))):
        assert parse_block(data, header, 0, 2, settings)[0].num_rows == 1
    assert [len(kernel.signatures) for kernel in _KERNELS] == [1] * len(_KERNELS)
