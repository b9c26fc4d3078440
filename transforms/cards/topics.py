"""Names of the Kafka topics of the card scoring system."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names; `prefix` goes before each, so that tests and tenants can share one Kafka."""

    prefix: str = ""
    transactions: str = field(init=False)
    scored: str = field(init=False)
    alerts: str = field(init=False)
    dead_letters: str = field(init=False)
    rules: str = field(init=False)

    def __post_init__(self) -> None:
        for name, topic in (
            ("transactions", "card-transactions"),
            ("scored", "scored-transactions"),
            ("alerts", "card-alerts"),
            ("dead_letters", "card-dead-letter"),
            ("rules", "card-rules"),
        ):
            object.__setattr__(self, name, self.prefix + topic)
