"""Products of two 64-bit numbers divided by a third, exactly: 128 bits between, rounded half to even."""

from __future__ import annotations

from typing import Final

import numpy as np

from transforms.jit import part, shared
from transforms.subledger.jit import LIMIT, NONE, long

# Compiled code computes with an unsigned and a signed number in floating point, so every number here is unsigned.
_ZERO: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_HALF_WORD: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_BASE: Final = np.uint64(1 << 32)
_TOP: Final = np.uint64(1 << 63)
_LIMIT: Final = np.uint64(LIMIT)


@part
def multiply_wide(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """High and low word of a x b."""
    a_high, a_low = a >> _HALF_WORD, a & _LOW
    b_high, b_low = b >> _HALF_WORD, b & _LOW
    low = a_low * b_low
    middle = a_high * b_low + (low >> _HALF_WORD)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF_WORD) + (other >> _HALF_WORD), a * b


@shared
def divide_wide(high: np.uint64, low: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Quotient and remainder of a number of two words, of which the high one is below the divisor.

    Long division with digits of 32 bits: Knuth, The Art of Computer Programming, 4.3.1, algorithm D.
    """
    shift = _ZERO
    while divisor & _TOP == _ZERO:
        divisor <<= _ONE
        shift += _ONE
    if shift > _ZERO:
        high = (high << shift) | (low >> (np.uint64(64) - shift))
        low <<= shift
    d_high, d_low = divisor >> _HALF_WORD, divisor & _LOW
    first, rest = _digit(high, low >> _HALF_WORD, divisor, d_high, d_low)
    second, rest = _digit(rest, low & _LOW, divisor, d_high, d_low)
    return (first << _HALF_WORD) | second, rest >> shift


@part
def _digit(
    high: np.uint64, next_digit: np.uint64, divisor: np.uint64, d_high: np.uint64, d_low: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """One digit of the quotient of (high, next_digit), and what is left."""
    digit = high // d_high
    rest = high - digit * d_high
    while digit >= _BASE or digit * d_low > ((rest << _HALF_WORD) | next_digit):
        digit -= _ONE
        rest += d_high
        if rest >= _BASE:
            break
    # Modulo 2^64: what is left is below the divisor.
    return digit, (high << _HALF_WORD) + next_digit - digit * divisor


@part
def magnitude(number: int) -> np.uint64:
    """A number without its sign."""
    return np.uint64(-number) if number < 0 else np.uint64(number)


@part
def times_over(a: int, b: int, divisor: int) -> int:
    """a x b / divisor, rounded half to even; NONE if it is `LIMIT` or more. The divisor is positive."""
    high, low = multiply_wide(magnitude(a), magnitude(b))
    by = np.uint64(divisor)
    if high >= by:
        return long(NONE)
    if high == _ZERO:
        quotient = low // by
        rest = low - quotient * by
    else:
        quotient, rest = divide_wide(high, low, by)
    left = by - rest
    if rest > left or (rest == left and quotient & _ONE != _ZERO):
        quotient += _ONE
    if quotient >= _LIMIT:
        return long(NONE)
    found = long(quotient)
    return -found if (a < 0) != (b < 0) else found


@part
def rounded(a: int, b: int, decimals: int, unit: int) -> int:
    """a x b in a smaller scale and in whole `unit`s of it, half to even; NONE if too large.

    `decimals` is the power of ten between the scale of the product and the scale wanted.
    """
    found = times_over(a, b, decimals * unit)
    if found == NONE or found >= LIMIT // unit or found <= -(LIMIT // unit):
        return long(NONE)
    return found * unit
