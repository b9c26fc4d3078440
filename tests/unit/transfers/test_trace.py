"""Trace context: what a record causes carries it, in the same bytes as without, and a malformed one changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.unit.transfers import wire
from transforms.core import Batch, Output
from transforms.trace import MAX_STATE, Trace, trace_of
from transforms.transfers.local import LocalHub
from transforms.transfers.shard import TransferShard

pytestmark = pytest.mark.unit

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
EXPIRES = wire.BASE + 30_000


def traced(parent: bytes) -> Trace:
    return (("traceparent", parent), ("tracestate", b"rojo=1"))


@pytest.fixture
def hub() -> LocalHub:
    made = LocalHub(partitions=2)
    wire.add_dfsps(made, "dfsp1", "dfsp2")
    return made


def carried(outputs: list[Output]) -> list[Trace | None]:
    return [output[4] if len(output) == 5 else None for output in outputs]


@pytest.mark.parametrize(
    "parent",
    [PARENT, OTHER, b"01-" + PARENT[3:], b"01-" + PARENT[3:] + b"-what.a.later.version.adds"],
)
def test_a_well_formed_traceparent_is_taken(parent: bytes) -> None:
    assert trace_of([("other", b"x"), ("traceparent", parent)]) == (("traceparent", parent),)


@pytest.mark.parametrize(
    "parent",
    [
        None, b"", b"\xff\xfe", PARENT.upper(), PARENT[:-1], PARENT + b"0", PARENT + b"-more", PARENT + b"\n",
        b"ff-" + PARENT[3:], b"00-" + b"0" * 32 + PARENT[35:], PARENT[:36] + b"0" * 16 + b"-01", PARENT * 100,
        b"01-" + PARENT[3:] + b"-" + b"x" * 10_000,
    ],
)  # fmt: skip
def test_a_malformed_traceparent_is_left_out_with_its_state(parent: bytes | None) -> None:
    assert trace_of([("traceparent", parent), ("tracestate", b"rojo=1")]) is None


def test_two_traceparents_are_none() -> None:
    assert trace_of([("traceparent", PARENT), ("traceparent", OTHER)]) is None


def test_states_are_joined_and_nothing_else_is_taken() -> None:
    headers = [("tracestate", b"a=1"), ("baggage", b"user=x"), ("traceparent", PARENT), ("tracestate", b"b=2")]
    assert trace_of(headers) == (("traceparent", PARENT), ("tracestate", b"a=1,b=2"))


@pytest.mark.parametrize("state", [None, b"", b"x" * (MAX_STATE + 1), b"a=\x00", "ü=1".encode()])
def test_a_malformed_tracestate_is_left_out_alone(state: bytes | None) -> None:
    assert trace_of([("traceparent", PARENT), ("tracestate", state)]) == (("traceparent", PARENT),)


def test_all_that_a_transfer_causes_carries_the_trace_of_its_message(hub: LocalHub) -> None:
    before = len(hub.outputs)
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "10", EXPIRES), wire.BASE, traced(PARENT))
    middle = len(hub.outputs)
    assert set(carried(hub.outputs[before:])) == {traced(PARENT)}
    hub.send(hub.topics.fulfil, wire.fulfil("t-1", "dfsp2", "dfsp1"), wire.BASE, traced(OTHER))
    after = hub.outputs[middle:]
    assert set(carried(after)) == {traced(OTHER)}
    kinds = [json.loads(output[3])["kind"] for output in after if output[0] == hub.topics.events]
    assert kinds == ["commit", "credit"]


def test_records_without_trace_and_with_it_do_not_mix(hub: LocalHub) -> None:
    values = [wire.prepare(f"t-{number}", "dfsp1", "dfsp2", "1", EXPIRES) for number in range(4)]
    shard = hub.shards[hub.shards[0].participants["dfsp1"].partition]
    traces = [None, traced(PARENT), None, traced(OTHER)]
    outputs = shard.apply(Batch([10, 11, 12, 13], [wire.BASE] * 4, [None] * 4, values, traces))
    assert carried(outputs) == [trace for trace in traces for _ in range(2)]


def test_what_expires_as_time_passes_does_not_carry_the_trace_of_the_record_that_made_it_pass(hub: LocalHub) -> None:
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "10", EXPIRES), wire.BASE, traced(PARENT))
    before = len(hub.outputs)
    later = EXPIRES + 1
    hub.send(hub.topics.prepare, wire.prepare("t-2", "dfsp1", "dfsp2", "10", later + 30_000), later, traced(OTHER))
    outputs = hub.outputs[before:]
    released = [output for output in outputs if b'"t-1"' in output[3] and output[0] != hub.topics.log]
    assert len(released) == 3  # the release, and two FSPs told
    assert set(carried(released)) == {None}
    assert set(carried([output for output in outputs if output not in released])) == {traced(OTHER)}


def test_the_trace_changes_no_byte_of_what_is_decided() -> None:
    def run(trace: Trace | None) -> list[Output]:
        hub = LocalHub(partitions=2)
        wire.add_dfsps(hub, "dfsp1", "dfsp2")
        hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "10", EXPIRES), wire.BASE, trace)
        hub.send(hub.topics.prepare, b"no JSON", wire.BASE, trace)
        hub.send(hub.topics.fulfil, wire.fulfil("t-1", "dfsp2", "dfsp1"), wire.BASE, trace)
        hub.send(hub.topics.fulfil, wire.fulfil("t-9", "dfsp2", "dfsp1"), wire.BASE, trace)
        return [output[:4] for output in hub.outputs]  # type: ignore[misc]

    assert run(None) == run(traced(PARENT))


def test_the_trace_is_not_part_of_a_snapshot(hub: LocalHub) -> None:
    def cells(trace: Trace | None) -> list[tuple[int, bytes]]:
        shard = TransferShard(0, 1, hub.topics)
        accounts = [{"currency": "USD", "cover": "1000", "ndc": "1000"}]
        commands = [wire.admin("addParticipant", id=id, accounts=accounts) for id in ("dfsp1", "dfsp2")]
        wire.feed(shard, [*commands, wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES)], wire.BASE)
        shard.apply(Batch([50], [wire.BASE], [None], [wire.fulfil("t-1", "dfsp2", "dfsp1")], [trace]))
        return shard.dump()

    assert cells(None) == cells(traced(PARENT))


def test_a_trace_in_the_envelope_of_any_shape_rejects_nothing(hub: LocalHub) -> None:
    for number, trace in enumerate([None, 5, "x", [], {}, {"traceparent": 7}, {"a": {"b": ["\x00"]}}]):
        message = json.loads(wire.prepare(f"t-{number}", "dfsp1", "dfsp2", "1", EXPIRES))
        message["metadata"]["trace"] = trace
        hub.send(hub.topics.prepare, json.dumps(message).encode(), wire.BASE)
        told = json.loads(list(hub.of(hub.topics.notifications))[-1])
        assert told["metadata"]["http"]["method"] == "POST"
        assert told["metadata"].get("trace") == trace
