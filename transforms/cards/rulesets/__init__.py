"""The rule sets that ship: `seed` (the certification's 49 rules) and `default` (what a card issuer may start with)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

from transforms.cards.rules.language import parse
from transforms.cards.rules.model import RuleSet

SHIPPED: Final = ("seed", "default")


def text_of(name: str) -> str:
    """The text of a rule set that ships. Raises KeyError."""
    if name not in SHIPPED:
        raise KeyError(f"no rule set {name!r} ships; there are {', '.join(SHIPPED)}")
    return files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@lru_cache(maxsize=len(SHIPPED))
def shipped(name: str) -> RuleSet:
    """A rule set that ships, read. Raises KeyError."""
    return parse(text_of(name), f"{name}.yaml")
