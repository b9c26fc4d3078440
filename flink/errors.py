"""The errors of this package that a user can act on; commands print them without a traceback."""

from __future__ import annotations


class StackError(Exception):
    """Something about the stack or a submission that the message tells how to remedy."""
