"""A card scoring job on the session's stack as tests use it: start, load, look at what came out, audit."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from florin_io.kafka.log import TopicReader
from jobs import audit
from jobs.load.cards import CardsConfig, CardsReport
from jobs.load.cards import run as run_load
from tests.cluster.system import LONGEST_S, Beside, beside
from tests.conftest import Florin
from transforms.cards.scored import decode_scored
from transforms.cards.simulate import Population
from transforms.cards.topics import Topics

CARDS = 20_000
PARTITIONS = 4


class CardsSystem:
    """The job under a topic prefix of its own, its histories, and traffic that goes on where the last one ended."""

    def __init__(self, florin: Florin, folder: Path, prefix: str) -> None:
        self.florin = florin
        self.prefix = prefix
        self.topics = Topics(prefix)
        self.job = f"{prefix}cards"
        self.histories = str(folder / "histories")
        self._day = 0

    def set_up(self) -> None:
        """Make the histories that cards begin from."""
        self.florin.run("jobs.card_history", f"--cards={CARDS}", "--out", self.histories, f"--partitions={PARTITIONS}")

    def start(self, *options: str, expect: int = 0) -> str:
        return self.florin.run(
            "jobs.cards", "start", f"--topic_prefix={self.prefix}", "--detach", "--history", self.histories, *options,
            expect=expect,
        )  # fmt: skip

    def load(self, rate: int, seconds: int) -> dict[str, Any]:
        """Send traffic; every transaction must come back."""
        printed = self.florin.run(
            "jobs.load", "cards", f"--topic-prefix={self.prefix}", f"--cards={CARDS}", f"--rate={rate}",
            f"--duration={seconds}", f"--from-day={self._day}", "--watch", "--grace-s=90", "--report=json",
        )  # fmt: skip
        report: dict[str, Any] = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
        assert report["ok"], printed
        assert report["watched"]["scored"] == report["sent"] >= rate * seconds / 4
        self._day = report["next_day"]
        return report

    @contextmanager
    def under_load(self, rate: float) -> Iterator[Beside[CardsReport]]:
        """Traffic while the block runs; after it every transaction has come back."""

        def drive(enough: threading.Event) -> CardsReport:
            config = CardsConfig(
                Population(CARDS), rate=rate, duration_s=LONGEST_S, from_day=self._day, watch=True, grace_s=90,
                topic_prefix=self.prefix,
            )  # fmt: skip
            return run_load(config, enough=enough)

        with beside(drive) as load:
            yield load
        (report,) = load.reports
        self._day = report.next_day
        assert report.ok, report.to_json()
        assert report.watched is not None
        assert report.watched["scored"] == report.sent > 0, report.to_json()

    def rules(self, *command: str, expect: int = 0) -> str:
        return self.florin.run("jobs.rules", *command, f"--topic-prefix={self.prefix}", expect=expect)

    def states(self) -> dict[str, str]:
        """State of every rule set; all shards say the same."""
        told = json.loads(self.rules("list", "--json"))
        assert told["behind"] == []
        return {one["name"]: one["state"] for one in told["sets"]}

    def audit(self) -> None:
        """What was emitted is what a replay of the log makes: nothing lost, nothing twice, the same state."""
        printed = self.florin.call(audit.main, "cards", f"--topic-prefix={self.prefix}", "--history", self.histories)
        assert "equal, byte for byte" in printed, printed

    def scored(self) -> Counter[str]:
        """Verdicts by version of the rule set."""
        reader = TopicReader(self.florin.kafka, self.topics.scored, PARTITIONS, "test", from_start=True, bounded=True)
        found: Counter[str] = Counter()
        try:
            while not reader.ended:
                found.update(decode_scored(message.value() or b"").version for message in reader.poll(20_000, 0.2))
        finally:
            reader.close()
        return found
