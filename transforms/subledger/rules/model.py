"""Posting rules in memory, and the arrays that the kernel of the book looks into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from transforms.subledger.jit import Longs
from transforms.subledger.rules.conditions import Condition

GROSS, FEE_AMOUNT, COST, COUNTER, UNREALISED = range(5)
AMOUNTS: Final = 5
"""What amounts are made of; a form has a coefficient for each, in 10^-8."""
ONE: Final = 10**8
ROUNDING: Final = "rounding"
"""The role that gets what rounding leaves."""

ENTERED, FEE_UNIT, BASE = range(3)
"""Whose currency a line is in: the row's, its fee's, or the base currency."""
LINE_SIDE, LINE_ROLE, LINE_UNIT, LINE_LOT, LINE_MIXES_FEE, LINE_EXACT, LINE_FORM = range(7)
"""Columns of `Program.lines`; the form takes the last five. MIXES_FEE: adds the fee to amounts of the row. EXACT: all
coefficients are whole numbers."""


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One line that a rule makes."""

    role: str
    side: int
    form: tuple[int, ...]
    lot: bool
    """Opens the lot of a BUY, or is split over the lots of a SELL."""
    text: str

    @property
    def unit(self) -> int:
        """Whose currency the line is in."""
        if self.form[COUNTER] or self.form[UNREALISED]:
            return BASE
        return FEE_UNIT if self.form[FEE_AMOUNT] and not (self.form[GROSS] or self.form[COST]) else ENTERED


@dataclass(frozen=True, slots=True)
class PostingRule:
    """What an event of a class becomes, if the condition holds and none before it did."""

    name: str
    description: str
    event_class: int
    when: Condition | None
    lines: tuple[RuleLine, ...]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The account that a role has for an account_ref."""

    exact: Mapping[str, str]
    prefixes: tuple[tuple[str, str], ...]
    """Longest first."""
    default: str | None

    def account(self, account_ref: str) -> str | None:
        """Exact first, then the longest prefix, then the default."""
        found = self.exact.get(account_ref)
        if found is not None:
            return found
        for prefix, account in self.prefixes:
            if account_ref.startswith(prefix):
                return account
        return self.default


class Program(NamedTuple):
    """Rules as numbers."""

    first: Longs
    """Per rule and after the last one, where its lines begin."""
    uses_fee: Longs
    lines: Longs
    """[m, 11]"""


@dataclass(frozen=True, slots=True)
class PostingRules:
    """A rule set of a tenant."""

    name: str
    basis: str
    description: str
    rules: tuple[PostingRule, ...]
    mapping: Mapping[str, Accounts]
    text: str
    version: str
    """SHA-256 of the text, in hexadecimal digits."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the mapping; a role's number is its place."""
        return tuple(self.mapping)

    @property
    def accounts(self) -> frozenset[str]:
        """Every account that something may be booked to."""
        every = set[str]()
        for one in self.mapping.values():
            every.update(one.exact.values(), (account for _, account in one.prefixes))
            if one.default is not None:
                every.add(one.default)
        return frozenset(every)

    def program(self) -> Program:
        """The rules as the kernel takes them."""
        first, lines = [0], []
        roles = {role: number for number, role in enumerate(self.roles)}
        for rule in self.rules:
            for line in rule.lines:
                mixes = bool(line.form[FEE_AMOUNT]) and line.unit == ENTERED
                exact = all(coefficient % ONE == 0 for coefficient in line.form)
                lines.append((line.side, roles[line.role], line.unit, line.lot, mixes, exact, *line.form))
            first.append(len(lines))
        fees = [any(line.form[FEE_AMOUNT] for line in rule.lines) for rule in self.rules]
        table = np.array(lines, np.int64).reshape(-1, LINE_FORM + AMOUNTS)
        return Program(np.array(first, np.int64), np.array(fees, np.int64), table)
