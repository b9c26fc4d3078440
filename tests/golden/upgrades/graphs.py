"""What savepoints hang on in each streaming job's graph, as kept in graphs.json and as it is.

After a change that is meant: `python -m tests.golden.upgrades.graphs` writes the file anew. README.md says what such a
change breaks.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.flink_runner import FlinkRunner

from flink import submit
from florin_io.postgres import Database
from jobs import cards, read_model, transfer
from jobs.launch import StreamingJob
from transforms.card_shards import card_shards
from transforms.cards.topics import Topics as CardTopics
from transforms.read_model.follow import Source
from transforms.read_model.queries import Desk
from transforms.shard import LogSettings
from transforms.transfers.topics import Topics

FILE = Path(__file__).parent / "graphs.json"
KAFKA = "localhost:9"  # never asked
Json = dict[str, Any]
Build = Callable[[beam.Pipeline], object]
PARDO = "beam:transform:pardo:v1"


def _options(module: Any) -> argparse.Namespace:
    options: argparse.Namespace = module.parser().parse_args([f"--kafka={KAFKA}"])
    return options


def jobs() -> dict[str, tuple[StreamingJob, Build]]:
    """Every streaming job with its default options, and what makes its graph without asking a server."""
    partitions = _options(transfer).partitions
    found = {
        "transfer": transfer.job_of(_options(transfer)),
        "cards": cards.job_of(_options(cards)),
        "read_model": read_model.job_of(_options(read_model)),
    }
    topics = Topics()
    source, desk = Source(KAFKA, topics.events, "g"), Desk(KAFKA, topics, "g", partitions)
    return {
        "transfer": (found["transfer"], found["transfer"].build),
        "cards": (
            found["cards"],
            lambda p: cards.build(p, card_shards(CardTopics(), partitions, ""), LogSettings(KAFKA, "g"), 128),
        ),
        "read_model": (
            found["read_model"],
            lambda p: read_model.build(p, source, desk, Database("postgresql://nobody", "x"), 128, 2),
        ),
    }


def describe(job: StreamingJob, build: Build) -> Json:
    """Group, topics, labels; of a label what it is, what it reads, its state and timers by name, its shards' keys."""
    keys: dict[str, list[str]] = {}
    options = PipelineOptions(submit.flink_defaults([], job.name, 1))
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    pipeline.visit(_Keys(keys))
    proto = FlinkRunner().get_proto_pipeline(pipeline, options)
    labels = {}
    for transform in proto.components.transforms.values():
        if transform.spec.urn and not transform.subtransforms:
            labels[transform.unique_name] = _label(transform, proto.components, keys)
    topics = {topic.name: topic.partitions for topic in job.topics}
    return {"name": job.name, "group": job.group, "topics": topics, "labels": dict(sorted(labels.items()))}


class _Keys(beam.pipeline.PipelineVisitor):  # type: ignore[misc]
    """Collects the keys of shards and loops, by the label of the step that runs them."""

    def __init__(self, found: dict[str, list[str]]) -> None:
        self._found = found

    def visit_transform(self, node: Any) -> None:
        fn = getattr(node.transform, "fn", None)
        for name in ("_specs", "_makers"):
            if hasattr(fn, name):
                self._found[node.full_label] = list(getattr(fn, name))


def _label(transform: Any, components: api.Components, keys: dict[str, list[str]]) -> Json:
    reads = [components.pcollections[one] for one in transform.inputs.values()]
    found: Json = {
        "is": transform.spec.urn,
        "environment": components.environments[transform.environment_id].urn,
        "reads": [f"{one.unique_name}: {_coder(one.coder_id, components)}" for one in reads],
    }
    if transform.spec.urn == PARDO:
        pardo = api.ParDoPayload.FromString(transform.spec.payload)
        found["state"] = {
            name: f"{spec.protocol.urn} {_coder(_coder_of(spec), components)}"
            for name, spec in sorted(pardo.state_specs.items())
        }
        found["timers"] = {
            name: f"{api.TimeDomain.Enum.Name(spec.time_domain)} {_coder(spec.timer_family_coder_id, components)}"
            for name, spec in sorted(pardo.timer_family_specs.items())
        }
        found["keys"] = keys.get(transform.unique_name, [])
    return found


def _coder_of(spec: Any) -> str:
    kind = spec.WhichOneof("spec")
    return str(getattr(spec, kind).coder_id or getattr(spec, kind).element_coder_id)


def _coder(id: str, components: api.Components) -> str:
    coder = components.coders[id]
    parts = ", ".join(_coder(part, components) for part in coder.component_coder_ids)
    name = coder.spec.urn.removeprefix("beam:coder:")
    return f"{name}<{parts}>" if parts else name


def current() -> dict[str, Json]:
    """All jobs as they are."""
    with tempfile.TemporaryDirectory() as home:
        before = os.environ.get("FLORIN_HOME")
        os.environ["FLORIN_HOME"] = home
        try:
            return {name: describe(job, build) for name, (job, build) in jobs().items()}
        finally:
            os.environ.pop("FLORIN_HOME") if before is None else os.environ.update(FLORIN_HOME=before)


def kept() -> dict[str, Json]:
    """All jobs as savepoints of released versions have them."""
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


def differences(job: str, was: Json, now: Json) -> list[str]:
    """What a change of the job's graph breaks, one sentence a difference."""
    found = [
        f"the {what} of the {job} job changed from {was[what]!r} to {now[what]!r}: the group of committed offsets "
        "follows from it, so the cells of every savepoint made before are refused, and without them all would be "
        "emitted again"
        for what in ("name", "group")
        if was[what] != now[what]
    ]
    for topic, partitions in was["topics"].items():
        if now["topics"].get(topic) != partitions:
            found.append(
                f"topic {topic} of the {job} job had {partitions} partitions by default and has "
                f"{now['topics'].get(topic, 'gone')}: state is a function of the log's partitions, and offsets are "
                "committed by topic and partition; a job that runs cannot go on with others"
            )
    gone = [label for label in was["labels"] if label not in now["labels"]]
    new = [label for label in now["labels"] if label not in was["labels"]]
    for label in gone:
        found.append(
            f"the label {label!r} of the {job} job is gone (new: {', '.join(map(repr, new)) or 'none'}): Flink finds "
            "the state of a savepoint by labels, so savepoints made before cannot be restored"
        )
    for label in (label for label in was["labels"] if label in now["labels"]):
        found += _changes(f"{label!r} of the {job} job", was["labels"][label], now["labels"][label])
    return found


def _changes(where: str, was: Json, now: Json) -> list[str]:
    found = [
        f"{what} of {where} changed from {was[what]} to {now[what]}: {broken}"
        for what, broken in (
            ("is", "the state of savepoints made before is not looked for there"),
            ("environment", "Flink's operator ids follow from it, so savepoints made before cannot be restored"),
            ("reads", "Flink's operator ids and the bytes of keys follow from it, so savepoints made before cannot be "
             "restored"),
        )
        if was[what] != now[what]
    ]  # fmt: skip
    for what in ("state", "timers"):
        for name, coder in was.get(what, {}).items():
            if (changed := now.get(what, {}).get(name)) != coder:
                found.append(
                    f"{what} {name!r} of {where} was {coder} and is {changed or 'gone'}: savepoints made before cannot "
                    "be restored, or are read wrongly"
                )
    if was.get("keys", []) != now.get("keys", [])[: len(was.get("keys", []))]:
        found.append(
            f"the keys of {where} changed from {was['keys']} to {now['keys']}: Flink keeps a shard's state under its "
            "key, so every shard would begin without its cells"
        )
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
