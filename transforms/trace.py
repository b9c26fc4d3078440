"""W3C trace context as Kafka headers: what of a record's headers goes to the records it causes.

OpenTelemetry's Kafka instrumentation, Mojaloop's among them, puts `traceparent` and `tracestate` into headers
(https://www.w3.org/TR/trace-context/). They say nothing about money: what is malformed is left out and changes nothing
else. `baggage` is left out too, since anything may be in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, bytes | None]]
Trace = tuple[tuple[str, bytes], ...]
"""Kafka headers: traceparent, and tracestate if there is one."""

MAX_STATE: Final = 512
"""Longest tracestate in bytes; the specification asks for that much at least."""

_IDS = rb"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
# Version 00 ends after the flags; later ones may go on after a dash. There is no version ff.
_PARENT: Final = re.compile(rb"00" + _IDS + rb"|(?!00|ff)[0-9a-f]{2}" + _IDS + rb"(?:-[!-~]{1,128})?")
_STATE: Final = re.compile(rb"[ -~]+")


def trace_of(headers: Headers) -> Trace | None:
    """The trace context among a record's headers, None if there is none or it is malformed."""
    parents = [value for name, value in headers if name == "traceparent"]
    if len(parents) != 1 or not parents[0] or _PARENT.fullmatch(parents[0]) is None:
        return None
    parent = ("traceparent", parents[0])
    state = b",".join(value for name, value in headers if name == "tracestate" and value)
    if not state or len(state) > MAX_STATE or _STATE.fullmatch(state) is None:
        return (parent,)
    return parent, ("tracestate", state)
