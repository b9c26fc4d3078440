"""Bad input never raises and never moves money: its sender is told, or it becomes a dead letter with a reason."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.transfers import wire
from tests.unit.transfers.wire import BASE
from transforms.transfers.local import LocalHub

pytestmark = pytest.mark.unit

EXPIRES = BASE + 30_000


@pytest.fixture
def hub() -> LocalHub:
    made = LocalHub(2)
    wire.add_dfsps(made, "dfsp1", "dfsp2", "dfsp3")
    return made


def letters(hub: LocalHub) -> list[dict[str, Any]]:
    return [json.loads(value) for value in hub.of(hub.topics.dead_letters)]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not a JSON object"),
        (b"\x00\x01", "not a JSON object"),
        (b"{", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a":NaN}', "not a JSON object"),
        (b'{"content":{}} trailing', "not a JSON object"),
        (b'{"id":"\xff\xfe","content":{}}', "not UTF-8 at byte 7"),
        (b"{}", "no content"),
        (b'{"content":null}', "no content"),
        (b'{"content":5}', "names neither payer nor sender"),
        (b'{"content":{"headers":{}}}', "names neither payer nor sender"),
        (nested(10_000), "nested deeper than 64"),
        (nested(100_000), "more than 20000 objects and arrays"),
        (b'{"content":{"payload":' + nested(63) + b"}}" + b" " * 500, "nested deeper than 64"),
        (b'{"content":{"payload":' + nested(62) + b"}}" + b" " * 500, "names neither payer nor sender"),
        (b'{"content":{"payload":"' + b'\\"[{' * 500 + b'"}}', "names neither payer nor sender"),
        (b'{"admin":{"setNdc":{}},"content":{}}', "control records are not taken"),
        (b'{"pause":"x"}', "control records are not taken"),
        (b'{"tick":1}', "control records are not taken"),
        (b'{"credit":{"origin":0,"seq":1,"id":"a","payee":"dfsp1","currency":"USD","units":"5"}}', "control records"),
        (b'{"credit":{"origin":"x"}}', "not a credit"),
        (b'{"a":"' + b"x" * 1_000_000 + b'"}', "at most 900000"),
    ],
)
def test_sequencer_puts_aside_what_is_no_message(hub: LocalHub, value: bytes, reason: str) -> None:
    hub.send(hub.topics.prepare, value, BASE)
    (letter,) = letters(hub)
    assert reason in letter["reason"]
    assert letter["topic"] == hub.topics.prepare
    assert letter["offset"] == 0
    assert letter["remedy"]
    assert base64.b64decode(letter["bytes"]) == value
    assert letter["size"] == len(value)
    assert wire.told(hub) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not a JSON object"),
        (b"{}", "neither a message nor a control record"),
        (b'{"admin":5}', "not an admin command"),
        (b'{"admin":{}}', "not an admin command"),
        (b'{"admin":' + nested(10_000) + b"}", "nested deeper than 64"),
        (b'{"admin":' + nested(60) + b"}", "not an admin command"),
        (b'{"credit":{"origin":0,"seq":1}}', "not a credit"),
        (b'{"credit":{"origin":0,"seq":1,"id":"a","payee":"nobank","currency":"USD","units":"5"}}', "no account"),
        (b'{"credit":{"origin":9,"seq":1,"id":"a","payee":"dfsp2","currency":"USD","units":"5"}}', "no shard writes"),
        (
            b'{"credit":{"origin":0,"seq":9223372036854775808,"id":"a","payee":"dfsp2","currency":"USD","units":"5"}}',
            "no shard writes",
        ),
        (b'{"credit":{"origin":0,"seq":0,"id":"a","payee":"dfsp2","currency":"USD","units":"5"}}', "no shard writes"),
        (b'{"credit":{"origin":0,"seq":1,"id":"a","payee":"dfsp2","currency":"USD","units":"-5"}}', "units"),
        (b'{"credit":{"origin":0,"seq":1,"id":"","payee":"dfsp2","currency":"USD","units":"5"}}', "transfer id"),
        (b'{"x":"' + b"x" * 1_000_000 + b'"}', "at most 900000"),
    ],
)
def test_log_puts_aside_what_is_no_record(hub: LocalHub, value: bytes, reason: str) -> None:
    home = next(n for n in range(2) if hub.shards[n].participants["dfsp2"].partition == n)
    before = wire.balances(hub)
    hub.append(home, value, BASE)
    hub.run(BASE)
    (letter,) = letters(hub)
    assert reason in letter["reason"]
    assert letter["topic"] == hub.topics.log
    assert wire.balances(hub) == before


def edited(edit: Callable[[dict[str, Any]], None]) -> bytes:
    payload = wire.prepare_payload("t-1", "dfsp1", "dfsp2", "10", EXPIRES, "k")
    document = wire.envelope("prepare", "prepare", "t-1", "dfsp1", "dfsp2", payload)
    edit(document)
    return wire.dump(document)


def set_payload(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["content"]["payload"].update({name: value})


@pytest.mark.parametrize("name", ["payeeFsp", "amount", "condition", "expiration"])
@pytest.mark.parametrize(
    "value", [None, 5, -1.5, True, [], {}, {"x": 1}, "", "\u0000", "é" * 1000, "x" * 10_000, 10**40]
)
def test_wrong_members_of_a_prepare_are_invalid(hub: LocalHub, name: str, value: Any) -> None:
    before = wire.balances(hub)
    hub.send(hub.topics.prepare, edited(set_payload(name, value)), BASE)
    assert wire.told(hub) == [("dfsp1", "PUT error", "3100", "t-1")]
    assert hub.read_side.state("t-1") == "INVALID"
    assert wire.balances(hub) == before
    assert letters(hub) == []


@pytest.mark.parametrize("value", [None, 5, {}, "", "a b", 'a"b', "x" * 65, "ä"])
def test_unusable_transfer_id_is_told_and_put_aside(hub: LocalHub, value: Any) -> None:
    hub.send(hub.topics.prepare, edited(set_payload("transferId", value)), BASE)
    assert [one[:3] for one in wire.told(hub)] == [("dfsp1", "PUT error", "3100")]
    assert len(letters(hub)) == 1


@pytest.mark.parametrize(
    "payload", [None, 5, "text", [], "data:application/json;base64,e30=x", "data:,{}", "data:x;base64,AAAA"]
)
def test_payload_that_is_no_object_is_told(hub: LocalHub, payload: Any) -> None:
    hub.send(hub.topics.prepare, edited(lambda document: document["content"].update(payload=payload)), BASE)
    assert wire.told(hub) == [("dfsp1", "PUT error", "3100", "t-1")]
    assert len(letters(hub)) == 1


def test_payload_in_a_data_uri_is_read_and_passed_on_decoded(hub: LocalHub) -> None:
    payload = wire.prepare_payload("t-1", "dfsp1", "dfsp2", "10", EXPIRES, "k")
    uri = (
        "data:application/vnd.interoperability.transfers+json;version=1.0;base64,"
        + base64.b64encode(json.dumps(payload, indent=1).encode()).decode()
    )
    hub.send(hub.topics.prepare, edited(lambda document: document["content"].update(payload=uri)), BASE)
    (post,) = hub.of(hub.topics.notifications)
    assert json.loads(post)["content"]["payload"] == payload


@pytest.mark.parametrize(
    "headers", [None, {}, {"fspiop-source": None}, {"fspiop-source": 5}, {"fspiop-source": ""}, [], "x"]
)
def test_missing_source_is_put_aside(hub: LocalHub, headers: Any) -> None:
    hub.send(hub.topics.prepare, edited(lambda document: document["content"].update(headers=headers)), BASE)
    assert wire.told(hub) == []
    assert "fspiop-source" in letters(hub)[0]["reason"]


def test_header_names_may_be_in_capitals(hub: LocalHub) -> None:
    headers = {"FSPIOP-Source": "dfsp1", "FSPIOP-Destination": "dfsp2", "Date": "today"}
    hub.send(hub.topics.prepare, edited(lambda document: document["content"].update(headers=headers)), BASE)
    assert wire.told(hub) == [("dfsp2", "POST", None, "t-1")]
    (post,) = hub.of(hub.topics.notifications)
    assert json.loads(post)["content"]["headers"] == headers or "Date" in json.loads(post)["content"]["headers"]


def test_unknown_message_type_is_told_and_put_aside(hub: LocalHub) -> None:
    hub.send(
        hub.topics.prepare, edited(lambda document: document["metadata"]["event"].update(type="bulk", action="x")), BASE
    )
    assert wire.told(hub) == [("dfsp1", "PUT error", "3100", "t-1")]
    assert "bulk" in letters(hub)[0]["reason"]


def test_prepare_on_the_wrong_partition_is_put_aside(hub: LocalHub) -> None:
    value = wire.prepare("t-1", "dfsp1", "dfsp2", "10", EXPIRES)
    home = hub.shards[0].participants["dfsp1"].partition
    hub.append(1 - home, value, BASE)
    hub.run(BASE)
    assert "wrong partition" in letters(hub)[0]["reason"]
    assert wire.told(hub) == []
    assert hub.read_side.state("t-1") is None


def test_headers_payload_and_trace_pass_through_byte_for_byte(hub: LocalHub) -> None:
    payload = '{ "transferId" : "t-1", "payerFsp":"dfsp1","payeeFsp":"dfsp2","amount":{"currency":"USD","amount":"10"},'
    payload += f'"condition":"{"A" * 43}","expiration":"2026-01-01T00:00:30.000Z","extra":"\\u00e9" }}'
    headers = '{"fspiop-source":"dfsp1", "fspiop-destination":"dfsp2","x":"ü"}'
    metadata = '{"event":{"type":"prepare"},"trace":{"a" : 1}}'
    value = f'{{"id":"t-1","content":{{"headers":{headers},"payload":{payload}}},"metadata":{metadata}}}'
    hub.send(hub.topics.prepare, value.encode(), BASE)
    (post,) = hub.of(hub.topics.notifications)
    for part in (payload, headers, '"trace":{"a" : 1}'):
        assert part.encode() in post


def test_unknown_sender_cannot_break_the_json_of_its_answer(hub: LocalHub) -> None:
    name = 'x","to":"dfsp1\\\n é'
    hub.send(hub.topics.fulfil, wire.fulfil("t-1", name, "dfsp1"), BASE)
    assert wire.told(hub) == [(name, "PUT error", "2001", "t-1")]


def corpus() -> list[bytes]:
    metadata = {"event": {"type": "fulfil", "action": "reject"}, "trace": {"traceId": "1"}}
    return [
        wire.prepare("t-1", "dfsp1", "dfsp2", "10", EXPIRES),
        wire.prepare("t-2", "dfsp2", "dfsp1", "3.5", EXPIRES),
        wire.prepare("t-3", "dfsp3", "dfsp2", "0.0001", EXPIRES),
        wire.fulfil("t-1", "dfsp2", "dfsp1", completed=BASE),
        wire.fulfil("t-2", "dfsp1", "dfsp2", action="reserve"),
        wire.error("t-3", "dfsp2", "dfsp3"),
        wire.dump(wire.envelope("fulfil", "reject", "t-1", "dfsp2", "dfsp1", {}, metadata=metadata)),
    ]


JSON_SPLICES = ["null", "5", "-1", "1e999", "NaN", "{}", "[]", "true", '{"a":{"b":[]}}', f'"{"9" * 400}"']
TEXT_SPLICES = [
    "",
    "x",
    "\\ud800",
    "\\u0000",
    "10",
    "dfsp1",
    "dfsp2",
    "t-1",
    "prepare",
    "fulfil",
    "reserve",
    "RESERVED",
]
SPLICES = [*(one.encode() for one in JSON_SPLICES), *(f'"{one}"'.encode() for one in TEXT_SPLICES)]
SPLICES += [b"\xff", b"\xc3\x28", nested(3000), nested(40)]


def mutated(rng: random.Random, value: bytes) -> bytes:
    """Cut, doubled, overwritten, or a member's value replaced."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, to = sorted(rng.randrange(len(value) + 1) for _ in range(2))
        how = rng.randrange(6)
        if how == 0:
            value = value[:at] + value[to:]
        elif how == 1:
            value = value[:at] + bytes([rng.randrange(256)]) + value[at + 1 :]
        elif how == 2:
            value = value[:at] + rng.choice(SPLICES) + value[at:]
        else:
            document = json.loads(rng.choice(corpus()))
            value = replaced(rng, document)
        if not value:
            value = b"{"
    return value


