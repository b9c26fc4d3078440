"""Rule files: fraud rules of cards, posting rules of the subledger."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.shared import Target
from tests.unit.cards import plain
from transforms.cards import rulesets
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.language import parse
from transforms.rule_text.places import RuleSetError
from transforms.subledger import rulesets as posting_sets
from transforms.subledger.rules import parse_rules


def card_rules(data: bytes) -> None:
    """A file of fraud rules: all its mistakes, each with a place, or a set that compiles."""
    try:
        found = parse(data.decode("utf-8", "surrogateescape"))
    except RuleSetError as error:
        _check_places(error)
        return
    compile_set(found)


def posting_rules(data: bytes) -> None:
    """A file of posting rules: all its mistakes, or a set."""
    try:
        parse_rules(data.decode("utf-8", "surrogateescape"))
    except RuleSetError as error:
        _check_places(error)


def _check_places(error: RuleSetError) -> None:
    assert error.mistakes
    assert all(one.line >= 1 and one.column >= 1 for one in error.mistakes)


def _texts(package: object) -> list[bytes]:
    folder = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    return [path.read_bytes() for path in sorted(folder.glob("*.yaml"))]


TARGETS = {
    "card-rules": Target(
        "files of fraud rules", card_rules,
        lambda: [plain.CAREFUL.encode(), plain.EASY.encode(), plain.BROKEN.encode(), *_texts(rulesets)],
    ),
    "posting-rules": Target("files of posting rules", posting_rules, lambda: _texts(posting_sets)),
}  # fmt: skip
