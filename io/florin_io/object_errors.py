"""What reading and writing files by URL fails with."""

from __future__ import annotations


class ObjectStoreError(ConnectionError):
    """The store or disk cannot be reached or refuses; the message names the file and the remedy."""
