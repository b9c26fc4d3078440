"""Where cards begin: histories made before the log, one block per state cell."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from transforms.cards.fields import MAX_CODE

TEXT: int = 3 + 2 + 3 + 4 + 5 + MAX_CODE
"""Bytes of a text row: country, response, currency, merchant, city and code (NUL padded) as they were written."""


class CardHistory(Protocol):
    """Histories that a shard starts from. `digest` names their contents; a snapshot is only good with the same."""

    digest: str

    def read(self, cell: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
        """The cards of one cell (1 to 63) that belong to the shard's partition.

        Returns cards uint64[n], counts uint8[n] (1 to 20) and items uint64[n, 20, 4], packed as in
        `transforms.cards.packed`, oldest arrival first from index 0 on; what lies behind a card's count is ignored.
        No card comes twice. May raise for a damaged or missing block.
        """
        ...

    def texts(self, cell: int) -> npt.NDArray[np.uint8]:
        """Text rows uint8[m, TEXT] that the cell's items with non-digit fields point to by index (none by default)."""
        return np.zeros((0, TEXT), np.uint8)
