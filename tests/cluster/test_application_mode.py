"""The jar that `--jar` writes runs in Flink's application mode; an upgrade is a pause, a savepoint and another jar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from florin_io.control import not_paused
from jobs.transfer import group_of
from tests.cluster.application import Application
from tests.cluster.system import PARTITIONS, TransferSystem
from tests.conftest import Florin, eventually
from transforms.load.scenarios import EVERYDAY

pytestmark = [pytest.mark.cluster, pytest.mark.long]
RATE = 100
# No transfer that shall time out: on a busy machine its prepare may expire before it reaches the log.
MIX = {name: share for name, share in EVERYDAY.items() if name != "timeout"}


@pytest.fixture
def application(florin: Florin, tmp_path: Path) -> Iterator[Application]:
    made = Application(florin, tmp_path / "application", taskmanagers=2)
    yield made
    made.end()


def written(system: TransferSystem, file: Path) -> Path:
    """The job's jar, made anew as each start on Kubernetes does."""
    printed = system.florin.run("jobs.transfer", f"--topic_prefix={system.prefix}", f"--jar={file}")
    assert f"job {system.job} is in {file}" in printed.replace("\n", " ")
    return file


def test_an_upgrade_by_savepoint_loses_nothing_and_emits_nothing_twice(
    application: Application, tmp_path: Path
) -> None:
    system = TransferSystem(application, "application-")
    application.start(written(system, tmp_path / "old.jar"), 2)
    assert system.parallelism() == {2}, "the parallelism is the cluster's, not the jar's"
    system.set_up()
    system.load(RATE, mix=MIX)
    eventually("rest", system.at_rest)

    printed = application.run("jobs.transfer", f"--topic_prefix={system.prefix}", "--pause")
    assert f"all {PARTITIONS} shards" in printed
    assert not_paused(system.kafka, system.topics.log, PARTITIONS, group_of(system.job)) == []
    before = system.emitted()
    with application.rest() as rest:
        savepoint = rest.stop(system.job_id())
    application.end()

    application.start(written(system, tmp_path / "new.jar"), 1, savepoint)
    with application.rest() as rest:
        assert rest.checkpoints(system.job_id())["latest"]["restored"]["external_path"] == savepoint
    assert system.parallelism() == {1}
    assert system.emitted() == before, "replayed records were emitted again"
    system.load(RATE, mix=MIX)
    eventually("rest", system.at_rest)
    system.check_books()
    system.audit()
