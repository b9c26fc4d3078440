"""The streaming jobs as chaos sees them: load on them, what they put out, and whether all of it is right."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from jobs.load.wire import Sender
from tests.chaos import watch
from tests.chaos.watch import Watch
from tests.cluster import cards_system
from tests.cluster.cards_system import CardsSystem
from tests.cluster.read_model_system import ReadModelSystem
from tests.cluster.system import DFSPS, PARTITIONS, Beside, Follower, TransferSystem, beside
from tests.conftest import Florin, eventually
from tests.unit.read_model.test_answers import get
from transforms.load.scenarios import EVERYDAY
from transforms.read_model.reader import ReadModel
from transforms.transfers.routing import partition_of

# Often, so that a disk that is full is noticed soon.
CHECKPOINTS = "--checkpointing_interval=5000"
BUSY = {partition_of(dfsp, PARTITIONS) for dfsp in DFSPS}
"""Shards that have traffic in every second."""
CARDS_PER_TRANSFER = 10
"""Card transactions are that much lighter."""
GETS_PAUSE_S = 0.2
TIMEOUT_S = 8.0
"""Expiration of transfers that shall time out: longer than a busy machine holds the generator up."""


class Subject(ABC):
    """A job of its own prefix on a stack. `rate` in transfers/s."""

    job: str

    def __init__(self, florin: Florin, prefix: str, folder: Path, rate: float) -> None:
        self.florin, self.prefix, self.folder, self.rate = florin, prefix, folder, rate

    @abstractmethod
    def start(self) -> None:
        """Submit it, and make what its load needs."""

    @abstractmethod
    def under_load(self, *, senders_late: bool) -> AbstractContextManager[Beside[Any]]:
        """Load while the block runs; after it the generator has found everything as it must be (AssertionError).

        `senders_late`: records may reach the log much later than they are sent.
        """

    @abstractmethod
    def watch(self) -> Watch:
        """What it puts out from now on."""

    @abstractmethod
    def check(self, found: Watch) -> int:
        """After the load: counts, invariants, audit; how many records (tables: transfers and GETs) were counted.

        Raises AssertionError.
        """


class Transfer(Subject):
    """The transfer job with two workers."""

    def __init__(self, florin: Florin, prefix: str, folder: Path, rate: float) -> None:
        super().__init__(florin, prefix, folder, rate)
        self.system = TransferSystem(florin, prefix)
        self.job = self.system.job
        self._expected = 0

    def start(self) -> None:
        self.system.start(CHECKPOINTS)
        self.system.set_up()

    @contextmanager
    def under_load(self, *, senders_late: bool) -> Iterator[Beside[Any]]:
        with self.system.under_load(self.rate, mix=mix(senders_late), timeout_s=TIMEOUT_S) as load:
            yield load
        (report,) = load.reports
        self._expected = sum(report.notifications.values())

    def watch(self) -> Watch:
        return watch.of_topic(self.florin.kafka, self.system.topics.notifications, PARTITIONS, BUSY)

    def check(self, found: Watch) -> int:
        eventually("rest", self.system.at_rest)
        counted(found, self._expected)
        self.system.check_books()
        self.system.audit()
        return found.count


class Cards(Subject):
    """Card scoring with two workers."""

    def __init__(self, florin: Florin, prefix: str, folder: Path, rate: float) -> None:
        super().__init__(florin, prefix, folder, rate)
        self.system = CardsSystem(florin, folder / prefix, prefix)
        self.job = self.system.job
        self._sent = 0

    def start(self) -> None:
        self.system.set_up()
        self.system.start(CHECKPOINTS)

    @contextmanager
    def under_load(self, *, senders_late: bool) -> Iterator[Beside[Any]]:
        with self.system.under_load(self.rate * CARDS_PER_TRANSFER) as load:
            yield load
        (report,) = load.reports
        self._sent = report.sent

    def watch(self) -> Watch:
        partitions = cards_system.PARTITIONS
        return watch.of_topic(self.florin.kafka, self.system.topics.scored, partitions, range(partitions))

    def check(self, found: Watch) -> int:
        counted(found, self._sent)
        self.system.audit()
        return found.count


class ReadModelTables(Subject):
    """The read model with one worker, which is struck, beside a transfer job with another; GETs are asked, too."""

    def __init__(self, florin: Florin, prefix: str, folder: Path, rate: float) -> None:
        super().__init__(florin, prefix, folder, rate)
        self.transfers = TransferSystem(florin, prefix)
        self.system = ReadModelSystem(self.transfers, f"{prefix}tables".replace("-", "_"))
        self.job = self.system.job
        self._asked = self._answered_before = self._sent = 0

    def start(self) -> None:
        self.transfers.start(CHECKPOINTS, parallelism=1)
        self.transfers.set_up()
        self.system.start(CHECKPOINTS)
        self.system.expect(self.transfers.load(seconds=2))
        eventually("tables", self.system.caught_up)

    @contextmanager
    def under_load(self, *, senders_late: bool) -> Iterator[Beside[Any]]:
        with (
            beside(self._ask) as asking,
            self.transfers.under_load(self.rate, mix=mix(senders_late), timeout_s=TIMEOUT_S) as load,
        ):
            yield load
        (report,) = load.reports
        self.system.expect(report)
        self._sent = report.sent
        (self._asked,) = asking.reports

    def watch(self) -> Watch:
        self._answered_before = self._answered()
        return watch.of_tables(self.system.database, BUSY)

    def check(self, found: Watch) -> int:
        eventually("the tables hold everything", self.system.caught_up)
        self.system.check()
        eventually("every GET is answered", lambda: self._answered() - self._answered_before >= self._asked)
        answered = self._answered() - self._answered_before
        assert answered == self._asked, f"{self._asked} GETs were asked, {answered} answered"
        self.transfers.check_books()
        self.transfers.audit()
        return self._sent + self._asked

    def _ask(self, enough: threading.Event) -> int:
        """GETs of a committed transfer by its payer, until it is enough; how many."""
        with ReadModel(self.system.database) as model:
            (row,) = model.find_transfers(state="COMMITTED", limit=1)
        failed: list[str] = []
        sender = Sender(self.florin.kafka, failed.append)
        asked = 0
        for partition in cycle(range(2)):
            sender.send(self.transfers.topics.get, get(row["transfer_id"], row["payer"]), None, partition)
            sender.poll(0)
            asked += 1
            if enough.wait(GETS_PAUSE_S):
                break
        left = sender.flush(60)
        assert not failed, failed
        assert left == 0
        return asked

    def _answered(self) -> int:
        """Answers to GETs so far, as a read_committed reader sees them."""
        found = 0
        for partition in range(PARTITIONS):
            follower = Follower(self.florin.kafka, self.transfers.topics.notifications, partition)
            try:
                found += sum(b'"action":"get"' in value for _, value in follower.take())
            finally:
                follower.close()
        return found


def mix(senders_late: bool) -> dict[str, float]:
    """A little of everything; a prepare that the log took after its expiration is rightly refused."""
    return {name: share for name, share in EVERYDAY.items() if not (senders_late and name == "timeout")}


def counted(found: Watch, expected: int) -> None:
    """What an independent reader has counted is what the generator has."""
    eventually(f"{expected} records", lambda: found.count >= expected)
    assert found.count == expected, f"{expected} records were expected, {found.count} came"


SUBJECTS: dict[str, Callable[[Florin, str, Path, float], Subject]] = {
    "transfer": Transfer, "cards": Cards, "read-model": ReadModelTables,
}  # fmt: skip
