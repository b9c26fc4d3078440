"""Ledger files in the stack's object store, their books, and loads of them on Flink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from florin_io.objects import ObjectStore
from florin_io.postgres import Connection
from jobs.subledger import load
from jobs.subledger.load import LoadOptions, Outcome
from jobs.subledger.submitting import submission
from tests.conftest import Florin, eventually
from transforms.subledger import rulesets
from transforms.subledger.rules import parse_rules
from transforms.subledger_db import books, requests, staging
from transforms.subledger_db.schema import LedgerDatabase, prepare

TENANT = "acme"
LEDGER = "gs://florin-ledger"
AUDIT = "gs://florin-audit/tests"
OPEN = [202601, 202602]


@dataclass(frozen=True)
class Loads:
    """A subledger of the tests' own in the stack's PostgreSQL."""

    florin: Florin
    database: LedgerDatabase
    scratch: Path

    @classmethod
    def on(cls, florin: Florin, schema: str, scratch: Path) -> Loads:
        """Tables, a tenant with the standard rules."""
        made = cls(florin, LedgerDatabase(str(florin.state["postgres"]), schema), scratch)
        prepare(made.database)
        books.add_tenant(made.database, TENANT)
        text = rulesets.text_of("standard")
        with made.connect() as connection:
            books.load_rules(connection, TENANT, "standard", text, parse_rules(text).basis, [])
        return made

    @property
    def store(self) -> ObjectStore:
        """The stack's object store."""
        return ObjectStore(str(self.florin.state["objects"]))

    def connect(self) -> Connection:
        """A loader's connection."""
        return self.database.connect(application="test")

    def entity(self, name: str) -> None:
        """An entity with two open months, as the generator's files need it."""
        with self.connect() as connection:
            books.add_entity(connection, TENANT, name, "USD", periods=OPEN)

    def make(self, name: str, entries: int, *more: str) -> list[dict[str, Any]]:
        """Simulated files for an entity; the manifests, each with its own address as `url`."""
        told = self.florin.run(
            "jobs.load", "subledger", "--out", f"{LEDGER}/{name}", "--entity", f"{TENANT}/{name}", "--entries",
            str(entries), "--json", *more,
        )  # fmt: skip
        line = next(line for line in told.splitlines() if line.startswith("["))
        return [{**one, "url": one["manifest"]} for one in json.loads(line)]

    def submit(self, told: Mapping[str, Any], key: str) -> int:
        """A request; nobody takes it from the queue."""
        with self.connect() as connection:
            return requests.submit(connection, submission(connection, self.store, told, key=key))[0]

    def begin(self, number: int) -> requests.Request:
        """The next attempt at a request, whoever had the one before."""
        with self.connect() as connection:
            begun = requests.begin_attempt(connection, number, 0.0)
        assert begun is not None
        return begun

    def options(self, **more: Any) -> LoadOptions:
        """Of a load on the stack."""
        told = {"schema": self.database.schema, "scratch": str(self.scratch), "audit": AUDIT, "connections": 2}
        return LoadOptions(**{"postgres": self.database.conninfo, **told, **more})

    def load(self, number: int, **more: Any) -> Outcome:
        """An attempt, to its end, in this process and on Flink."""
        return load.run(number, self.begin(number).attempt, self.options(**more))

    def start(self, number: int) -> subprocess.Popen[str]:
        """An attempt in a process of its own, as the queue's worker starts them."""
        command = [
            sys.executable, "-m", "jobs.subledger", "--schema", self.database.schema, "--request", str(number),
            "--stale-after", "0", "--scratch", str(self.scratch),
        ]  # fmt: skip
        return subprocess.Popen(command, env={**os.environ}, text=True, stderr=subprocess.PIPE)

    def folder(self, number: int) -> Path:
        """Where the attempts at a request have their scratch folders."""
        return self.scratch / self.database.schema / f"request-{number}"

    def state(self, number: int) -> str:
        """Of a request."""
        with self.connect() as connection:
            return requests.load(connection, number).state

    def counts(self, number: int) -> dict[str, int]:
        """Rows in the books and rejects of a request."""
        with self.connect() as connection:
            return {
                name: self._one(connection, f"SELECT count(*) FROM {table} WHERE request_id = %s {which}", number)
                for name, table, which in (
                    ("entries", "je_header", ""), ("lines", "je_line", ""), ("balances", "balance", ""),
                    ("rejected", "reject", "AND kind = 'REJECT'"), ("duplicates", "reject", "AND kind = 'DUPLICATE'"),
                )
            }  # fmt: skip

    def files_loaded(self, number: int) -> int:
        """Result files of a request that PostgreSQL has so far."""
        with self.connect() as connection:
            return self._one(connection, "SELECT count(*) FROM manifest WHERE request_id = %s", number)

    def check_published(self, number: int, totals: Mapping[str, Any]) -> None:
        """What is in the books is what the generator says, and nothing is left over."""
        assert self.state(number) == "PUBLISHED"
        found = self.counts(number)
        assert {name: found[name] for name in ("entries", "lines", "rejected", "duplicates")} == {
            name: totals[name] for name in ("entries", "lines", "rejected", "duplicates")
        }
        self.check_clean(number)

    def check_clean(self, number: int) -> None:
        """No leaf of the request stands outside of the books, and no scratch file."""
        with self.connect() as connection:
            assert staging.leaves(connection, number) == {}
            wrong = connection.execute(
                "SELECT name, subject FROM reconciliation WHERE request_id = %s AND NOT ok", (number,)
            ).fetchall()
        assert wrong == []
        assert not list(self.folder(number).glob("*"))

    @staticmethod
    def _one(connection: Connection, query: str, number: int) -> int:
        row = connection.execute(query.encode(), (number,)).fetchone()
        assert row is not None
        return int(row[0])


def at_work(loads: Loads, number: int, stage: str, patience_s: float) -> None:
    """Wait until the request's rows are read ("reading"), or until the first of them are in PostgreSQL ("posting")."""
    with loads.connect() as connection:

        def reads() -> bool:
            row = connection.execute(
                "SELECT coalesce(sum(rows_read), 0) FROM progress WHERE request_id = %s", (number,)
            ).fetchone()
            return row is not None and row[0] > 0

        eventually(stage, reads if stage == "reading" else lambda: loads.files_loaded(number) > 0, patience_s)
