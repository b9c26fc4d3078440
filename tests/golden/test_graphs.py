"""What savepoints hang on in the graphs of the streaming jobs stays as it is; a change says what it breaks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest

from tests.golden.upgrades import graphs
from transforms.card_shards import card_shards
from transforms.cards.topics import Topics
from transforms.shard import LogSettings
from transforms.shards import RunShards

pytestmark = pytest.mark.golden

Json = dict[str, Any]
JOBS = ("transfer", "cards", "read_model")
REMEDY = (
    "\nRemedy: give back what it was. If it has to change, tests/golden/upgrades/README.md says what its users then "
    "need to do, and `python -m tests.golden.upgrades.graphs` writes the kept file anew."
)


@pytest.fixture(scope="module")
def current() -> dict[str, Json]:
    return graphs.current()


@pytest.mark.parametrize("job", JOBS)
def test_savepoints_of_released_versions_find_their_state(job: str, current: dict[str, Json]) -> None:
    told = graphs.differences(job, graphs.kept()[job], current[job])
    assert not told, "\n".join(told) + REMEDY


@pytest.mark.parametrize("job", JOBS)
def test_what_is_new_in_a_graph_is_kept_from_then_on(job: str, current: dict[str, Json]) -> None:
    assert current[job] == graphs.kept()[job], (
        f"the graph of {job} has more than graphs.json: write it with `python -m tests.golden.upgrades.graphs` and "
        "commit it, so that a later change is seen"
    )


def renamed(graph: Json) -> None:
    graph["labels"]["Transfers/RunShards"] = graph["labels"].pop("Transfers/Run")


def other_environment(graph: Json) -> None:
    graph["labels"]["Transfers/Run"]["environment"] = "beam:env:docker:v1"


def other_input(graph: Json) -> None:
    graph["labels"]["Transfers/Run"]["reads"] = ["16Transfers/FanOut.None: kv:v1<bytes:v1, bytes:v1>"]


def other_coder(graph: Json) -> None:
    graph["labels"]["Transfers/Run"]["state"]["epoch"] = "beam:user_state:bag:v1 bytes:v1"


def fewer_cells(graph: Json) -> None:
    del graph["labels"]["Transfers/Run"]["state"]["cell063"]


def no_timer(graph: Json) -> None:
    del graph["labels"]["Transfers/Run"]["timers"]["ts-turn"]


def other_keys(graph: Json) -> None:
    graph["labels"]["Transfers/Run"]["keys"].reverse()


def other_partitions(graph: Json) -> None:
    graph["topics"]["transfer-log"] = 8


def other_group(graph: Json) -> None:
    graph["group"] = "transfer"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (renamed, "the label 'Transfers/Run' of the transfer job is gone (new: 'Transfers/RunShards'): Flink finds the "
                  "state of a savepoint by labels, so savepoints made before cannot be restored"),
        (other_environment, "environment of 'Transfers/Run' of the transfer job changed from beam:env:process:v1 to"),
        (other_input, "reads of 'Transfers/Run' of the transfer job changed from"),
        (other_coder, "state 'epoch' of 'Transfers/Run' of the transfer job was beam:user_state:bag:v1 varint:v1 and"),
        (fewer_cells, "state 'cell063' of 'Transfers/Run' of the transfer job was beam:user_state:bag:v1 bytes:v1 and "
                      "is gone: savepoints made before cannot be restored"),
        (no_timer, "timers 'ts-turn' of 'Transfers/Run' of the transfer job was"),
        (other_keys, "the keys of 'Transfers/Run' of the transfer job changed from"),
        (other_partitions, "topic transfer-log of the transfer job had 4 partitions by default and has 8"),
        (other_group, "the group of the transfer job changed from 'florin-transfer' to 'transfer'"),
    ],
)  # fmt: skip
def test_a_change_says_what_it_breaks(change: Callable[[Json], None], told: str) -> None:
    was = graphs.kept()["transfer"]
    now = copy.deepcopy(was)
    change(now)
    [found] = graphs.differences("transfer", was, now)
    assert found.startswith(told)


def test_a_label_that_is_renamed_in_the_code_is_seen() -> None:
    job, _ = graphs.jobs()["cards"]

    def under_another_label(pipeline: beam.Pipeline) -> None:
        shards = card_shards(Topics(), 4, "")
        pipeline | "Verdicts" >> RunShards(shards, LogSettings(graphs.KAFKA, "g"), namespace="cards")

    told = graphs.differences("cards", graphs.kept()["cards"], graphs.describe(job, under_another_label))
    gone = [one for one in told if one.startswith("the label")]
    assert len(gone) == 3, told
    assert gone[0].startswith("the label 'Score/FanOut' of the cards job is gone (new: 'Verdicts/FanOut', 'Verdicts/")
