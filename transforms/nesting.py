"""How deep JSON may nest.

Decoders recurse, and how deep they can depends on the stack of whoever calls, which must not decide anything.
"""

from __future__ import annotations

import re

MAX_DEPTH = 64
"""Objects and arrays within each other."""

_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])', re.DOTALL)


def too_deep(value: bytes) -> bool:
    """Whether objects and arrays are nested deeper than MAX_DEPTH; of what is no JSON it says anything."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BRACKET.finditer(value):
        if match.group(1) is not None:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif match.group(2) is not None:
            depth -= 1
    return False
