"""Which partition and which state cell a card lives in: two independent draws from one 64-bit mix of its number.

The mix is splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) of the card's 14
digits as a number: the partition is its upper 32 bits modulo the partitions, the cell 1 + its lower 32 bits modulo 63
(cell 0 holds what is not a card).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from transforms.cards.jit import part

CARD_CELLS: Final = 63
"""Cells 1 to 63 hold cards."""

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_CELLS = np.uint64(CARD_CELLS)
_ONE = np.uint64(1)


@part
def mix(card: np.uint64) -> np.uint64:
    """splitmix64 of one card number (compiled; `mixed` is the same for arrays)."""
    z = card + _STEP
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@part
def partition_of_mix(mixed: np.uint64, partitions: np.uint64) -> np.uint64:
    """The partition of a card whose mix this is."""
    return (mixed >> _32) % partitions


@part
def cell_of_mix(mixed: np.uint64) -> np.uint64:
    """The cell, 1 to 63, of a card whose mix this is."""
    return (mixed & _LOW) % _CELLS + _ONE


def mixed(cards: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64 of card numbers uint64[n]."""
    z = cards.astype(np.uint64, copy=False) + _STEP
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


def partitions_of(cards: npt.NDArray[np.uint64], partitions: int) -> npt.NDArray[np.int32]:
    """The partition, 0 to `partitions` - 1, of each card number: int32[n]."""
    return ((mixed(cards) >> _32) % np.uint64(partitions)).astype(np.int32)


def cells_of(cards: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """The state cell, 1 to 63, of each card number: uint8[n]."""
    return ((mixed(cards) & _LOW) % _CELLS + _ONE).astype(np.uint8)
