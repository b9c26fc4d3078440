"""The end of a load: rejects and balances into the database, leaves sealed, everything reconciled, and published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pyarrow as pa

from florin_io.frames import InputError
from florin_io.postgres import Connection, patiently
from transforms.subledger_db import publish, requests, schema, staging
from transforms.subledger_db.model import Check, Fenced
from transforms.subledger_load import reconciling
from transforms.subledger_load.loader import Loader
from transforms.subledger_load.model import (
    Load,
    Outcome,
    Overtaken,
    PlanReport,
    PostReport,
    Refusal,
    Trouble,
)  # fmt: skip
from transforms.subledger_load.plan import share_refusal
from transforms.subledger_load.progress import say_stage
from transforms.subledger_load.scan import merged_zone
from transforms.subledger_load.scratch import Scratch

_GIVE_UP_S = 60.0
_CHECKS_TOLD = 5
_MOST_KEPT = 100_000
"""Rejects that are kept of a request with too many of them."""


def close(load: Load, told: Sequence[PlanReport | PostReport | Trouble]) -> Outcome:
    """Publish the request or refuse it. What is raised may pass: the job tries again, and finds what was done."""
    for trouble in told:
        if isinstance(trouble, Overtaken):
            return Outcome("OVERTAKEN", trouble.message)
    try:
        for trouble in told:
            if isinstance(trouble, Refusal):
                return _refuse(load, trouble.message, (), None)
        (plan,) = (one for one in told if isinstance(one, PlanReport))
        posts = sorted((one for one in told if isinstance(one, PostReport)), key=lambda one: one.task)
        return _Close(load, plan, posts).run()
    except Fenced as error:
        return Outcome("OVERTAKEN", str(error))


def _refuse(load: Load, message: str, checks: Iterable[Check], totals: publish.Totals | None) -> Outcome:
    with _connect(load) as connection:
        requests.refuse(connection, load.request, load.attempt, message, checks=checks, totals=totals)
    return Outcome("FAILED", message)


def _connect(load: Load) -> closing[Connection]:
    return closing(schema.connect(load.postgres, "subledger close", load.schema))


class _Close:
    """The last stage of one attempt."""

    def __init__(self, load: Load, plan: PlanReport, posts: Sequence[PostReport]) -> None:
        self._load, self._plan, self._posts = load, plan, posts
        self._scratch = Scratch(load.scratch)
        read = sum(scan.read for scan in plan.scans)
        rejected = sum(scan.rejected for scan in plan.scans) + sum(post.rejected for post in posts)
        self._totals = publish.Totals(
            read, sum(post.posted for post in posts), rejected, sum(post.duplicates for post in posts),
            sum(post.lines for post in posts), merged_zone([scan.zone for scan in plan.scans]),
        )  # fmt: skip

    def run(self) -> Outcome:
        balances = reconciling.sum_of(
            [self._scratch.read_table(post.balances) for post in self._posts if post.balances]
        )
        refusal = self._plan.refusal or share_refusal(self._load, self._totals.rows_read, self._totals.rows_rejected)
        with Loader(self._load, 0, self._load.connections) as loader:
            for batch in self._rejects(_MOST_KEPT if refusal else None):
                loader.add("reject", batch)
            for batch in balances.to_batches():
                loader.add("balance", batch)
            loaded = loader.finish()
        if refusal:
            return _refuse(self._load, refusal, (), self._totals)
        self._seal()
        try:
            with _connect(self._load) as connection:
                say_stage(connection, self._load, "reconciling")
                checks = reconciling.checks_of(self._load, connection, self._plan, self._posts, self._totals, balances)
        except InputError as error:
            return _refuse(self._load, str(error), (), self._totals)
        if wrong := [check for check in checks if not check.ok]:
            message = f"does not reconcile: {len(wrong)} of {len(checks)} checks failed; {_told(wrong)}"
            return _refuse(self._load, message, checks, self._totals)
        return self._publish(checks, loaded)

    def _rejects(self, most: int | None) -> Iterable[pa.RecordBatch]:
        named = [scan.rejects for scan in self._plan.scans] + [post.rejects for post in self._posts]
        count = 0
        for name in filter(None, named):
            mapped = self._scratch.map_table(name)
            for batch in mapped.table.to_batches():
                part = batch if most is None else batch.slice(0, most - count)
                count += part.num_rows
                yield part
                mapped.forget()
                if count == most:
                    return

    def _seal(self) -> None:
        """Keys of all leaves, several at once."""
        request, attempt = self._load.request.request_id, self._load.attempt
        with _connect(self._load) as connection:
            say_stage(connection, self._load, "making keys")
            names = list(staging.leaves(connection, request, attempt))

        def seal(name: str) -> None:
            with _connect(self._load) as connection:
                staging.seal(connection, name)

        # The other workers have no more to load: their connections are free.
        with ThreadPoolExecutor(self._load.connections * self._load.parallelism) as pool:
            list(pool.map(lambda name: patiently(lambda: seal(name), give_up_s=_GIVE_UP_S), names))

    def _publish(self, checks: Sequence[Check], loaded: dict[str, tuple[int, int]]) -> Outcome:
        expected = dict(loaded)
        for post in self._posts:
            for stage, (more, rows) in post.loaded.items():
                before = expected.get(stage, (0, 0))
                expected[stage] = (before[0] + more, before[1] + rows)
        files = [
            publish.InputFile(
                file.number, file.url, file.size, bytes.fromhex(file.sha256),
                sum(scan.read for scan in self._plan.scans if scan.file == file.number), file.audit_copy,
            )
            for file in self._plan.files
        ]  # fmt: skip
        with _connect(self._load) as connection:
            publish.publish(
                connection, self._load.request, self._load.attempt,
                publish.Publication(self._totals, checks, expected, files),
            )  # fmt: skip
        did = self._totals
        counts = {
            "read": did.rows_read, "posted": did.rows_posted, "rejected": did.rows_rejected,
            "duplicate": did.rows_duplicate, "lines": did.lines_posted,
        }  # fmt: skip
        return Outcome("PUBLISHED", counts=counts)


def _told(wrong: Sequence[Check]) -> str:
    named = [f"{check.name} {check.subject or ''}: expected {check.expected}, found {check.found}" for check in wrong]
    return "; ".join(named[:_CHECKS_TOLD]) + ("; ..." if len(named) > _CHECKS_TOLD else "")
