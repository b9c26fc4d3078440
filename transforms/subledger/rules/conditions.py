"""Conditions of posting rules, as `currency != base and account_ref like "FUND-*"`: read, and asked of all rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.rule_text.lexer import Cursor, Token
from transforms.rule_text.places import Source
from transforms.rule_text.yaml_reader import suggestion
from transforms.subledger.fields import ENTRY, scale_of

TEXTS: Final = ("source_id", "account_ref", "instrument", "currency", "fee_currency", "reference")
NUMBERS: Final = ("quantity", "price", "amount", "fee", "fx_rate", "version")
LATE: Final = "late"
BASE_NAME: Final = "base"
"""Stands for the entity's base currency."""
_MAX_DEPTH: Final = 32
_BASE: Final = "\0"
"""The base currency among texts to compare with; no text of a rule can be it."""
_COMPARE: Final = {
    "==": pc.equal, "!=": pc.not_equal, ">": pc.greater, ">=": pc.greater_equal, "<": pc.less, "<=": pc.less_equal,
}  # fmt: skip

Mask = npt.NDArray[np.bool_]


class Condition(ABC):
    """Something that holds for some rows."""

    @abstractmethod
    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        """For which rows (`ENTRY`) it holds. Missing texts are empty; a missing number passes no comparison."""


def _text(rows: pa.RecordBatch, name: str) -> pa.Array:
    return pc.fill_null(rows.column(name), "")


def _mask(found: pa.Array) -> Mask:
    mask: Mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


@dataclass(frozen=True, slots=True)
class CompareTexts(Condition):
    """A text column against texts: the same as one of them, or beginning with one that ends in *."""

    column: str
    texts: tuple[str, ...]
    prefixes: bool

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        found = _text(rows, self.column)
        texts = [base if text == _BASE else text for text in self.texts]
        if self.prefixes:
            return _mask(pc.starts_with(found, texts[0]))
        return _mask(pc.is_in(found, pa.array(texts, pa.string())))


@dataclass(frozen=True, slots=True)
class CompareColumns(Condition):
    """Two text columns that are the same."""

    left: str
    right: str

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        return _mask(pc.equal(_text(rows, self.left), _text(rows, self.right)))


@dataclass(frozen=True, slots=True)
class CompareNumber(Condition):
    """A number column against a number of its scale."""

    column: str
    op: str
    number: int

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        return _mask(_COMPARE[self.op](rows.column(self.column), self.number))


