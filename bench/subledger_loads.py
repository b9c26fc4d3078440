"""Whole loads for the subledger's benchmark: run as a user would, each in tables of its own, the workers watched."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console

from bench.stack import BenchStack

TENANT, ENTITIES = "bench", ("BENCH-1", "BENCH-2")
BUCKET = "gs://florin-ledger"
_PERIODS, _CLOSED = "202512..202602", "202512"
_SAMPLE_S = 1.0
_SHOWN = 100


class Wrong(RuntimeError):
    """A load did not come to what it had to."""


@dataclass
class Memory:
    """Resident memory of all workers over a load: seconds, MB in all, MB of it that is not mapped from files."""

    samples: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """MB in all at most."""
        return max((sample[1] for sample in self.samples), default=0.0)

    @property
    def peak_of_own(self) -> float:
        """MB at most that is not mapped from files, which the kernel takes back when it needs it."""
        return max((sample[2] for sample in self.samples), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Peaks, and samples over time."""
        return {
            "peak": self.peak,
            "peak_without_mapped_files": self.peak_of_own,
            "samples": self.samples[:: max(1, len(self.samples) // _SHOWN)],
        }


@contextmanager
def watched(stack: BenchStack) -> Iterator[Memory]:
    """Sample the workers' memory meanwhile."""
    memory, done, began = Memory(), threading.Event(), time.monotonic()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            rss, own = stack.workers_memory()
            memory.samples.append((round(time.monotonic() - began, 2), round(rss / 1e6, 1), round(own / 1e6, 1)))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


class Ledger:
    """The subledger of a stack."""

    def __init__(self, stack: BenchStack, say: Console) -> None:
        self.stack, self.say = stack, say
        self._schemas = 0

    def files(self, entries: int, entity: str = ENTITIES[0], place: str = BUCKET) -> str:
        """Write ledger files; the manifest's address."""
        told = self.stack.output(
            "jobs.load", "subledger", f"--entries={entries}", f"--entity={TENANT}/{entity}",
            f"--out={place}/{entries}", f"--files={max(4, entries // 2_500_000)}", "--json",
        )  # fmt: skip
        return str(json.loads(told)[0]["manifest"])

    def load(self, manifest: str, workers: int, connections: int) -> tuple[dict[str, Any], Memory]:
        """One load: its status with `rows` and `entries_per_s`, and the workers' memory. Raises Wrong."""
        with self._tables() as schema:
            self._submit(schema, manifest)
            with watched(self.stack) as memory:
                [request] = self._run(schema, workers, connections, 1)
        rows = request["rows_posted"] + request["rows_rejected"] + request["rows_duplicate"]
        rate = rows / request["seconds"]
        self.say.print(
            f"  {rows:,} entries, {workers} workers, {connections} connections: {request['seconds']:.1f} s, "
            f"{rate:,.0f}/s, {request['lines_posted'] / rows:.2f} lines each, {memory.peak:,.0f} MB"
        )
        return request | {"rows": rows, "entries_per_s": rate}, memory

    def load_all(self, manifests: Sequence[str], workers: int, at_once: int) -> tuple[float, Memory]:
        """Several loads, each with so many workers: seconds from the first start to the last end. Raises Wrong."""
        with self._tables() as schema:
            for manifest in manifests:
                self._submit(schema, manifest)
            began = time.monotonic()
            with watched(self.stack) as memory:
                self._run(schema, workers, workers, at_once)
            return time.monotonic() - began, memory

    @contextmanager
    def _tables(self) -> Iterator[str]:
        """New tables with the entities; they are dropped at the end."""
        self._schemas += 1
        schema = f"bench_{self._schemas}"
        self._do(schema, "tenant", "add", TENANT)
        for entity in ENTITIES:
            self._do(schema, "entity", "add", TENANT, entity, "--currency=USD", f"--periods={_PERIODS}")
            self._do(schema, "period", "close", TENANT, entity, _CLOSED)
        yield schema
        with psycopg.connect(self.stack.addresses()["postgres"], autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            found = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", (schema,))
            for (name,) in found.fetchall():
                self._drop(connection, name)
            connection.execute("CHECKPOINT")

    @staticmethod
    def _drop(connection: psycopg.Connection[Any], schema: str) -> None:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))

    def _submit(self, schema: str, manifest: str) -> None:
        self._do(schema, "submit", f"--manifest={manifest}")

    def _run(self, schema: str, workers: int, connections: int, at_once: int) -> list[dict[str, Any]]:
        """Run all that is queued; what became of it."""
        self._do(
            schema, "run", "--until-idle", f"--parallelism={workers}", f"--connections={connections}",
            f"--requests={at_once}", f"--scratch={self.stack.home.parent / 'scratch'}",
        )  # fmt: skip
        told = self.stack.output("jobs.subledger", f"--schema={schema}", "status", "--json", "--limit=100")
        requests = [json.loads(line) for line in told.splitlines()]
        for request in requests:
            if request["state"] != "PUBLISHED":
                raise Wrong(f"the request of {request['entity']} is {request['state']}: {request['error']}")
        return requests

    def _do(self, schema: str, *arguments: str) -> None:
        self.stack.run("jobs.subledger", f"--schema={schema}", *arguments)
