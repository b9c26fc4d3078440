"""Random requests come to the same books as in the plain model, and in whatever batches rows are posted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.subledger.plain import Plain
from tests.unit.subledger.real import Real
from tests.unit.subledger.rows import random_rows
from tests.unit.subledger.texts import Told, of_plain

pytestmark = pytest.mark.unit

_PERIODS = {202601: True, 202602: True, 202603: True}


def _rows(told: Told) -> list[tuple[str, str]]:
    """Rejected rows and kinds, without the column: of a row with two faults, either may be told."""
    return [(row, kind) for row, *_, kind in (reject.split(" ") for reject in told.rejects)]


def _same(found: Told, wanted: Told, where: str) -> None:
    assert _rows(found) == _rows(wanted), where
    assert found.entries == wanted.entries, where
    assert found.balances == wanted.balances, where
    for name, held in found.held.items():
        assert held == wanted.held[name], f"{where}: {name}"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from(["FIFO", "AVERAGE"]), st.sampled_from([1, 7, 1000]))
def test_requests_come_to_what_the_plain_model_says(seed: int, count: int, lots: str, batch: int) -> None:
    plain, real = Plain("ACME-EQ", "USD", lots, _PERIODS), Real("ACME-EQ", "USD", lots, _PERIODS, batch=batch)
    for request in range(3):
        rows = random_rows(seed + request, count, 1 + request * count, 1)
        # Some rows come again, in this request or in the next one.
        rows += rows[:: max(1, count // 3)]
        told = of_plain(plain, plain.load([rows[: count // 2], rows[count // 2 :]]))
        _same(real.load([rows[: count // 2], rows[count // 2 :]]), told, f"request {request + 1} of seed {seed}")
