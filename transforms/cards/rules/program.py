"""What a rule set is compiled to: arrays that the kernel interprets, so that a new set needs no new machine code."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.cards.fields import FIELDS

MOST_ITEMS: Final = 64
"""Items that `evaluate` takes at most: a selection of items is one bit each of a uint64."""

# Fields that are worked out, numbered on from the columns.
HOUR: Final = FIELDS
MINUTE: Final = FIELDS + 1
WEEKDAY: Final = FIELDS + 2
DAY: Final = FIELDS + 3
MONTH: Final = FIELDS + 4
FRAUD_FLAG: Final = FIELDS + 5
LOADED_FLAG: Final = FIELDS + 6
DERIVED: Final = 7

# Columns of `Program.code`: an operation, three operands, where to go on if the test holds or not, and for COMPARE_*
# which nodes must be known, as a range of `Program.order`.
OP, A, B, C, YES, NO, FIRST, STOP = range(8)

# Operations. The first four test a field (A) of the incoming transaction: against the number B, or IN the sorted
# numbers lists[B:C]. COMPARE_* tests node A against node B. FIRE says rule A (1-based) fires; B is 1 if it decides.
EQUAL, ABOVE, BELOW, IN = range(4)
COMPARE_EQ, COMPARE_NE, COMPARE_GT, COMPARE_GE, COMPARE_LT, COMPARE_LE = range(4, 10)
FIRE, END = 10, 11

# Kinds of nodes, in column 0 of `Program.nodes`; operands in columns 1 to 4.
# Numbers: (kind, a, b). CONSTANT stands in `values` from the start.
CONSTANT, THIS, NATIVE, AT = range(4)  # THIS field; NATIVE number; AT field, position
ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO = range(4, 9)  # two nodes
COUNT, SUM, LEAST, GREATEST, DISTINCT, LAST = range(9, 15)  # field, selection
# Selections of items: one bit each, the oldest lowest.
EVERY, PAST = 16, 17
WITHIN, LADDER, BEFORE = 18, 19, 20  # ms
BOTH, EITHER, OTHERS = 21, 22, 23  # selections
# Items by a field (column 1) with remainder by column 4 (0: the field itself), negated if column 5 is 1:
ITEM_EQUAL, ITEM_ABOVE, ITEM_BELOW = 24, 25, 26  # against the number in column 2
THIS_EQUAL, THIS_ABOVE, THIS_BELOW = 27, 28, 29  # against the incoming transaction's field in column 2
ITEM_IN = 30  # among the sorted numbers lists[column 2:column 3]
NODE_EQUAL, NODE_ABOVE, NODE_BELOW = 31, 32, 33  # against the node in column 2; no item is, if that has no value
FIRST_SELECTION: Final = EVERY


class Program(NamedTuple):
    """A compiled rule set. It holds the kernel's scratch memory too: one program never serves two threads at once."""

    code: NDArray[np.int64]
    """Instructions [k, 8]; live rules first, then shadow rules; jumps only lead forward."""
    nodes: NDArray[np.int64]
    """What tests are made of [m, 6]; a node stands for the same number or selection wherever it is used."""
    order: NDArray[np.int64]
    """Nodes in the order in which they can be worked out, in pieces that `code` points at."""
    lists: NDArray[np.int64]
    """The numbers of all IN tests, each list sorted."""
    starts: NDArray[np.int64]
    """The zone: when its offset changes, ms since the epoch."""
    offsets: NDArray[np.int64]
    """The zone: offset from then on, ms."""
    values: NDArray[np.float64]
    """Scratch: number of each node; constants are there from the start."""
    masks: NDArray[np.uint64]
    """Scratch: selection of each node."""
    stamps: NDArray[np.int64]
    """Scratch: for which evaluation each node was worked out."""
    derived: NDArray[np.int64]
    """Scratch [DERIVED + 1, MOST_ITEMS]: worked-out fields of the items; in the last row, remainders."""
    derived_stamps: NDArray[np.int64]
    """Scratch [DERIVED]: for which evaluation they were worked out."""
    clock: NDArray[np.int64]
    """Scratch [1]: counts evaluations."""


def basic_test(op: str) -> tuple[int, bool]:
    """How a comparison is one of EQUAL, ABOVE, BELOW: the operation, and whether its outcome is turned round."""
    return {
        "==": (EQUAL, False), "!=": (EQUAL, True), ">": (ABOVE, False), "<=": (ABOVE, True), "<": (BELOW, False),
        ">=": (BELOW, True),
    }[op]  # fmt: skip
