"""Compiling the kernels of card scoring before they are needed: 40 s of CPU time, once per release and machine.

    python -m transforms.cards.warm

Workers that find nothing compiled do it themselves at their first batch, each of them, while no record is scored.
"""

from __future__ import annotations

import numpy as np

from transforms.cards import memory, wire
from transforms.cards.core import CardsCore
from transforms.cards.routing import cells_of
from transforms.cards.topics import Topics
from transforms.core import Batch

_RULES = """
name: none
description: Any.
rules:
  - name: ANY
    description: Any.
    when: amount > 1
"""
_CARD = 1


def warm_up() -> None:
    """Compile every kernel that a shard calls, or find that it is done."""
    texts = [b"%014d,1,001,00,1,001,0001,0000%d,A0000" % (_CARD, city) for city in range(2)]
    packets = [wire.packet(text) for text in texts]
    core = CardsCore(0, 1, Topics(), _RULES)
    core.apply(Batch([0, 1], [1, 1], [None, None], packets))
    again = CardsCore(0, 1, Topics(), _RULES)
    again.load({cell: (2, payload) for cell, payload in core.dump(whole=True)})
    again.store.grow(memory.NEEDS_TABLE, int(cells_of(np.array([_CARD], np.uint64))[0]))
    # The second is a copy of the first, by time, amount and merchant.
    assert again.store.history(_CARD) == texts[:1]
    wire.parse(packets[0])


if __name__ == "__main__":
    warm_up()
