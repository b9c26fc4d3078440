"""Rule sets as people name them: one that ships, or a file."""

from __future__ import annotations

from pathlib import Path

from transforms.cards.rules.language import parse
from transforms.cards.rules.model import RuleSet
from transforms.cards.rulesets import SHIPPED, text_of


class NoRuleFile(ValueError):
    """Neither the name of a set that ships nor a text file; the message says why."""


def read_set(named: str) -> RuleSet:
    """A rule set that ships, by name, or one in a file. Raises RuleSetError, NoRuleFile."""
    if named in SHIPPED:
        return parse(text_of(named), f"{named}.yaml")
    try:
        data = Path(named).read_bytes()
    except OSError as error:
        raise NoRuleFile(f"{named}: {error.strerror}; it is no file and none of {', '.join(SHIPPED)}") from None
    try:
        return parse(data.decode("utf-8-sig"), named)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise NoRuleFile(f"{named}: line {line}, column {column}: no UTF-8: {error.reason}") from None
