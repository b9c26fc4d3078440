"""Card scoring on Flink: traffic is scored once and only once, through kills, rule changes and savepoints."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cards_system import CardsSystem
from tests.conftest import Florin, eventually

pytestmark = pytest.mark.cluster

RULES = {"default": "guessing", "seed": "R01"}
"""The rule sets of these tests, each with the name of a rule."""


@pytest.fixture(scope="module")
def system(florin: Florin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardsSystem]:
    made = CardsSystem(florin, tmp_path_factory.mktemp("cards"), "c-")
    made.set_up()
    yield made
    florin.stop_jobs()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda whole: whole[:-8], "bytes, the manifest says"),
        (lambda whole: whole[:-8] + bytes(255 - byte for byte in whole[-8:]), "is damaged: SHA-256"),
    ],
    ids=["cut", "changed"],
)
@pytest.mark.long
def test_a_damaged_history_is_refused_before_anything_is_scored(
    system: CardsSystem, damage: Callable[[bytes], bytes], told: str
) -> None:
    file = next(Path(system.histories).glob("partition-*/*.arrow"))
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    try:
        printed = system.start(expect=2)
        assert file.name in printed
        assert told in printed
    finally:
        file.write_bytes(whole)


def test_every_transaction_is_scored_once(system: CardsSystem) -> None:
    system.start()
    report = system.load(3000, 8)
    assert 0 < report["watched"]["flagged_share"] < 0.2
    assert report["watched"]["recall"] > 0
    system.audit()


def test_kill_of_a_taskmanager_under_load(system: CardsSystem) -> None:
    reports: list[dict[str, Any]] = []
    load = threading.Thread(target=lambda: reports.append(system.load(2000, 12)))
    before = system.scored().total()
    load.start()
    eventually("verdicts come", lambda: system.scored().total() > before + 2000)
    os.kill(system.florin.taskmanagers_at_work()[0].pid, signal.SIGKILL)
    load.join()
    assert len(reports) == 1
    assert system.scored().total() == before + reports[0]["sent"]
    system.audit()


def test_rules_change_under_load_and_the_replay_decides_the_same(system: CardsSystem) -> None:
    reports: list[dict[str, Any]] = []
    load = threading.Thread(target=lambda: reports.append(system.load(2000, 20)))
    versions = set(system.scored())
    load.start()
    system.rules("load", "seed")
    assert system.states() == {"default": "active", "seed": "loaded"}
    system.rules("activate", "seed")
    assert system.states() == {"default": "loaded", "seed": "active"}
    load.join()
    assert len(reports) == 1
    system.load(2000, 2)  # should the commands have come after the last transaction
    assert len(set(system.scored()) - versions) == 1
    system.audit()


def test_a_refused_command_says_why(system: CardsSystem) -> None:
    assert "'seed' is the active rule set" in system.rules("retire", "seed", expect=1)


@pytest.mark.long
def test_commands_at_the_same_time_are_in_one_order_for_all_shards(system: CardsSystem) -> None:
    def change(name: str) -> None:
        for mode in ("activate", "shadow", "activate"):
            system.rules(mode, name, "--rule", RULES[name], "--wait-s=60")

    threads = [threading.Thread(target=change, args=(name,)) for name in RULES for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(system.states()) == set(RULES)
    system.audit()


def test_stop_and_restore_go_on_where_they_were(system: CardsSystem) -> None:
    system.florin.run("jobs.cards", "stop", f"--topic_prefix={system.prefix}")
    system.florin.run("flink", "restore", "latest", "--job", system.job, "--parallelism", "1")
    system.load(2000, 5)
    system.audit()


@pytest.mark.long
def test_a_job_begun_anew_goes_on_with_the_rules_and_histories_that_began_the_log(system: CardsSystem) -> None:
    system.florin.stop_jobs()
    printed = system.start("--rules=seed", expect=4)
    assert "began with default@" in printed
    assert "leave out --rules" in printed
    printed = system.florin.run("jobs.cards", "start", f"--topic_prefix={system.prefix}", "--detach", expect=4)
    assert "name the --history of the first start" in printed
    before = system.scored().total()
    system.start()
    report = system.load(2000, 3)
    assert system.scored().total() == before + report["sent"]
    assert set(system.states()) == set(RULES)
    system.audit()
