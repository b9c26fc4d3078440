"""Expressions of rules cut into tokens, each with its place in the rule file."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from transforms.rule_text.places import RuleSetError, Source

UNITS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""Units of durations in ms."""
MAX_NUMBER: Final = 2**53
"""Numbers are exact below this one."""

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?P<unit>[A-Za-z_][A-Za-z0-9_]*)?)"
    r'|(?P<text>"[^"\r\n]*")'
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>==|!=|>=|<=|[><+\-*/%()\[\],.])"
)
_HINTS: Final = {
    "=": "write == to compare",
    "!": "write != or not",
    "&": "write and",
    "|": "write or",
    "'": 'texts stand between double quotes: "001"',
    '"': "a text that does not end on its line",
    "#": "comments belong outside of expressions",
    "≥": "write >=",
    "≤": "write <=",
    "≠": "write !=",
}


class Token(NamedTuple):
    """A piece of an expression; `kind` is number, duration, text, name, sign or end; `at` is its index in the file."""

    kind: str
    text: str
    at: int
    value: float | int = 0

    @property
    def end(self) -> int:
        """Index after its last character."""
        return self.at + len(self.text)


def tokens(source: Source, start: int, stop: int) -> list[Token]:
    """The tokens of text[start:stop], then one of kind "end". Raises RuleSetError with line and column."""
    found = list[Token]()
    at = start
    while at < stop:
        match = _TOKEN.match(source.text, at, stop)
        if match is None:
            sign = source.text[at]
            raise source.error(at, f"{sign!r} means nothing here" + (f": {_HINTS[sign]}" if sign in _HINTS else ""))
        kind, text = str(match.lastgroup), match.group()
        if match["number"]:
            found.append(_number(source, at, match))
        elif kind != "space":
            found.append(Token(kind, text, at))
        at = match.end()
    found.append(Token("end", "", stop))
    return found


class Cursor:
    """Goes through the tokens of text[start:stop]; a domain's parser derives from it. Raises RuleSetError."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self._source = source
        self._tokens = tokens(source, start, stop)
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> Token | None:
        return self._take() if self._next.kind in ("sign", "name") and self._next.text in texts else None

    def _error(self, token: Token, message: str) -> RuleSetError:
        return self._source.error(token.at, message)


def _number(source: Source, at: int, match: re.Match[str]) -> Token:
    text, unit = match.group(), match["unit"] or ""
    digits = text[: len(text) - len(unit)].replace("_", "")
    value: float | int = float(digits) if "." in digits else int(digits)
    if unit:
        if unit not in UNITS:
            raise source.error(at, f"unknown unit {unit!r} in {text!r}: one of {', '.join(UNITS)}")
        value = value * UNITS[unit]
        if value != int(value):
            raise source.error(at, f"{text!r} is no whole number of milliseconds")
        value = int(value)
    if value >= MAX_NUMBER:
        raise source.error(at, f"{text!r} is too large: numbers are below 2^53")
    return Token("duration" if unit else "number", text, at, value)
