"""Conditions as rules write them, read and checked: `amount > 3 * mean(past amount) and country != "001"`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from transforms.cards.fields import HISTORY
from transforms.cards.rules import checks as types
from transforms.cards.rules.model import (
    AGGREGATES,
    FIELD_TYPES,
    Aggregate,
    And,
    At,
    Constant,
    Field,
    ItemField,
    NativeCall,
    Not,
    Number,
    Or,
    Selection,
    Truth,
)
from transforms.cards.rules.native import NATIVES
from transforms.rule_text.lexer import Cursor, Token
from transforms.rule_text.places import Mistake, RuleSetError, Source
from transforms.rule_text.yaml_reader import suggestion

COMPARISONS: Final = ("==", "!=", ">", ">=", "<", "<=")
WINDOWS: Final = ("within", "ladder", "before")
_WORDS: Final = (*WINDOWS, "and", "or", "not", "in", "past", "where", "this")
MAX_DEPTH: Final = 32
_FUNCTIONS: Final = (*AGGREGATES, "at", *NATIVES)


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list that a rule set names: texts or numbers."""

    values: tuple[str | int, ...]


Part = Number | Truth | types.Literal


class Parser(Cursor):
    """Reads one condition. `warnings` gets what is legal and odd."""

    def __init__(
        self, source: Source, start: int, stop: int, lists: Mapping[str, NamedList], warnings: list[Mistake]
    ) -> None:
        super().__init__(source, start, stop)
        self._lists = lists
        self._check = types.Checker(source, warnings)
        self._in_where = False

    def condition(self) -> Truth:
        """The whole text as a condition. Raises RuleSetError with line and column."""
        if self._next.kind == "end":
            raise self._error(self._next, "a condition is missing")
        start = self._next
        found = self._truth(self._or(), start)
        if self._next.kind != "end":
            hint = "comparisons cannot be chained; join them with and" if self._next.text in COMPARISONS else "and, or?"
            raise self._error(self._next, f"unexpected {self._next.text!r} after the condition: {hint}")
        return found

    def _expect(self, text: str, why: str) -> Token:
        found = self._accept(text)
        if found is None:
            seen = repr(self._next.text) if self._next.text else "the end"
            raise self._error(self._next, f"{text!r} is missing {why}, found {seen}")
        return found

    def _since(self, start: Token) -> str:
        return " ".join(self._source.text[start.at : self._tokens[self._at - 1].end].split())

    def _truth(self, part: Part, start: Token) -> Truth:
        if isinstance(part, types.TRUTHS):
            return part
        text, sign = self._since(start), "==" if types.is_text(part) else ">"
        raise self._error(start, f"{text} is no condition: compare it, as in {text} {sign} ...")

    def _deeper(self, start: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(start, f"nested deeper than {MAX_DEPTH} levels")

    def _joined(self, word: str, part: Callable[[], Part], make: type[And] | type[Or]) -> Part:
        start = self._next
        first = part()
        if self._next.text != word:
            return first
        parts = [self._truth(first, start)]
        while self._accept(word):
            start_of_part = self._next
            parts.append(self._truth(part(), start_of_part))
        return make(tuple(parts), self._since(start))

    def _or(self) -> Part:
        return self._joined("or", self._and, Or)

    def _and(self) -> Part:
        return self._joined("and", self._not, And)

    def _not(self) -> Part:
        start = self._accept("not")
        if start is None:
            return self._comparison()
        self._deeper(start)
        first = self._next
        part = self._truth(self._not(), first)
        self._depth -= 1
        return Not(part, self._since(start))

    def _comparison(self) -> Part:
        start = self._next
        left = self._sum()
        if self._next.kind == "sign" and self._next.text in COMPARISONS:
            sign = self._take()
            second = self._next
            right = self._sum()
            place = types.Place(start.at, sign.at, second.at, self._since(start), self._in_where)
            return self._check.comparison(sign.text, left, right, place)  # type: ignore[arg-type]
        negated = self._next.text == "not" and self._tokens[self._at + 1].text == "in"
        if not negated and self._next.text != "in":
            return left
        sign = self._take()
        if negated:
            self._take()
        values = self._values()
        place = types.Place(start.at, sign.at, sign.at, self._since(start), self._in_where)
        found = self._check.membership(left, values, place)
        return Not(found, place.text) if negated else found

    def _values(self) -> list[tuple[str | int, int]]:
        """A list in brackets or by name: values, each with its place."""
        token = self._take()
        if token.kind == "name":
            if token.text not in self._lists:
                known = f": {suggestion(token.text, self._lists)}" if self._lists else ", there are none"
                raise self._error(token, f"unknown list {token.text!r}{known}")
            return [(value, token.at) for value in self._lists[token.text].values]
        if token.text != "[":
            raise self._error(token, 'in needs a list, as in ["001", "002"], or the name of one')
        found = list[tuple[str | int, int]]()
        while True:
            value = self._take()
            if value.kind == "text":
                found.append((value.text[1:-1], value.at))
            elif value.kind in ("number", "duration") and isinstance(value.value, int):
                found.append((value.value, value.at))
            else:
                raise self._error(value, "a list has texts in double quotes or whole numbers")
            if self._accept("]"):
                return found
            self._expect(",", "between the values of a list")

    def _chain(self, signs: tuple[str, ...], part: Callable[[], Part]) -> Part:
        start = self._next
        left = part()
        while self._next.kind == "sign" and self._next.text in signs:
            sign = self._take()
            second = self._next
            right = part()
            place = types.Place(start.at, sign.at, second.at, self._since(start), self._in_where)
            left = self._check.arithmetic(sign.text, left, right, place)
        return left

    def _sum(self) -> Part:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Part:
        return self._chain(("*", "/", "%"), self._signed)

    def _signed(self) -> Part:
        start = self._accept("-")
        if start is None:
            return self._single()
        self._deeper(start)
        second = self._next
        part = self._signed()
        self._depth -= 1
        place = types.Place(start.at, start.at, second.at, self._since(start), self._in_where)
        return self._check.arithmetic("-", Constant(0, "0"), part, place)

    def _single(self) -> Part:
        token = self._take()
        if token.kind in ("number", "duration"):
            return Constant(token.value, token.text)
        if token.kind == "text":
            return types.Literal(token.text[1:-1], token.text)
        if token.text == "(":
            self._deeper(token)
            found = self._or()
            self._expect(")", f"to close the one at column {self._source.mistake(token.at, '').column}")
            self._depth -= 1
            text = self._since(token)
            return found if isinstance(found, types.Literal) else replace(found, text=text)
        if token.kind != "name":
            seen = repr(token.text) if token.text else "the end"
            raise self._error(token, f"expected a field, a number, a text or a function, found {seen}")
        if self._next.text == "(" and token.text not in _WORDS:
            return self._function(token)
        if token.text == "this":
            self._expect(".", "after this, as in this.country")
            name = self._field_name()
            return Field(name, f"this.{name}")
        if token.text in FIELD_TYPES:
            name = token.text
            return ItemField(name, 0, name) if self._in_where else Field(name, name)
        raise self._unknown(token)

    def _unknown(self, token: Token) -> RuleSetError:
        if token.text in _FUNCTIONS:
            return self._error(
                token, f"{token.text} needs brackets, as in {_EXAMPLES.get(token.text, token.text + '()')}"
            )
        if token.text in _WORDS:
            return self._error(token, f"{token.text!r} cannot stand here")
        if token.text in self._lists:
            return self._error(token, f"{token.text!r} is a list: write in {token.text}")
        if token.text.lower() in ("true", "false", "none", "null"):
            return self._error(token, f"there is no {token.text}: a condition compares something")
        return self._error(token, f"unknown field {token.text!r}: {suggestion(token.text, FIELD_TYPES)}")

    def _field_name(self) -> str:
        token = self._take()
        if token.text not in FIELD_TYPES:
            if token.kind != "name":
                raise self._error(token, f"a field is missing, found {repr(token.text) if token.text else 'the end'}")
            raise self._unknown(token)
        return token.text

    def _function(self, name: Token) -> Number:
        self._deeper(name)
        self._expect("(", "")
        if name.text in AGGREGATES:
            found: Number = self._aggregate(name)
        elif name.text == "at":
            found = self._position(name)
        elif name.text in NATIVES:
            self._expect(")", f"after {name.text}(")
            found = NativeCall(name.text, self._since(name))
        else:
            raise self._error(name, f"unknown function {name.text!r}: {suggestion(name.text, _FUNCTIONS)}")
        self._depth -= 1
        return found

    def _position(self, name: Token) -> At:
        minus = self._accept("-")
        token = self._take()
        if token.kind != "number" or not isinstance(token.value, int):
            raise self._error(token, "at needs a position, 0 for the oldest item or -1 for the incoming one")
        position = -token.value if minus else token.value
        if not -HISTORY <= position < HISTORY:
            raise self._error(token, f"a card has {HISTORY} transactions: positions are -{HISTORY} to {HISTORY - 1}")
        self._expect(",", "between position and field, as in at(-2, amount)")
        field = self._field_name()
        self._expect(")", "after the field")
        return At(position, field, self._since(name))

    def _aggregate(self, name: Token) -> Aggregate:
        outer, self._in_where = self._in_where, False
        past = self._accept("past") is not None or name.text == "last"
        field = None
        at = self._next
        if self._next.kind == "name" and self._next.text not in (*WINDOWS, "where"):
            field = self._field_name()
        self._check.aggregated(name, field, at.at)
        windows = self._windows()
        where = None
        if word := self._accept("where"):
            self._in_where = True
            start = self._next
            if start.text == ")":
                raise self._error(word, "where without a condition")
            where = self._truth(self._or(), start)
        self._in_where = outer
        self._expect(")", f"to close {name.text}(")
        selection = Selection(past, windows.get("within"), windows.get("ladder"), windows.get("before"), where)
        return Aggregate(name.text, field, selection, self._since(name))

    def _windows(self) -> dict[str, int]:
        found = dict[str, int]()
        while word := self._accept(*WINDOWS):
            length = self._take()
            if word.text in found:
                raise self._error(word, f"{word.text} is given twice")
            if length.kind != "duration":
                raise self._error(length, f"{word.text} needs a duration with a unit, as in {word.text} 30d")
            if not 0 < length.value <= types.LONGEST_WINDOW_MS:
                raise self._error(length, f"{word.text} must be above 0 and at most {types.LONGEST_WINDOW_DAYS}d")
            found[word.text] = int(length.value)
        if "ladder" in found and len(found) > 1:
            raise self._error(self._tokens[self._at - 1], "a ladder stands alone: no within or before beside it")
        if found.get("before", 0) >= found.get("within", types.LONGEST_WINDOW_MS + 1):
            raise self._error(self._tokens[self._at - 1], "before must be shorter than within: no item is in between")
        return found


_EXAMPLES: Final = {
    "count": "count(within 1h)",
    "at": "at(-2, amount)",
    **{name: f"{name}(amount within 1h)" for name in AGGREGATES if name != "count"},
}


def parse_condition(
    source: Source, start: int, stop: int, lists: Mapping[str, NamedList], warnings: list[Mistake]
) -> Truth:
    """Read text[start:stop] as a condition. Raises RuleSetError with line and column."""
    return Parser(source, start, stop, lists, warnings).condition()
