"""Amounts of lines as rules write them, such as `gross + 0.5 * fee`: read into a coefficient for each part."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from transforms.rule_text.lexer import Cursor, Token
from transforms.rule_text.places import Source
from transforms.rule_text.yaml_reader import suggestion
from transforms.subledger.fields import BUY, FX, INCOME, REVALUE, SELL
from transforms.subledger.rules.model import AMOUNTS, COST, COUNTER, FEE_AMOUNT, GROSS, ONE, UNREALISED

_LARGEST: Final = 1_000
_MAX_DEPTH: Final = 16
Form = tuple[Fraction, ...]
"""A coefficient per part, and after them the constant."""


def _form(*parts: tuple[int, int]) -> Form:
    found = [Fraction(0)] * (AMOUNTS + 1)
    for place, coefficient in parts:
        found[place] = Fraction(coefficient)
    return tuple(found)


def names_of(event_class: int) -> dict[str, Form]:
    """The names that amounts of a class can have."""
    if event_class == REVALUE:
        return {"unrealised": _form((UNREALISED, 1))}
    names = {"gross": _form((GROSS, 1)), "amount": _form((GROSS, 1)), "fee": _form((FEE_AMOUNT, 1))}
    if event_class == BUY:
        names["net"] = _form((GROSS, 1), (FEE_AMOUNT, 1))
    if event_class in (SELL, INCOME):
        names["net"] = _form((GROSS, 1), (FEE_AMOUNT, -1))
    if event_class == SELL:
        names["cost"] = _form((COST, 1))
        names["gain"] = _form((GROSS, 1), (COST, -1))
    if event_class == FX:
        names["counter"] = _form((COUNTER, 1))
    return names


def parse_amount(source: Source, start: int, stop: int, event_class: int) -> tuple[int, ...]:
    """The coefficients, in 10^-8, of text[start:stop]. Raises RuleSetError with line and column."""
    return _Parser(source, start, stop, names_of(event_class)).form()


class _Parser(Cursor):
    def __init__(self, source: Source, start: int, stop: int, names: dict[str, Form]) -> None:
        super().__init__(source, start, stop)
        self._names = names

    def form(self) -> tuple[int, ...]:
        """The whole text. Raises RuleSetError."""
        first = self._next
        found = self._sum()
        if self._next.kind != "end":
            raise self._error(self._next, f"unexpected {self._next.text!r} after the amount")
        if found[AMOUNTS]:
            raise self._error(first, "a number alone is no amount: it stands before *, as in 0.5 * fee")
        if not any(found):
            raise self._error(first, "this amount is always 0")
        scaled = [coefficient * ONE for coefficient in found[:AMOUNTS]]
        if any(each.denominator != 1 for each in scaled):
            raise self._error(first, "a factor has more than 8 decimals; rounding goes to the rounding account")
        if any(abs(each) > _LARGEST * ONE for each in scaled):
            raise self._error(first, f"a factor is larger than {_LARGEST}")
        if (found[COUNTER] or found[UNREALISED]) and (found[GROSS] or found[FEE_AMOUNT] or found[COST]):
            raise self._error(first, "adds amounts in the base currency to those of another one: make two lines")
        return tuple(int(each) for each in scaled)

    def _sum(self) -> Form:
        found = self._product()
        while self._next.kind == "sign" and self._next.text in ("+", "-"):
            sign = -1 if self._take().text == "-" else 1
            found = tuple(one + sign * two for one, two in zip(found, self._product(), strict=True))
        return found

    def _product(self) -> Form:
        found = self._single()
        while self._next.kind == "sign" and self._next.text in ("*", "/"):
            sign = self._take()
            other = self._single()
            found = self._divided(sign, found, other) if sign.text == "/" else self._multiplied(sign, found, other)
        return found

    def _multiplied(self, sign: Token, one: Form, two: Form) -> Form:
        if any(one[:AMOUNTS]) and any(two[:AMOUNTS]):
            raise self._error(sign, "an amount can be multiplied by numbers only")
        by, form = (two, one) if any(one[:AMOUNTS]) else (one, two)
        return tuple(coefficient * by[AMOUNTS] for coefficient in form)

    def _divided(self, sign: Token, one: Form, two: Form) -> Form:
        if any(two[:AMOUNTS]) or not two[AMOUNTS]:
            raise self._error(sign, "an amount can be divided by numbers other than 0 only")
        return tuple(coefficient / two[AMOUNTS] for coefficient in one)

    def _single(self) -> Form:
        token = self._take()
        if token.kind == "number":
            return (Fraction(0),) * AMOUNTS + (Fraction(token.text.replace("_", "")),)
        if token.kind == "name":
            if token.text not in self._names:
                hint = suggestion(token.text, self._names)
                raise self._error(token, f"no amount {token.text!r} for events of this class: {hint}")
            return self._names[token.text]
        if token.kind == "sign" and token.text in ("(", "-"):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise self._error(token, f"nested deeper than {_MAX_DEPTH} levels")
            if token.text == "-":
                found = tuple(-coefficient for coefficient in self._single())
            else:
                found = self._sum()
                if self._next.text != ")":
                    raise self._error(self._next, "')' is missing")
                self._take()
            self._depth -= 1
            return found
        seen = repr(token.text) if token.text else "the end"
        raise self._error(token, f"an amount is missing, found {seen}: one of {', '.join(self._names)}")
