"""The read model as a job on Flink: over a kill -9 its tables agree with what the load generator sent."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from florin_io.kafka.log import end_offsets
from florin_io.postgres import Database
from jobs.load.report import Report
from jobs.read_model import database_of
from tests.cluster.system import PARTITIONS, TransferSystem, send
from tests.conftest import Florin, eventually
from tests.unit.read_model.test_answers import get
from transforms.read_model.reader import ReadModel

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]

ABORTED = {"abort", "reject", "invalid-fulfilment", "timeout", "ndc", "liquidity"}


@pytest.fixture(scope="module")
def system(florin: Florin) -> Iterator[TransferSystem]:
    made = TransferSystem(florin, "read-")
    made.start(parallelism=1)
    made.set_up()
    yield made
    florin.stop_jobs()


@pytest.fixture(scope="module")
def database(system: TransferSystem) -> Database:
    return database_of(None, "read_on_flink")


def states(report: Report) -> Counter[str]:
    """Transfers by the state that the generator's scenarios end in."""
    counts: Counter[str] = Counter()
    for name, tally in report.outcomes.items():
        counts["ABORTED" if name in ABORTED else "COMMITTED"] += tally["expected"]
    return counts


def caught_up(system: TransferSystem, database: Database) -> bool:
    try:
        with ReadModel(database) as model:
            lag = model.lag(end_offsets(system.kafka, system.topics.events, PARTITIONS))
            return system.at_rest() and sum(lag) == 0
    except psycopg.errors.UndefinedTable:
        return False


def test_tables_agree_with_the_generator_over_a_kill_of_the_worker(
    system: TransferSystem, database: Database, florin: Florin
) -> None:
    known = {worker.pid for worker in florin.workers()}
    florin.run(
        "jobs.read_model", "--runner=FlinkRunner", f"--topic_prefix={system.prefix}", f"--schema={database.schema}",
        "--detach",
    )  # fmt: skip
    eventually("the read model's worker", lambda: len(florin.workers()) > len(known))
    with florin.rest() as rest:
        job = rest.require(f"{system.prefix}read_model")["jid"]
        with system.under_load(150, 15) as reports:
            (victim,) = [worker for worker in florin.workers() if worker.pid not in known]
            os.kill(victim.pid, signal.SIGKILL)
            eventually("Flink notices the kill", lambda: bool(rest.exceptions(job)))
        eventually("lag 0", lambda: caught_up(system, database))
        assert rest.job(job)["state"] == "RUNNING"
    assert system.failures() == [], "the transfer job has nothing to do with it"
    (report,) = reports
    with ReadModel(database) as model:
        assert model.counts_by_state() == dict(states(report))
        assert model.faults() == {"chain_breaks": 0, "dead_letters": 0}
        (total,) = model.totals()
        assert (total["currency"], total["position"], total["reserved"]) == ("USD", 0, 0)
        emitted = system.accounts()
        rows = {row["account"]: row for row in model.positions()}
        assert set(rows) == set(emitted)
        for name, event in emitted.items():
            assert (str(rows[name]["last_seq"]), float(rows[name]["position"])) == (
                str(event["seq"]),
                float(event["position"]),
            ), name


def test_a_get_is_answered_once_to_each_party(system: TransferSystem, database: Database) -> None:
    with ReadModel(database) as model:
        row = next(row for row in model.find_transfers(state="COMMITTED", limit=1))
    id, payer, payee = row["transfer_id"], row["payer"], row["payee"]
    stranger = next(name for name in ("dfsp1", "dfsp2", "dfsp3") if name not in (payer, payee))
    askers = (payer, payee, stranger)
    send(system.kafka, [(system.topics.get, number % 2, None, get(id, asker)) for number, asker in enumerate(askers)])

    def told() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for part in system.records(system.topics.notifications):
            for _, value in part:
                if b'"action":"get"' in value:
                    note = json.loads(value)
                    body = note["content"]["payload"]
                    found.setdefault(note["to"], []).append(
                        body.get("transferState") or body["errorInformation"]["errorCode"]
                    )
        return found

    eventually("three answers", lambda: sum(map(len, told().values())) >= 3)
    eventually("rest", system.at_rest)
    assert told() == {payer: ["COMMITTED"], payee: ["COMMITTED"], stranger: ["3000"]}
