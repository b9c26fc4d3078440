"""The stories a transfer of the load generator can live through, each with every notification it must cause.

Rules and codes: transfers.md, "Life of a transfer". A scenario whose outcome depends on a balance has a payer of its
own, on which the outcome is certain whatever the rest of the traffic does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

PAYER, PAYEE, NOBODY = 0, 1, 2
ROLES = ("payer", "payee", "somebody else")

Token = tuple[int, str, str]
"""A notification as the checker sees it: who got it (PAYER, PAYEE), its method, its code or state ("" for a POST)."""

NDC_PAYER = "tight-ndc"
"""A DFSP with ample cover and an NDC of 1: any transfer of more is 4200."""
COVER_PAYER = "tight-cover"
"""A DFSP with a cover of 1: any transfer of more is 4001."""
TIGHT_LIMIT = "1"

POSTED: Token = (PAYEE, "POST", "")
PAID: Token = (PAYER, "PUT", "COMMITTED")
RECEIVED: Token = (PAYEE, "PUT", "COMMITTED")
PATCHED: Token = (PAYEE, "PATCH", "COMMITTED")


def failed(role: int, code: str) -> Token:
    """A PUT error with `code` to `role`."""
    return (role, "PUT error", code)


@dataclass(frozen=True)
class Scenario:
    """One story: what the two DFSPs send, and the notifications that must come back, each as often as it is listed.

    `copies` are prepares sent right behind the first ("same", or "changed": another amount); `answers` is what the
    payee sends when it sees the POST ("commit", "reserve", "reject", "error", "wrong": a fulfilment that does not fit);
    `again` sends the prepare once more when the payer has been told of the commit; `expires` gives the transfer the
    short expiration.
    """

    name: str
    expect: tuple[Token, ...]
    answers: tuple[str, ...] = ("commit",)
    copies: tuple[str, ...] = ()
    again: bool = False
    expires: bool = False
    payer: str | None = None
    bits: dict[Token, tuple[int, ...]] = field(init=False, repr=False)
    full: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bits: dict[Token, tuple[int, ...]] = {}
        for number, token in enumerate(self.expect):
            bits[token] = (*bits.get(token, ()), 1 << number)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "full", (1 << len(self.expect)) - 1)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("committed", (POSTED, PAID, RECEIVED)),
        Scenario("reserved", (POSTED, PAID, PATCHED), answers=("reserve",)),
        Scenario("abort", (POSTED, failed(PAYER, "5105")), answers=("error",)),
        Scenario("reject", (POSTED, failed(PAYER, "5105")), answers=("reject",)),
        Scenario("invalid-fulfilment", (POSTED, failed(PAYER, "3100"), failed(PAYEE, "3100")), answers=("wrong",)),
        Scenario("timeout", (POSTED, failed(PAYER, "3303"), failed(PAYEE, "3303")), answers=(), expires=True),
        Scenario("duplicate", (POSTED, PAID, RECEIVED), copies=("same",)),
        Scenario("duplicate-late", (POSTED, PAID, RECEIVED, PAID), again=True),
        Scenario("duplicate-modified", (POSTED, PAID, RECEIVED, failed(PAYER, "3106")), copies=("changed",)),
        Scenario("duplicate-fulfil", (POSTED, PAID, RECEIVED, RECEIVED), answers=("commit", "commit")),
        Scenario("ndc", (failed(PAYER, "4200"),), answers=(), payer=NDC_PAYER),
        Scenario("liquidity", (failed(PAYER, "4001"),), answers=(), payer=COVER_PAYER),
    )
}

EVERYDAY = {
    "committed": 88,
    "reserved": 2,
    "abort": 2,
    "reject": 1,
    "invalid-fulfilment": 1,
    "timeout": 1,
    "duplicate": 1,
    "duplicate-late": 0.5,
    "duplicate-modified": 0.5,
    "duplicate-fulfil": 1,
    "ndc": 1,
    "liquidity": 1,
}
"""Shares of a mix with a little of everything."""


def parse_mix(text: str) -> dict[str, float]:
    """Shares by scenario of `committed=95,ndc=5` (any unit), or of the name `everyday`. Raises ValueError."""
    if text == "everyday":
        return {name: float(share) for name, share in EVERYDAY.items()}
    mix: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, share = part.partition("=")
        if name not in SCENARIOS:
            raise ValueError(f"unknown scenario {name!r}; there are: everyday, or shares of {', '.join(SCENARIOS)}")
        try:
            value = Decimal(share) if equals else Decimal(1)
        except InvalidOperation:
            raise ValueError(f"share of {name} is no number: {share!r}") from None
        if not (value.is_finite() and value >= 0):
            raise ValueError(f"share of {name} must be zero or positive, got {share}")
        mix[name] = float(value)
    return checked_mix(mix)


def checked_mix(mix: Mapping[str, float]) -> dict[str, float]:
    """The mix itself. Raises ValueError if a name is unknown or nothing would be sent."""
    unknown = [name for name in mix if name not in SCENARIOS]
    if unknown:
        raise ValueError(f"unknown scenario {unknown[0]!r}; there are: {', '.join(SCENARIOS)}")
    if not any(share > 0 for share in mix.values()):
        raise ValueError("the mix has no scenario with a share above zero")
    return dict(mix)
