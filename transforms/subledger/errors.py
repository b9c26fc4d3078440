"""What ends a request: input that cannot be read, rules that cannot be used. A bad row is a reject, not an error."""

from __future__ import annotations


class SubledgerError(ValueError):
    """Something that the request's owner must put right; the message names place and remedy."""


class InputError(SubledgerError):
    """A file that cannot be read as ledger entries."""


class BookError(SubledgerError):
    """Rows or published data that break what the book relies on; a fault of the program or of its database."""
