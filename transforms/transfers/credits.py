"""Which credits a shard has sent and heard, so that each is applied exactly once.

Every shard numbers the credits it sends to each shard from 1. A repeated number is never applied twice. A number
that jumps ahead is applied at once (the payee's money is not held back) and the numbers left out are remembered as a
gap: should they come after all, each fills its gap once, so a jump can neither lose nor double money.
"""

from __future__ import annotations

MAX_NUMBER = 2**63 - 1
"""Largest number of a credit: snapshots hold no larger one."""
MAX_GAPS = 1000
"""Gaps kept for one origin. Without faults outside this program there are none."""


class Credits:
    """`sent[s]` is the last number sent to shard s, `last[s]` the highest heard from it, `gaps[s]` what it left out."""

    def __init__(self, partitions: int) -> None:
        self.sent = [0] * partitions
        self.last = [0] * partitions
        self.gaps: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]

    def next(self, destination: int) -> int:
        """The number of the next credit to shard `destination`."""
        self.sent[destination] += 1
        return self.sent[destination]

    def refusal(self, origin: int, number: int) -> str:
        """Why the credit must not be applied, or empty."""
        if not 0 <= origin < len(self.last) or not 1 <= number <= MAX_NUMBER:
            return f"credit names origin {origin} and number {number}, which no shard writes"
        if number <= self.last[origin] and not any(low <= number <= high for low, high in self.gaps[origin]):
            return f"credit {number} of shard {origin} was applied already"
        if number > self.last[origin] + 1 and len(self.gaps[origin]) >= MAX_GAPS:
            return f"credit {number} of shard {origin} would leave gap number {MAX_GAPS + 1}"
        return ""

    def take(self, origin: int, number: int) -> str:
        """Note the credit as applied; returns a warning if numbers before it are missing."""
        last = self.last[origin]
        if number == last + 1:
            self.last[origin] = number
            return ""
        if number > last:
            self.gaps[origin].append((last + 1, number - 1))
            self.last[origin] = number
            return f"credits {last + 1} to {number - 1} of shard {origin} are missing before credit {number}"
        kept: list[tuple[int, int]] = []
        for low, high in self.gaps[origin]:
            if low <= number <= high:
                kept += [part for part in ((low, number - 1), (number + 1, high)) if part[0] <= part[1]]
            else:
                kept.append((low, high))
        self.gaps[origin] = kept
        return ""
