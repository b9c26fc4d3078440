"""Products over 128 bits are divided and rounded as whole numbers of any size are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.subledger import wide
from transforms.subledger.jit import LIMIT, NONE

pytestmark = pytest.mark.unit

_njit: Any = numba.njit
_SIGNED = st.integers(-(2**63) + 1, 2**63 - 1)
_ANY = st.one_of(
    _SIGNED, st.integers(-(10**9), 10**9), st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63) + 1, 2**32, 2**31])
)
_DIVISOR = st.one_of(st.integers(1, 2**63 - 1), st.integers(0, 16).map(lambda power: 10**power), st.integers(1, 10))


@_njit
def _divide(high: np.uint64, low: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    return wide.divide_wide(high, low, divisor)


@_njit
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    return wide.multiply_wide(a, b)


@_njit
def _times_over(a: int, b: int, divisor: int) -> int:
    return wide.times_over(a, b, divisor)


@_njit
def _rounded(a: int, b: int, decimals: int, unit: int) -> int:
    return wide.rounded(a, b, decimals, unit)


@settings(max_examples=2000, deadline=None)
@given(_ANY, _ANY, _DIVISOR)
@example(5, 1, 2)
@example(7, 1, 2)
@example(-5, 1, 2)
@example(2**63 - 1, 2**63 - 1, 2**63 - 1)
@example(10**18, 10**16, 10**16)
@example(10**18 - 1, 10**16, 10**16)
def test_a_product_is_divided_and_rounded_half_to_even(a: int, b: int, divisor: int) -> None:
    exact = round(Fraction(a * b, divisor))
    assert _times_over(a, b, divisor) == (exact if abs(exact) < LIMIT else NONE)


@settings(max_examples=2000, deadline=None)
@given(st.integers(1, 2**64 - 1), st.integers(0, 2**128 - 1))
@example(2**64 - 1, (2**64 - 2) << 64 | (2**64 - 1))
@example(2**63, (2**63 - 1) << 64 | (2**64 - 1))
@example(2**32 + 1, (2**32) << 64 | (2**64 - 1))
def test_two_words_are_divided_by_one(divisor: int, number: int) -> None:
    number %= divisor << 64
    found = _divide(np.uint64(number >> 64), np.uint64(number & (2**64 - 1)), np.uint64(divisor))
    assert tuple(map(int, found)) == divmod(number, divisor)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_two_words_are_multiplied(a: int, b: int) -> None:
    high, low = _multiply(np.uint64(a), np.uint64(b))
    assert int(high) << 64 | int(low) == a * b


@settings(max_examples=1000, deadline=None)
@given(st.integers(-LIMIT + 1, LIMIT - 1), st.integers(-LIMIT + 1, LIMIT - 1), st.sampled_from([1, 10, 100, 10**4]))
def test_amounts_are_rounded_to_the_units_of_their_currency(quantity: int, price: int, unit: int) -> None:
    exact = round(Fraction(quantity * price, 10**12 * unit)) * unit
    assert _rounded(quantity, price, 10**12, unit) == (exact if abs(exact) < LIMIT else NONE)
