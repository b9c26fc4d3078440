"""What the targets of fuzzing share: several records in one input, and a checksum that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

END = b"\xff\xff\n"
"""Separates the records of an input; no text has it in it."""


@dataclass(frozen=True)
class Target:
    """A decoder to be fuzzed.

    `run` takes any bytes; what it raises is a fault, for it expects the errors that the decoder's docstring names.
    `seeds` are inputs that the decoder takes.
    """

    decoder: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def records_of(data: bytes) -> list[bytes]:
    """The records of an input."""
    return data.split(END)


def parts_of(data: bytes, count: int) -> list[bytes]:
    """Exactly so many records of an input, empty where it has fewer."""
    found = data.split(END, count - 1)
    return found + [b""] * (count - len(found))
