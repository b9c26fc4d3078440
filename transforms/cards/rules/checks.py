"""What may be compared and calculated with what: texts with texts of their width, numbers with numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeGuard

from transforms.cards.fields import text_value
from transforms.cards.rules.model import (
    FIELD_TYPES,
    Aggregate,
    And,
    Arithmetic,
    At,
    Compare,
    Comparison,
    Constant,
    Field,
    In,
    ItemField,
    Not,
    Number,
    Or,
    Truth,
)
from transforms.rule_text.lexer import MAX_NUMBER, Token
from transforms.rule_text.places import Mistake, RuleSetError, Source

TRUTHS: Final = (Compare, In, Not, And, Or)
LONGEST_WINDOW_DAYS: Final = 3_650
LONGEST_WINDOW_MS: Final = LONGEST_WINDOW_DAYS * 86_400_000
_MIRROR: Final[dict[Comparison, Comparison]] = {"==": "==", "!=": "!=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}


@dataclass(frozen=True, slots=True)
class Literal:
    """A text between quotes that has not met its field yet."""

    value: str
    text: str


Part = Number | Truth | Literal


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation stands: indexes of its left side, its sign and its right side; its text; in a where?"""

    left: int
    sign: int
    right: int
    text: str
    in_where: bool


def field_of(part: Part) -> str | None:
    """The field of which a part is a value, if it is one as it stands."""
    if isinstance(part, Field | At) or (isinstance(part, ItemField) and not part.modulus):
        return part.field if isinstance(part, At) else part.name
    if isinstance(part, Aggregate) and part.kind == "last":
        return part.field
    return None


def width_of(part: Part) -> int | None:
    """Characters of a part that is a text field; None for a number."""
    name = field_of(part)
    return FIELD_TYPES[name].width if name else None


def is_text(part: Part) -> bool:
    """It is a text or a text field."""
    return isinstance(part, Literal) or width_of(part) is not None


def has_item(part: Part) -> bool:
    """A field of the item that a where looks at takes part (those within aggregates are of their own items)."""
    if isinstance(part, Arithmetic):
        return has_item(part.left) or has_item(part.right)
    return isinstance(part, ItemField)


