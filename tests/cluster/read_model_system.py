"""The read model's job beside a transfer job on the session's stack, and its tables held against what was sent."""

from __future__ import annotations

from collections import Counter

import psycopg

from florin_io.kafka.log import end_offsets
from florin_io.postgres import Database
from jobs.load.report import Report
from jobs.read_model import database_of
from tests.cluster.system import PARTITIONS, TransferSystem
from transforms.read_model.reader import ReadModel

ABORTED = {"abort", "reject", "invalid-fulfilment", "timeout", "ndc", "liquidity"}


class ReadModelSystem:
    """The read model of a transfer job, with tables in a schema of its own."""

    def __init__(self, transfers: TransferSystem, schema: str) -> None:
        self.transfers = transfers
        self.job = f"{transfers.prefix}read_model"
        self.database: Database = database_of(None, schema)
        self.expected: Counter[str] = Counter()

    def start(self, *options: str) -> None:
        """Submit the job."""
        self.transfers.florin.run(
            "jobs.read_model", "--runner=FlinkRunner", f"--topic_prefix={self.transfers.prefix}",
            f"--schema={self.database.schema}", "--detach", *options,
        )  # fmt: skip

    def expect(self, report: Report) -> None:
        """Count what the generator sent: transfers by the state that its scenarios end in."""
        for name, tally in report.outcomes.items():
            self.expected["ABORTED" if name in ABORTED else "COMMITTED"] += tally["expected"]

    def caught_up(self) -> bool:
        """Whether everything is emitted, and in the tables."""
        try:
            with ReadModel(self.database) as model:
                lag = model.lag(end_offsets(self.transfers.kafka, self.transfers.topics.events, PARTITIONS))
                return self.transfers.at_rest() and sum(lag) == 0
        except psycopg.errors.UndefinedTable:
            return False

    def check(self) -> None:
        """The tables hold every transfer once, no fault, sums of zero, and each account as its last event says."""
        with ReadModel(self.database) as model:
            assert model.counts_by_state() == dict(self.expected)
            assert model.faults() == {"chain_breaks": 0, "dead_letters": 0}
            (total,) = model.totals()
            assert (total["currency"], total["position"], total["reserved"]) == ("USD", 0, 0)
            emitted = self.transfers.accounts()
            rows = {row["account"]: row for row in model.positions()}
        assert set(rows) == set(emitted)
        for name, event in emitted.items():
            found = (str(rows[name]["last_seq"]), float(rows[name]["position"]))
            assert found == (str(event["seq"]), float(event["position"])), name