@dataclass(frozen=True, slots=True)
class Late(Condition):
    """The row is booked in another period than that of its trade date."""

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        return late_rows(rows)


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite."""

    part: Condition

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        return ~self.part.holds(rows, base)


@dataclass(frozen=True, slots=True)
class Every(Condition):
    """All of the parts."""

    parts: tuple[Condition, ...]

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        found: Mask = np.logical_and.reduce([part.holds(rows, base) for part in self.parts])
        return found


@dataclass(frozen=True, slots=True)
class Some(Condition):
    """One of the parts at least."""

    parts: tuple[Condition, ...]

    def holds(self, rows: pa.RecordBatch, base: str) -> Mask:
        found: Mask = np.logical_or.reduce([part.holds(rows, base) for part in self.parts])
        return found


def late_rows(rows: pa.RecordBatch) -> Mask:
    """Rows (`ENTRY`) that are booked in another period than that of their trade date."""
    dates = rows.column("trade_date")
    months = pc.add(pc.multiply(pc.year(dates), 100), pc.month(dates)).to_numpy()
    late: Mask = months != rows.column("period").to_numpy()
    return late


def parse_condition(source: Source, start: int, stop: int) -> Condition:
    """The condition in text[start:stop]. Raises RuleSetError with line and column."""
    return _Parser(source, start, stop).condition()


class _Parser(Cursor):
    def condition(self) -> Condition:
        """The whole text. Raises RuleSetError."""
        found = self._or()
        if self._next.kind != "end":
            raise self._error(self._next, f"unexpected {self._next.text!r} after the condition: and, or?")
        return found

    def _or(self) -> Condition:
        parts = [self._and()]
        while self._accept("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _and(self) -> Condition:
        parts = [self._not()]
        while self._accept("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _not(self) -> Condition:
        token = self._accept("not", "(")
        if token is None:
            return self._test()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(token, f"nested deeper than {_MAX_DEPTH} levels")
        if token.text == "not":
            found: Condition = Not(self._not())
        else:
            found = self._or()
            if self._accept(")") is None:
                raise self._error(self._next, "')' is missing")
        self._depth -= 1
        return found

    def _test(self) -> Condition:
        token = self._take()
        known = (*TEXTS, *NUMBERS, LATE)
        if token.kind != "name" or token.text not in known:
            seen = repr(token.text) if token.text else "the end"
            raise self._error(token, f"a condition starts with a column, found {seen}: {suggestion(token.text, known)}")
        if token.text == LATE:
            return Late()
        if self._accept("not"):
            if self._next.text != "in":
                raise self._error(self._next, "'in' is missing after 'not'")
            return Not(self._in(token))
        if self._next.text == "in":
            return self._in(token)
        if self._accept("like"):
            return self._like(token)
        sign = self._take()
        if sign.kind != "sign" or sign.text not in _COMPARE:
            seen = repr(sign.text) if sign.text else "the end"
            raise self._error(sign, f"{token.text} is compared with ==, !=, >, >=, <, <=, in or like, found {seen}")
        return self._text_test(token, sign) if token.text in TEXTS else self._number_test(token, sign)

    def _text_test(self, column: Token, sign: Token) -> Condition:
        if sign.text not in ("==", "!="):
            raise self._error(sign, f"{column.text} is a text: compare it with == or !=")
        value = self._take()
        if value.kind == "name" and value.text in TEXTS:
            found: Condition = CompareColumns(column.text, value.text)
        else:
            found = CompareTexts(column.text, (self._text_of(column, value),), False)
        return Not(found) if sign.text == "!=" else found

    def _text_of(self, column: Token, value: Token) -> str:
        if value.kind == "name" and value.text == BASE_NAME:
            return _BASE
        if value.kind != "text":
            raise self._error(value, f'{column.text} is compared with a text in double quotes, as in "A-1", or base')
        return value.text[1:-1]

    def _number_test(self, column: Token, sign: Token) -> Condition:
        minus = self._accept("-")
        value = self._take()
        if value.kind != "number":
            raise self._error(value, f"{column.text} is compared with a number")
        scale = scale_of(ENTRY.field(column.text)) or 0
        number = Fraction(value.text.replace("_", "")) * 10**scale
        if number.denominator != 1 or number >= 2**62:
            raise self._error(value, f"{column.text} has at most {scale} decimals and 18 digits")
        return CompareNumber(column.text, sign.text, -int(number) if minus else int(number))

    def _like(self, column: Token) -> Condition:
        value = self._take()
        if column.text not in TEXTS or value.kind != "text" or value.text.find("*") != len(value.text) - 2:
            raise self._error(value, 'like compares a text with its beginning, as in account_ref like "FUND-*"')
        return CompareTexts(column.text, (value.text[1:-2],), True)

    def _in(self, column: Token) -> Condition:
        self._take()
        if column.text not in TEXTS:
            raise self._error(column, f"{column.text} is a number: compare it with ==, >, >=, < or <=")
        if self._accept("[") is None:
            raise self._error(self._next, 'in needs a list, as in ["A-1", "A-2"]')
        values = [self._text_of(column, self._take())]
        while self._accept(","):
            values.append(self._text_of(column, self._take()))
        if self._accept("]") is None:
            raise self._error(self._next, "']' is missing")
        return CompareTexts(column.text, tuple(values), False)
