"""The rule book in a snapshot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cards import plain
from transforms.cards.rulebook import BookState
from transforms.cards.snapshot import decode_main, encode_main
from transforms.core import SnapshotError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "change",
    [
        lambda book: setattr(book, "active", 1), lambda book: setattr(book, "active", -1),
        lambda book: setattr(book, "shadow", 1), lambda book: setattr(book, "shadow", -2),
        lambda book: setattr(book.sets[0], "number", 0), lambda book: setattr(book.sets[0], "number", 2),
        lambda book: setattr(book, "numbered", []), lambda book: setattr(book, "sets", []),
    ],
)  # fmt: skip
def test_a_rule_book_that_names_sets_it_does_not_have_is_refused(change: Callable[[BookState], None]) -> None:
    main = decode_main(dict(plain.make_core().dump())[0], "")
    change(main.book)
    with pytest.raises(SnapshotError, match="its rule book names sets that it does not have"):
        plain.make_core().load({0: (0, encode_main(main))})
