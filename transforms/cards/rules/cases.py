"""Cases of scoring as JSON lines, and transactions written as text, as the items that rules are evaluated on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import (
    AMOUNT,
    CARD,
    CITY,
    CODE,
    COUNTRY,
    CURRENCY,
    FIELDS,
    HISTORY,
    MAX_AMOUNT,
    MAX_CODE,
    MAX_TIME_DIGITS,
    MERCHANT,
    MIN_CODE,
    RESPONSE,
    TIME,
    WIDTHS,
    text_value,
)  # fmt: skip
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rules.program import Program

WRAPS: Final = "int32-wrap"
"""The group in which the original's sums pass 2^31 and wrap. Ours do not, so these need not agree."""
_ORDER: Final = (
    ("card", CARD), ("timestamp", TIME), ("country", COUNTRY), ("response", RESPONSE), ("amount", AMOUNT),
    ("currency", CURRENCY), ("merchant", MERCHANT), ("city", CITY), ("code", CODE),
)  # fmt: skip


class CaseFileError(ValueError):
    """A file of cases that cannot be read; the message names line and reason."""


@dataclass(frozen=True, slots=True)
class Case:
    """A card's last 20 before a transaction, the transaction, and what the original engine said."""

    id: int
    group: str
    items: NDArray[np.int64]
    """[FIELDS, n] as `evaluate` takes them, the incoming transaction last."""
    fraud: bool
    rule: int
    """Number of the first rule that fired, 0 if none."""


def row_of(text: str) -> list[int]:
    """The FIELDS values of a transaction written as `card,timestamp,...,code`. Raises ValueError naming the field."""
    parts = text.split(",")
    if len(parts) != len(_ORDER):
        raise ValueError(f"{text!r} has {len(parts)} fields, not {len(_ORDER)}")
    row = [0] * FIELDS
    for (name, index), part in zip(_ORDER, parts, strict=True):
        row[index] = _value(name, part)
    return row


def _value(name: str, text: str) -> int:
    if not text.isascii():
        raise ValueError(f"{name} {text!r} is not ASCII")
    if name in ("timestamp", "amount"):
        if not text.isdigit() or len(text) > MAX_TIME_DIGITS or (name == "amount" and int(text) > MAX_AMOUNT):
            raise ValueError(f"{name} {text!r} is no whole number in range")
        return int(text)
    shortest, longest = (MIN_CODE, MAX_CODE) if name == "code" else (WIDTHS[name], WIDTHS[name])
    if not shortest <= len(text) <= longest:
        raise ValueError(f"{name} {text!r} has {len(text)} characters")
    if name == "card" and not text.isdigit():
        raise ValueError(f"card {text!r} is not all digits")
    return text_value(text[: WIDTHS[name]].encode())


def items_of(history: Sequence[str], incoming: str) -> NDArray[np.int64]:
    """Items [FIELDS, n] of a card: its last 19 and the incoming transaction. Raises ValueError."""
    kept = [*history, incoming][-HISTORY:]
    return np.ascontiguousarray(np.array([row_of(each) for each in kept], np.int64).T)


def read_cases(lines: Iterable[str]) -> Iterator[Case]:
    """Cases of a file's lines; empty lines are passed over. Raises CaseFileError."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _case(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
                raise CaseFileError(f"line {number}: {reason}") from None


def _case(found: Any) -> Case:
    items = items_of(found["history"], found["txn"])
    return Case(int(found["id"]), str(found["group"]), items, bool(found["fraud"]), int(found["rule"]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program said of a case."""

    case: Case
    rule: int

    @property
    def agrees(self) -> bool:
        """Fraud and rule are those of the case."""
        return self.rule == self.case.rule and (self.rule > 0) == self.case.fraud

    @property
    def excepted(self) -> bool:
        """It need not agree."""
        return self.case.group == WRAPS


def run(program: Program, cases: Iterable[Case], rules: int) -> Iterator[Outcome]:
    """What a program of so many rules says of each case."""
    hits = np.zeros(max(rules, 1), np.uint8)
    for case in cases:
        yield Outcome(case, int(evaluate(program, case.items, case.items.shape[1], hits)))