def replaced(rng: random.Random, document: Any) -> bytes:
    """The document with one member removed, doubled or given another value."""
    node = document
    while True:
        name = rng.choice(list(node))
        if isinstance(node[name], dict) and node[name] and rng.random() < 0.8:
            node = node[name]
            continue
        break
    marker = "@@@"
    if rng.random() < 0.2:
        del node[name]
        return wire.dump(document)
    node[name] = marker
    return wire.dump(document).replace(f'"{marker}"'.encode(), rng.choice(SPLICES))


@pytest.mark.parametrize("seed", range(8))
def test_garbage_never_raises_and_money_always_adds_up(seed: int) -> None:
    """Mutated messages among good ones, through the sequencer and straight onto the log, read both ways."""
    rng = random.Random(seed)
    fast, slow = LocalHub(2), LocalHub(2, fast=False)
    good = corpus()
    for hub in (fast, slow):
        wire.add_dfsps(hub, "dfsp1", "dfsp2", "dfsp3")
    for step in range(600):
        at = BASE + step * 20
        value = mutated(rng, rng.choice(good))
        way = rng.randrange(3)
        for hub in (fast, slow):
            if way == 2:
                hub.append(step % 2, value, at)
                hub.run(at)
            else:
                hub.send(hub.topics.prepare if way else hub.topics.fulfil, value, at)
        if step % 10 == 0:
            for hub in (fast, slow):
                hub.send(hub.topics.prepare, good[step // 10 % len(good)], at)
    assert fast.outputs == slow.outputs
    for topic in (fast.topics.notifications, fast.topics.events, fast.topics.dead_letters):
        for emitted in fast.of(topic):
            json.loads(emitted)
    wire.check_chains(fast)
    total = sum(position - reserved for _, position, reserved, _, _ in wire.balances(fast))
    assert total == 0
