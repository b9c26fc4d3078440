"""The job around the loops: its graph, its options, what it refuses."""

from __future__ import annotations

import apache_beam as beam
import pytest

from florin_io.postgres import Database
from jobs import read_model
from transforms.read_model.follow import Source
from transforms.read_model.queries import Desk
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.unit


def test_the_graph_has_a_loop_for_every_partition_and_stable_labels() -> None:
    pipeline = beam.Pipeline()
    database = Database("host=nowhere", "s")
    desk = Desk("nowhere:1", Topics(), "g", 4)
    read_model.build(pipeline, Source("nowhere:1", Topics().events, "g"), desk, database, 128, 2)
    labels: list[str] = []

    class Labels(beam.pipeline.PipelineVisitor):  # type: ignore[misc,name-defined]
        def visit_transform(self, node: beam.pipeline.AppliedPTransform) -> None:  # type: ignore[name-defined]
            labels.append(node.full_label)

    pipeline.visit(Labels())
    # Flink finds a savepoint's state by these: never rename one.
    assert {label.split("/")[0] for label in labels} == {"Ticks", "Follow", "Answer"}
    assert {"Follow/Run", "Answer/Run"} <= {label.removesuffix("/ParDo(_RunLoop)") for label in labels}


@pytest.mark.parametrize("command", [[], ["rebuild", "--yes"]])
def test_a_password_in_an_option_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_model.main([*command, "--postgres=postgresql://me:secret@db/x"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "PGPASSWORD" in told
    assert "secret" not in told


def test_a_password_of_the_environment_does_not_travel_with_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORIN_POSTGRES", "postgresql://me:secret@db:5432/x")
    assert "secret" not in read_model.database_of(None, "s").conninfo


def test_rebuild_asks_for_a_yes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_model.main(["rebuild", "--postgres=postgresql://me@localhost:1/x"])
    assert ended.value.code == 2
    assert "--yes" in capsys.readouterr().err


def test_rebuild_without_a_server_says_so_and_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_model.main(["rebuild", "--yes", "--postgres=postgresql://me@localhost:1/x"]) == 3
    assert "python -m flink up" in capsys.readouterr().err.replace("\n", " ")
