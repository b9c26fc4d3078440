"""Where things live on this machine: the run folder of the local stack and the cache of fetched jars."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The run folder: FLORIN_HOME, or `.florin` in the current folder."""
    return Path(os.environ.get("FLORIN_HOME") or ".florin").absolute()


def cache() -> Path:
    """The cache, shared by all run folders: FLORIN_CACHE, or ~/.cache/florin."""
    chosen = os.environ.get("FLORIN_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "florin"
