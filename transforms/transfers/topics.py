"""Names of the Kafka topics of the transfer system."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names; `prefix` goes before each, so that tests and tenants can share one Kafka."""

    prefix: str = ""
    log: str = field(init=False)
    notifications: str = field(init=False)
    events: str = field(init=False)
    dead_letters: str = field(init=False)
    prepare: str = field(init=False)
    fulfil: str = field(init=False)
    get: str = field(init=False)

    def __post_init__(self) -> None:
        for name, topic in (
            ("log", "transfer-log"),
            ("notifications", "topic-notification-event"),
            ("events", "transfer-events"),
            ("dead_letters", "transfer-dead-letter"),
            ("prepare", "topic-transfer-prepare"),
            ("fulfil", "topic-transfer-fulfil"),
            ("get", "topic-transfer-get"),
        ):
            object.__setattr__(self, name, self.prefix + topic)