class Checker:
    """Makes operations of parts that fit together; raises RuleSetError at the part that does not."""

    def __init__(self, source: Source, warnings: list[Mistake]) -> None:
        self._source = source
        self._warnings = warnings

    def _error(self, at: int, message: str) -> RuleSetError:
        return self._source.error(at, message)

    def _is_value(self, part: Part, at: int) -> None:
        if isinstance(part, TRUTHS):
            raise self._error(at, f"{part.text} is a condition, not a value")

    def _number(self, part: Part, at: int) -> Number:
        self._is_value(part, at)
        if is_text(part):
            raise self._error(at, f"{part.text} is a text: it can be compared, not calculated with")
        assert not isinstance(part, Literal | Compare | In | Not | And | Or)
        return part

    def constant(self, field: str, text: str, at: int) -> Constant:
        """A text as what rules compare; without a value, and with a warning, if the field cannot hold it."""
        width = FIELD_TYPES[field].width
        shown = f'"{text}"'
        if not text.isascii() or not text.isprintable():
            raise self._error(at, f"{shown} has characters other than printable ASCII")
        if len(text) != width:
            wrong = f"{shown} has {len(text)} characters, {field} has {width}"
        elif field == "card" and not text.isdigit():
            wrong = f"{shown} has characters other than digits, {field} has not"
        else:
            return Constant(text_value(text.encode()), shown)
        self._warnings.append(self._source.mistake(at, f"{wrong}: it never matches"))
        return Constant(None, shown)

    def comparison(self, op: Comparison, left: Part, right: Part, place: Place) -> Compare:
        """left op right. In a where, one side is a field of the item, and it comes to stand on the left."""
        self._is_value(left, place.left)
        self._is_value(right, place.right)
        one, other = self._fitting(op, left, right, place)
        if place.in_where:
            if has_item(one) == has_item(other):
                which = "both sides are" if has_item(one) else "neither side is"
                raise self._error(
                    place.sign, f"{which} of the item: a where compares a field of it with something else"
                )
            if has_item(other):
                one, other, op = other, one, _MIRROR[op]
        return Compare(op, one, other, place.text)

    def _fitting(self, op: Comparison, left: Part, right: Part, place: Place) -> tuple[Number, Number]:
        if isinstance(left, Literal) and isinstance(right, Literal):
            raise self._error(place.left, "both sides are texts: compare a field")
        if not is_text(left) and not is_text(right):
            return self._number(left, place.left), self._number(right, place.right)
        for part, other, at in ((left, right, place.right), (right, left, place.left)):
            if width_of(part) is not None and not is_text(other):
                example = f' as in "{other.value:0{width_of(part)}}"' if _is_whole(other) else ""
                raise self._error(
                    at, f"{field_of(part)} is a text, {other.text} is not: write texts in double quotes{example}"
                )
            if isinstance(part, Literal) and not is_text(other):
                quoted = place.left if part is left else place.right
                raise self._error(quoted, f"{part.text} is a text, {other.text} a number: write numbers without quotes")
        if op not in ("==", "!="):
            raise self._error(place.sign, f"texts have no order: compare them with == or !=, not {op}")
        found = list[Number]()
        for part, other, at in ((left, right, place.left), (right, left, place.right)):
            field = field_of(other)
            if isinstance(part, Literal):
                assert field is not None
                found.append(self.constant(field, part.value, at))
            else:
                assert not isinstance(part, TRUTHS)
                found.append(part)
        one, two = width_of(left), width_of(right)
        if one is not None and two is not None and one != two:
            raise self._error(place.sign, f"{left.text} has {one} characters, {right.text} {two}: they are never equal")
        return found[0], found[1]

    def membership(self, left: Part, values: list[tuple[str | int, int]], place: Place) -> Truth:
        """left in values; what is no plain field is compared with each."""
        self._is_value(left, place.left)
        if isinstance(left, Literal | Constant):
            raise self._error(place.left, f"{left.text} in ... : the left side must be a field or a number worked out")
        found = list[Constant]()
        field = field_of(left)
        for value, at in values:
            if is_text(left):
                assert field is not None
                if not isinstance(value, str):
                    width = FIELD_TYPES[field].width
                    raise self._error(at, f'{field} is a text: write its values in quotes, as in "{value:0{width}}"')
                found.append(self.constant(field, value, at))
            elif isinstance(value, str):
                raise self._error(at, f'{left.text} is a number, "{value}" is a text')
            else:
                found.append(Constant(value, str(value)))
        number = left
        assert not isinstance(number, TRUTHS)
        if place.in_where and not has_item(number):
            raise self._error(place.left, "a where must test a field of the item; this is none")
        if isinstance(number, Field | ItemField) and not (isinstance(number, ItemField) and number.modulus):
            known = {int(constant.value) for constant in found if constant.value is not None}
            return In(number, tuple(sorted(known)), place.text)
        return Or(tuple(Compare("==", number, each, f"{left.text} == {each.text}") for each in found), place.text)

    def arithmetic(self, op: str, left: Part, right: Part, place: Place) -> Number:
        """left op right for + - * / %; constants are worked out at once."""
        one, two = self._number(left, place.left), self._number(right, place.right)
        if op in "/%" and isinstance(two, Constant) and two.value == 0:
            raise self._error(place.right, "division by zero")
        if isinstance(one, Constant) and isinstance(two, Constant):
            return self._constants(op, one, two, place)
        if has_item(one) or has_item(two):
            return self._of_item(op, one, two, place)
        return Arithmetic(op, one, two, place.text)

    def _constants(self, op: str, one: Constant, two: Constant, place: Place) -> Constant:
        a, b = one.value, two.value
        assert a is not None
        assert b is not None
        value: float | int = (
            a + b if op == "+" else a - b if op == "-" else a * b if op == "*" else a / b if op == "/" else a % b
        )
        if abs(value) >= MAX_NUMBER:
            raise self._error(place.sign, "the result is too large: numbers are below 2^53")
        return Constant(int(value) if value == int(value) else value, place.text)

    def _of_item(self, op: str, one: Number, two: Number, place: Place) -> ItemField:
        plain = isinstance(one, ItemField) and not one.modulus
        if op == "%" and plain and isinstance(two, Constant) and isinstance(two.value, int) and two.value > 0:
            assert isinstance(one, ItemField)
            return ItemField(one.name, two.value, place.text)
        raise self._error(
            place.sign,
            "a where calculates nothing with a field of the item, but its remainder by a positive whole number, as in "
            "amount % 1000 == 0; put the calculation on the other side",
        )

    def aggregated(self, name: Token, field: str | None, at: int) -> None:
        """Whether a function of items may have this field (None: none was given)."""
        if name.text == "count":
            if field is not None:
                raise self._error(at, "count takes no field: it counts items, as in count(past within 1h)")
        elif field is None:
            raise self._error(at, f"{name.text} needs a field, as in {name.text}(amount within 1h)")
        elif FIELD_TYPES[field].width is not None and name.text not in ("distinct", "last"):
            raise self._error(at, f"{field} is a text: {name.text} needs a number")


def _is_whole(part: Part) -> TypeGuard[Constant]:
    return isinstance(part, Constant) and isinstance(part.value, int) and part.value >= 0
