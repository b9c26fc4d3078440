"""Bad input through the running job: a dead letter or an answer with the reason, and the stream goes on.

Wrong starts of the job are refused with the remedy.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from florin_io.kafka.client import admin
from florin_io.kafka.log import now_ms
from florin_io.kafka.topics import FOREVER, TopicSpec, ensure
from state.cells import CellError
from tests.cluster.system import PARTITIONS, Follower, TransferSystem, send
from tests.conftest import Florin, eventually
from tests.unit.transfers import wire
from transforms.shard import LogSettings, Shard, ShardSpec
from transforms.transfers.routing import partition_of
from transforms.transfers.shard import TransferShard
from transforms.transfers.timestamps import iso
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.cluster

HOME = partition_of("dfsp1", PARTITIONS)


@pytest.fixture(scope="module")
def system(florin: Florin) -> Iterator[TransferSystem]:
    made = TransferSystem(florin, "bad-")
    made.start(parallelism=1)
    made.set_up()
    yield made
    florin.stop_jobs()


def edited(id: str, edit: Callable[[dict[str, Any]], object], payer: str = "dfsp1", payee: str = "dfsp2") -> bytes:
    """A prepare that would be right if it were not for the edit and for its expiration."""
    payload = wire.prepare_payload(id, payer, payee, "10", wire.BASE, "k")
    payload["expiration"] = iso(now_ms() + 600_000)
    document = wire.envelope("prepare", "prepare", id, payer, payee, payload)
    edit(document)
    return wire.dump(document)


def payload(**members: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["content"]["payload"].update(members)


NO_JSON = {
    "malformed JSON": (b'{"id":', "not a JSON object"),
    "invalid UTF-8": (b'{"id":"\xff\xfe","content":{}}', "not UTF-8"),
    "no object": (b"[1]", "not a JSON object"),
    "empty": (b"", "not a JSON object"),
    "wrong types": (b'{"id":5,"content":7,"metadata":[]}', ""),
    "a credit that is none": (b'{"credit":{"origin":"x"}}', "not a credit"),
    "an amount that is no number": (b'{"content":{"headers":{},"payload":{"amount":NaN}}}', "not a JSON object"),
    "900 kB of nothing": (b'{"content":{"payload":"' + b"x" * 890_000 + b'"}}', ""),
}
"""Record and a part of the reason. They hold no party that could be told."""

CONTROL = {
    "a pause": b'{"pause":"now"}',
    "a tick": b'{"tick":1}',
    "an admin command": b'{"admin":{"setNdc":{"id":"dfsp1","currency":"USD","ndc":"0"}},"id":"x"}',
}
"""Records of the log that no DFSP may send through Mojaloop's topics."""

HEADERLESS = partial(edited, edit=lambda document: document["content"].update(headers={}))

TOLD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown event type": (lambda document: document["metadata"]["event"].update(type="bulk"), "3100"),
    "huge amount": (payload(amount={"currency": "USD", "amount": "9" * 5000}), "3100"),
    "huge number": (payload(amount={"currency": "USD", "amount": 10**60}), "3100"),
    "scientific amount": (payload(amount={"currency": "USD", "amount": "1e400"}), "3100"),
    "wrong type of amount": (payload(amount=["USD", 10]), "3100"),
    "wrong type of condition": (payload(condition={"a": 1}), "3100"),
    "unknown payee": (payload(payeeFsp="nobank"), "3100"),
    "payload that is no object": (lambda document: document["content"].update(payload="text"), "3100"),
}
"""Edit of a good prepare of dfsp1, and the code its sender is told."""


