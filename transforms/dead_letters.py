"""A record that a core could not handle, as it goes to a dead-letter topic."""

from __future__ import annotations

from base64 import b64encode

import msgspec

_encode = msgspec.json.Encoder().encode


def dead_letter(topic: str, partition: int, offset: int, reason: str, remedy: str, at: int, value: bytes) -> bytes:
    """A record that could not be handled: where it is, why, what to do, log time in ms, and its bytes."""
    return _encode(
        {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "reason": reason,
            "remedy": remedy,
            "at": at,
            "size": len(value),
            "bytes": b64encode(value).decode(),
        }
    )
