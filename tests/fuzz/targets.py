"""All targets by name."""

from __future__ import annotations

from tests.fuzz import cards, ledgers, rules, traces, transfers
from tests.fuzz.shared import Target

TARGETS: dict[str, Target] = {
    **transfers.TARGETS, **cards.TARGETS, **ledgers.TARGETS, **rules.TARGETS, **traces.TARGETS,
}  # fmt: skip
