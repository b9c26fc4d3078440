"""What a run sends, decided by the seed alone: who pays whom how much, with which secret, in which scenario."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from transforms.load.scenarios import SCENARIOS, Scenario, checked_mix

CHUNK = 8192
"""Transfers planned at a time."""
POOL = 1024
"""Secrets, amounts and ILP packets to choose from."""

_MULTIPLIER = 0x5DEECE66D5B7
_INVERSE = pow(_MULTIPLIER, -1, 1 << 48)
_MASK = (1 << 48) - 1

Row = tuple[int, int, int, int]
"""Of one transfer: number of its scenario, of its payer, of its payee, of its pool entry."""


@dataclass(frozen=True)
class Traffic:
    """The shape of the traffic.

    `skew` is the exponent of a Zipf distribution over the DFSPs (0: all alike), `drift` the share of transfers that
    always flow from the lower to the higher number, so that net positions grow (0: they balance).
    """

    dfsps: tuple[str, ...]
    mix: Mapping[str, float]
    skew: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.dfsps)) < 2:
            raise ValueError(f"traffic needs at least two different DFSPs, got {', '.join(self.dfsps) or 'none'}")
        if self.skew < 0 or not 0 <= self.drift <= 1:
            raise ValueError(f"skew must be zero or more and drift 0 to 1, got {self.skew} and {self.drift}")
        checked_mix(self.mix)


class Plan:
    """The transfers of one seed, numbered from 0. The same seed and traffic give the same plan."""

    def __init__(self, seed: int, traffic: Traffic) -> None:
        self.seed = seed
        self.traffic = traffic
        self.scenarios: list[Scenario] = [SCENARIOS[name] for name, share in traffic.mix.items() if share > 0]
        digest = sha256(f"florin load {seed}".encode()).hexdigest()
        # The shape of a version 4 UUID; the last 12 digits hold the scrambled number.
        self.id_prefix = f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-8{digest[15:18]}-"
        self._scramble = int(digest[20:32], 16)
        shares = np.array([traffic.mix[scenario.name] for scenario in self.scenarios], float)
        self._shares = shares / shares.sum()
        weights = 1.0 / np.arange(1, len(traffic.dfsps) + 1) ** traffic.skew
        self._weights = weights / weights.sum()
        self._chunk_number = -1
        self._rows: list[Row] = []

    def transfer_id(self, number: int) -> str:
        """The UUID of a transfer; two numbers never share one."""
        return f"{self.id_prefix}{(number * _MULTIPLIER + self._scramble) & _MASK:012x}"

    def number_of(self, transfer_id: str) -> int | None:
        """The inverse of `transfer_id`; None if the id is not of this seed."""
        if len(transfer_id) != 36 or not transfer_id.startswith(self.id_prefix):
            return None
        try:
            scrambled = int(transfer_id[24:], 16)
        except ValueError:
            return None
        return (scrambled - self._scramble) * _INVERSE & _MASK

    def row(self, number: int) -> Row:
        """The choices of one transfer."""
        chunk, place = divmod(number, CHUNK)
        if chunk != self._chunk_number:
            self._rows = self._make(chunk)
            self._chunk_number = chunk
        return self._rows[place]

    def _make(self, chunk: int) -> list[Row]:
        random = np.random.Generator(np.random.PCG64([self.seed, chunk]))
        scenario = random.choice(len(self.scenarios), CHUNK, p=self._shares)
        payer, payee = self._pairs(random)
        pool = random.integers(0, POOL, CHUNK)
        return list(zip(scenario.tolist(), payer.tolist(), payee.tolist(), pool.tolist(), strict=True))

    def _pairs(self, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of different DFSPs. Both are drawn alike, equal ones again: A to B is as likely as B to A."""
        count = len(self.traffic.dfsps)
        payer = random.choice(count, CHUNK, p=self._weights)
        payee = random.choice(count, CHUNK, p=self._weights)
        for _ in range(1000):
            same = np.flatnonzero(payer == payee)
            if len(same) == 0:
                break
            payer[same] = random.choice(count, len(same), p=self._weights)
            payee[same] = random.choice(count, len(same), p=self._weights)
        payee = np.where(payer == payee, (payer + 1) % count, payee)
        one_way = random.random(CHUNK) < self.traffic.drift
        low, high = np.minimum(payer, payee), np.maximum(payer, payee)
        return np.where(one_way, low, payer), np.where(one_way, high, payee)


@dataclass(frozen=True)
class PoolEntry:
    """Amounts are above 1, so that the tight payers can afford none; `changed` is another amount than `amount`."""

    amount: bytes
    changed: bytes
    condition: bytes
    fulfilment: bytes
    wrong: bytes
    ilp_packet: bytes
    amount_text: str
    condition_text: str
    fulfilment_text: str


def make_pool(seed: int) -> list[PoolEntry]:
    """POOL entries of a seed; the condition is the SHA-256 of the 32 bytes of the fulfilment, both base64url."""
    return [_entry(f"{seed}/{number}") for number in range(POOL)]


def _entry(name: str) -> PoolEntry:
    secret = sha256(f"secret {name}".encode()).digest()
    other = sha256(f"wrong {name}".encode()).digest()
    packet = b"".join(sha256(f"ilp {part} {name}".encode()).digest() for part in range(2))
    cents = 200 + int.from_bytes(secret[:4]) % 20_000
    amount, condition, fulfilment = _money(cents), _base64url(sha256(secret).digest()), _base64url(secret)
    return PoolEntry(
        amount=amount,
        changed=_money(cents + 1),
        condition=condition,
        fulfilment=fulfilment,
        wrong=_base64url(other),
        ilp_packet=_base64url(b"\x01\x81\x9e" + packet),
        amount_text=amount.decode(),
        condition_text=condition.decode(),
        fulfilment_text=fulfilment.decode(),
    )


def _money(cents: int) -> bytes:
    whole, rest = divmod(cents, 100)
    return (f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)).encode()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
