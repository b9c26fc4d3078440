"""The posting rules that ship: `standard`, which an entity may start with."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

from transforms.subledger.rules import PostingRules, parse_rules

SHIPPED: Final = ("standard",)


def text_of(name: str) -> str:
    """The text of a rule set that ships. Raises KeyError."""
    if name not in SHIPPED:
        raise KeyError(f"no posting rules {name!r} ship; there are {', '.join(SHIPPED)}")
    return files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@lru_cache(maxsize=len(SHIPPED))
def shipped(name: str) -> PostingRules:
    """Posting rules that ship, read. Raises KeyError."""
    return parse_rules(text_of(name), f"{name}.yaml")
