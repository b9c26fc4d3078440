"""How deep JSON may nest is the same wherever it is read."""

from __future__ import annotations

import pytest

from transforms.load.notes import NoteError, decode_note
from transforms.nesting import MAX_DEPTH, too_deep

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "deep"),
    [
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, False),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), True),
        (b"[" + b"[]," * 1000 + b"[]]", False),
        (b'{"a":"' + b"[" * 1000 + b'"}', False),
        (b'{"a":"\\"' + b"[" * 1000 + b'"}', False),
        (b'{"a' + b"[" * 1000, True),
        (b"", False),
    ],
)
def test_only_brackets_outside_of_texts_count(value: bytes, deep: bool) -> None:
    assert too_deep(value) is deep


def test_a_notification_nested_without_end_is_no_notification() -> None:
    with pytest.raises(NoteError):
        decode_note(b'{"x":' + b"[" * 100_000)
