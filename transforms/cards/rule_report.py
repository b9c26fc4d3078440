"""What a shard says of its rules: a JSON record with its first transaction and one with every control record.

They go to the partition of the shard, so the first of a partition says what its verdicts began with, and the last what
decides there now.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from transforms.cards.rulebook import Refusal, RuleBook
from transforms.cards.rules.model import Mode


class SetReport(msgspec.Struct):
    """A loaded set: number of rules, and the modes that differ from its file's, by rule."""

    name: str
    version: str
    state: Literal["active", "shadow", "loaded"]
    rules: int
    changed: dict[str, Mode]
    description: str


class RefusalReport(msgspec.Struct):
    """Why a command changed nothing, and what to do."""

    reason: str
    remedy: str


class Beginning(msgspec.Struct):
    """What the verdicts of a partition follow from beside its log."""

    rules: str
    """Text of the rule file that decided first."""
    history: str
    """Digest of the loaded histories; empty without."""


class RuleReport(msgspec.Struct, omit_defaults=True):
    """The sets after the record at `offset` of the transactions, at log time `at` (ms).

    `id` is that of the command, empty if it was none; `began` comes with the first record of a partition.
    """

    offset: int
    at: int
    sets: list[SetReport]
    id: str = ""
    refused: RefusalReport | None = None
    began: Beginning | None = None


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(RuleReport).decode


def report(
    book: RuleBook, offset: int, at: int, *, id: str = "", refusal: Refusal | None = None,
    began: Beginning | None = None,
) -> bytes:  # fmt: skip
    """The record of what the book says after the record at `offset`."""
    sets = [
        SetReport(
            kept.rules.name,
            kept.rules.version,
            "active" if key == book.active else "shadow" if key == book.shadow else "loaded",
            len(kept.rules.rules),
            kept.modes,
            kept.rules.description,
        )
        for key, kept in book.sets.items()
    ]
    refused = None if refusal is None else RefusalReport(*refusal)
    return encode(RuleReport(offset, at, sets, id, refused, began))