def letters(system: TransferSystem) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Dead letters by topic, partition and offset of what they are about."""
    found = [json.loads(value) for part in system.records(system.topics.dead_letters) for _, value in part]
    return {(letter["topic"], letter["partition"], letter["offset"]): letter for letter in found}


def answers(system: TransferSystem) -> dict[str, list[tuple[str, str, str | None]]]:
    """Receiver, method and code of all notifications, by transfer id."""
    told: dict[str, list[tuple[str, str, str | None]]] = {}
    for part in system.records(system.topics.notifications):
        for _, value in part:
            note = json.loads(value)
            code = (note["content"]["payload"].get("errorInformation") or {}).get("errorCode")
            told.setdefault(note["id"], []).append((note["to"], note["metadata"]["http"]["method"], code))
    return told


def goes_on(system: TransferSystem) -> None:
    """The job was not restarted, and good transfers are as good as ever."""
    system.load(rate=100, seconds=1)
    assert system.failures() == []


@pytest.mark.parametrize("place", ["prepare", "fulfil", "log"])
def test_what_is_no_message_becomes_a_dead_letter(system: TransferSystem, place: str) -> None:
    topic = {"prepare": system.topics.prepare, "fulfil": system.topics.fulfil, "log": system.topics.log}[place]
    cases = dict(NO_JSON)
    if place != "log":
        cases |= {name: (value, "control records are not taken") for name, value in CONTROL.items()}
        cases["missing headers"] = (HEADERLESS(f"headerless-{place}"), "fspiop-source")
    partition = HOME if place == "log" else 1
    offsets = send(system.kafka, [(topic, partition, None, value) for value, _ in cases.values()])
    eventually("rest", system.at_rest)
    found = letters(system)
    by_bytes = {base64.b64decode(letter["bytes"]): letter for letter in found.values()}
    for (name, (value, reason)), offset in zip(cases.items(), offsets, strict=True):
        # What the sequencer could route is put aside by the shard, as a record of the log.
        letter = found.get((topic, partition, offset)) or by_bytes.get(value)
        assert letter is not None, f"{name}: no dead letter for {topic}/{partition}@{offset}"
        assert reason in letter["reason"], f"{name}: {letter['reason']}"
        assert letter["remedy"], name
        assert base64.b64decode(letter["bytes"]) == value, name
    goes_on(system)


@pytest.mark.parametrize("place", ["prepare", "log"])
def test_a_sender_that_can_be_told_is_told(system: TransferSystem, place: str) -> None:
    topic, partition = (system.topics.log, HOME) if place == "log" else (system.topics.prepare, 0)
    ids = {name: f"told-{place}-{number}" for number, name in enumerate(TOLD)}
    send(system.kafka, [(topic, partition, b"dfsp1", edited(ids[name], edit)) for name, (edit, _) in TOLD.items()])
    eventually("rest", system.at_rest)
    told = answers(system)
    for name, (_, code) in TOLD.items():
        assert told.get(ids[name]) == [("dfsp1", "PUT error", code)], name
    goes_on(system)


def test_unknown_payer_and_unknown_transfer_are_told(system: TransferSystem) -> None:
    prepare = edited("from-nobank", lambda document: None, payer="nobank")
    fulfil = wire.fulfil("never-seen", "dfsp2", "dfsp1")
    send(system.kafka, [(system.topics.prepare, 0, None, prepare), (system.topics.fulfil, 0, None, fulfil)])
    eventually("rest", system.at_rest)
    told = answers(system)
    assert told.get("from-nobank") == [("nobank", "PUT error", "3100")]
    assert told.get("never-seen") == [("dfsp2", "PUT error", "2001")]
    goes_on(system)


def test_a_prepare_of_hundreds_of_kilobytes_passes_through_whole(system: TransferSystem) -> None:
    big = edited("big-one", payload(extension="x" * 850_000))
    send(system.kafka, [(system.topics.prepare, 0, None, big)])
    eventually("rest", system.at_rest)
    assert answers(system).get("big-one") == [("dfsp2", "POST", None)]
    follower = Follower(system.kafka, system.topics.notifications, HOME)
    (post,) = [json.loads(value) for _, value in follower.take() if len(value) > 850_000]
    follower.close()
    assert post["content"]["payload"]["extension"] == "x" * 850_000
    goes_on(system)


def test_bad_input_leaves_log_and_emitted_records_equal(system: TransferSystem) -> None:
    eventually("rest", system.at_rest)
    assert letters(system), "the tests before have left dead letters"
    system.audit()


def test_a_second_submission_of_a_running_job_is_refused(system: TransferSystem) -> None:
    printed = system.start(parallelism=1, expect=4)
    assert "runs already" in printed
    assert "python -m flink savepoint bad-transfer" in printed


def test_a_dry_run_prints_the_graph_and_submits_nothing(system: TransferSystem, florin: Florin) -> None:
    with florin.rest() as rest:
        before = [job["jid"] for job in rest.jobs()]
        printed = system.start("--dry-run", "--job_name=dry")
        assert [job["jid"] for job in rest.jobs()] == before
    for part in ("graph:", "Sequence", "Transfers", "FanOut", "nothing was submitted"):
        assert part in printed


@pytest.mark.parametrize(
    ("option", "remedy"),
    [("--kafka=127.0.0.1:1", "no Kafka answers at 127.0.0.1:1"), ("--flink_master=127.0.0.1:1", "No Flink answers at")],
)
def test_a_server_that_is_not_there_is_said_with_the_remedy(system: TransferSystem, option: str, remedy: str) -> None:
    printed = system.start(option, "--job_name=nowhere", expect=3)
    assert remedy in printed
    assert "python -m flink up" in printed


def test_a_topic_with_too_few_partitions_is_refused(florin: Florin, kafka: str, prefix: str) -> None:
    narrow = TransferSystem(florin, prefix)
    client = admin(kafka)
    ensure(client, [TopicSpec(narrow.topics.log, 2, FOREVER)])
    printed = narrow.start(expect=4)
    assert f"topic {narrow.topics.log} has 2 partitions, the job needs exactly 4" in printed


def test_an_unknown_option_is_refused(florin: Florin) -> None:
    assert "unknown option --paralelism" in florin.run("jobs.transfer", "--paralelism=2", expect=2)


@pytest.mark.parametrize("partitions", ["0", "129"])
def test_impossible_numbers_of_partitions_are_refused(florin: Florin, partitions: str) -> None:
    printed = florin.run("jobs.transfer", f"--partitions={partitions}", expect=2)
    assert "--partitions must be 1 to --max_parallelism" in printed


def test_a_snapshot_of_an_unknown_format_keeps_the_shard_from_starting(kafka: str, prefix: str) -> None:
    topics = Topics(prefix)
    client = admin(kafka)
    ensure(client, [TopicSpec(topics.log, 1, FOREVER)])
    spec = ShardSpec(topics.log, 0, 1, partial(TransferShard, 0, 1, topics))
    settings = LogSettings(kafka, f"{prefix}group")
    shard = Shard(spec, settings, {})
    cells = shard.dump()
    shard.close()
    assert cells
    newer = {number: cell[:4] + bytes([cell[4] + 1]) + cell[5:] for number, cell in cells.items()}
    with pytest.raises(CellError, match="format version 2, this program reads 1: restore it with the release"):
        Shard(spec, settings, newer)
