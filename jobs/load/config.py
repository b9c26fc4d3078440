"""What a run of the load generator sends, and advice when what came back is plainly a matter of set-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from transforms.load.checker import Checker
from transforms.load.plan import Traffic
from transforms.load.scenarios import EVERYDAY

OPEN_LOOP_LIMIT = 200_000
"""Transfers in flight at which sending at a rate waits: the job does not keep up, or is down."""
CLOSED_LOOP = 4_000
"""Transfers in flight when sending as fast as it goes."""


@dataclass(frozen=True)
class Config:
    """What to send, and how. Times in seconds; `rate` in transfers/s, 0: as fast as `in_flight` at once allow.

    `via` is `log` (straight to transfer-log, keyed by payer) or `mojaloop` (to Mojaloop's unkeyed topics). `seed` None
    takes a new one: a seed can be used once per log, for its transfer ids come again. Sending ends after `duration_s`
    or `count`, whichever is first; then up to `grace_s` without any notification are waited.
    """

    kafka: str | None = None
    topic_prefix: str = ""
    rate: float = 1000.0
    duration_s: float | None = 60.0
    count: int | None = None
    dfsps: tuple[str, ...] = tuple(f"dfsp{number}" for number in range(1, 9))
    currency: str = "USD"
    skew: float = 0.0
    drift: float = 0.0
    mix: Mapping[str, float] = field(default_factory=lambda: dict(EVERYDAY))
    seed: int | None = None
    via: str = "log"
    in_flight: int | None = None
    timeout_s: float = 3.0
    expiration_s: float = 300.0
    warmup_s: float = 5.0
    grace_s: float = 30.0

    def __post_init__(self) -> None:
        if self.via not in ("log", "mojaloop"):
            raise ValueError(f"via must be log or mojaloop, got {self.via}")
        if self.duration_s is None and self.count is None:
            raise ValueError("give a duration or a count: the run must end")
        if self.timeout_s <= 0 or self.expiration_s <= self.timeout_s:
            raise ValueError("expirations must be positive, and the ordinary one longer than that of timeouts")
        self.traffic()

    def traffic(self) -> Traffic:
        """Who pays whom in what way. Raises ValueError."""
        return Traffic(self.dfsps, self.mix, self.skew, self.drift)

    def limit(self) -> int:
        """Transfers that may be in flight at once."""
        return self.in_flight or (OPEN_LOOP_LIMIT if self.rate else CLOSED_LOOP)


def hints(config: Config, checker: Checker) -> list[str]:
    """Remedies for differences that look like a matter of set-up."""
    if checker.mismatches == 0:
        return []
    errors: Counter[str] = Counter()
    for (_, method, code), count in checker.notifications.items():
        errors[code if method == "PUT error" else ""] += count
    planned = checker.sent_in
    found = []
    if not checker.notifications:
        found.append("nothing came back: is the job running? `python -m flink status`, `python -m jobs.transfer`")
    if errors["3106"] > planned("duplicate-modified") and config.seed is not None:
        found.append("many 3106: this seed was used on this log before, and its ids come again; take another --seed")
    if errors["3100"] > planned("invalid-fulfilment") * 2:
        found.append(
            "many 3100: do the DFSPs exist and are they active? "
            f"`python -m jobs.hub setup --dfsps {len(config.dfsps)} --currency {config.currency}`"
        )
    if errors["4001"] + errors["4200"] > planned("liquidity") + planned("ndc"):
        found.append("more 4001 or 4200 than planned: raise cover and NDC: `python -m jobs.hub funds in`, `limits set`")
    return found
