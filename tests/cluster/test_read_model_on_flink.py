"""The read model as a job on Flink: over a kill -9 its tables agree with what the load generator sent."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.cluster.read_model_system import ReadModelSystem
from tests.cluster.system import TransferSystem, send
from tests.conftest import Florin, eventually
from tests.unit.read_model.test_answers import get
from transforms.read_model.reader import ReadModel

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("second stack")]


@pytest.fixture(scope="module")
def system(florin: Florin) -> Iterator[TransferSystem]:
    made = TransferSystem(florin, "read-")
    made.start(parallelism=1)
    made.set_up()
    yield made
    florin.stop_jobs()


@pytest.fixture(scope="module")
def tables(system: TransferSystem) -> ReadModelSystem:
    return ReadModelSystem(system, "read_on_flink")


def test_tables_agree_with_the_generator_over_a_kill_of_the_worker(
    system: TransferSystem, tables: ReadModelSystem, florin: Florin
) -> None:
    known = {worker.pid for worker in florin.workers()}
    tables.start()
    eventually("the read model's worker", lambda: len(florin.workers()) > len(known))
    with florin.rest() as rest:
        job = rest.require(tables.job)["jid"]
        with system.under_load(150, 15) as load:
            (victim,) = [worker for worker in florin.workers() if worker.pid not in known]
            os.kill(victim.pid, signal.SIGKILL)
            eventually("Flink notices the kill", lambda: bool(rest.exceptions(job)))
        eventually("lag 0", tables.caught_up)
        assert rest.job(job)["state"] == "RUNNING"
    assert system.failures() == [], "the transfer job has nothing to do with it"
    (report,) = load.reports
    tables.expect(report)
    tables.check()


def test_a_get_is_answered_once_to_each_party(system: TransferSystem, tables: ReadModelSystem) -> None:
    with ReadModel(tables.database) as model:
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
