"""One shard: credits, expiry, snapshots, commands and what is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.transfers import wire
from tests.unit.transfers.wire import BASE
from transforms.core import Batch, SnapshotError
from transforms.transfers import money
from transforms.transfers.credits import MAX_GAPS, Credits
from transforms.transfers.local import LocalHub
from transforms.transfers.sequencer import SequencerCore
from transforms.transfers.shard import TransferShard
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.unit

EXPIRES = BASE + 30_000


@pytest.fixture
def hub() -> LocalHub:
    made = LocalHub(1)
    wire.add_dfsps(made, "dfsp1", "dfsp2", "dfsp3")
    return made


def position(hub: LocalHub, name: str) -> str:
    account = hub.account(name)
    assert account is not None
    return money.text(account.position)


def credit(seq: int, units: int = 10_000, origin: int = 0) -> bytes:
    return wire.dump(
        {
            "credit": {
                "origin": origin,
                "seq": seq,
                "id": f"t-{seq}",
                "payee": "dfsp2",
                "currency": "USD",
                "units": str(units),
            }
        }
    )


def letters(hub: LocalHub) -> list[str]:
    return [json.loads(value)["reason"] for value in hub.of(hub.topics.dead_letters)]


def test_a_doubled_credit_is_applied_once(hub: LocalHub) -> None:
    for seq in (1, 2, 2, 1, 3):
        hub.append(0, credit(seq), BASE)
    hub.run(BASE)
    assert position(hub, "dfsp2/USD") == "-3"
    assert letters(hub) == ["credit 2 of shard 0 was applied already", "credit 1 of shard 0 was applied already"]


def test_a_credit_that_jumps_ahead_is_applied_and_the_missing_ones_fill_the_gap_once(hub: LocalHub) -> None:
    for seq in (1, 5, 3, 3, 2, 4, 4, 6):
        hub.append(0, credit(seq), BASE)
    hub.run(BASE)
    hub.restore()
    assert position(hub, "dfsp2/USD") == "-6"
    assert letters(hub) == [
        "credits 2 to 4 of shard 0 are missing before credit 5",
        "credit 3 of shard 0 was applied already",
        "credit 4 of shard 0 was applied already",
    ]


def test_gaps_are_bounded() -> None:
    credits = Credits(1)
    for number in range(2, 2 * MAX_GAPS + 1, 2):
        assert credits.refusal(0, number) == ""
        credits.take(0, number)
    assert "gap number" in credits.refusal(0, 2 * MAX_GAPS + 2)
    assert credits.refusal(0, 2 * MAX_GAPS + 1) == ""
    assert credits.refusal(0, 3) == ""


def test_a_committed_transfer_sends_one_numbered_credit_to_the_payees_shard() -> None:
    hub = LocalHub(4)
    wire.add_dfsps(hub, "dfsp1", "dfsp2", "dfsp5")
    for n, payee in enumerate(("dfsp2", "dfsp5", "dfsp2")):
        hub.send(hub.topics.prepare, wire.prepare(f"t-{n}", "dfsp1", payee, "1", EXPIRES), BASE)
        hub.send(hub.topics.fulfil, wire.fulfil(f"t-{n}", payee, "dfsp1"), BASE)
    found = [
        (partition, key, json.loads(value)["credit"])
        for topic, partition, key, value in hub.outputs
        if b'{"credit"' in value
    ]
    assert [(partition, key, one["origin"], one["seq"]) for partition, key, one in found] == [
        (2, b"dfsp2", 0, 1),
        (1, b"dfsp5", 0, 1),
        (2, b"dfsp2", 0, 2),
    ]


def test_deadline_is_the_next_expiration_of_what_is_reserved(hub: LocalHub) -> None:
    shard = hub.shards[0]
    assert shard.deadline() is None
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES), BASE)
    hub.send(hub.topics.prepare, wire.prepare("t-2", "dfsp1", "dfsp2", "1", EXPIRES - 5), BASE)
    assert shard.deadline() == EXPIRES - 5
    hub.send(hub.topics.fulfil, wire.fulfil("t-2", "dfsp2", "dfsp1"), BASE)
    assert shard.deadline() == EXPIRES
    hub.tick(EXPIRES)
    assert shard.deadline() is None
    assert shard.tick() == b'{"tick":1}'


def test_log_time_never_runs_backwards_even_over_a_restart(hub: LocalHub) -> None:
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES), BASE + 100)
    hub.restore()
    hub.append(0, wire.fulfil("t-1", "dfsp2", "dfsp1"), BASE + 50)
    hub.run(BASE + 50)
    last = [json.loads(value)["at"] for value in hub.of(hub.topics.events)][-2:]
    assert last == [BASE + 100, BASE + 100]


def test_expired_transfers_do_not_pile_up_in_the_watch_list(hub: LocalHub) -> None:
    for n in range(5000):
        hub.append(0, wire.prepare(f"t-{n}", "dfsp1", "dfsp2", "1", BASE + 3_600_000), BASE)
        hub.append(0, wire.fulfil(f"t-{n}", "dfsp2", "dfsp1"), BASE)
        if n % 500 == 0:
            hub.run(BASE)
    hub.run(BASE)
    assert len(hub.shards[0].due) < 2000


def test_a_finished_transfer_is_forgotten_after_the_horizon_and_its_copy_is_expired(hub: LocalHub) -> None:
    hub.admin({"configure": {"expirationHorizonSeconds": 60}}, BASE)
    prepare = wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES)
    hub.send(hub.topics.prepare, prepare, BASE)
    hub.send(hub.topics.fulfil, wire.fulfil("t-1", "dfsp2", "dfsp1"), BASE)
    hub.tick(BASE + 1_000_000)
    before = len(hub.outputs)
    hub.send(hub.topics.fulfil, wire.fulfil("t-1", "dfsp2", "dfsp1"), BASE + 1_000_000)
    hub.send(hub.topics.prepare, prepare, BASE + 1_000_000)
    assert wire.told(hub, before) == [("dfsp2", "PUT error", "2001", "t-1"), ("dfsp1", "PUT error", "3100", "t-1")]
    assert hub.read_side.state("t-1") == "COMMITTED"
    assert position(hub, "dfsp2/USD") == "-1"


def test_snapshot_is_the_whole_state(hub: LocalHub) -> None:
    hub.admin(
        {"fundsOut": {"id": "dfsp1", "currency": "USD", "amount": "5", "transferId": "f", "action": "reserve"}}, BASE
    )
    for n in range(20):
        hub.send(hub.topics.prepare, wire.prepare(f"t-{n}", "dfsp1", "dfsp2", "1.5", EXPIRES + n), BASE)
    hub.send(hub.topics.fulfil, wire.fulfil("t-3", "dfsp2", "dfsp1"), BASE)
    shard = hub.shards[0]
    first = shard.dump()
    fresh = TransferShard(0, 1, hub.topics)
    assert fresh.load({cell: (77, payload) for cell, payload in first}) == 77
    assert dict(fresh.dump())[0] == dict(first)[0]
    tail = [wire.fulfil(f"t-{n}", "dfsp2", "dfsp1") for n in range(20)] + [b'{"tick":1}']
    assert wire.feed(fresh, tail, EXPIRES + 10, 77) == wire.feed(shard, tail, EXPIRES + 10, 77)


def test_load_of_nothing_is_a_fresh_shard(hub: LocalHub) -> None:
    shard = hub.shards[0]
    assert shard.load({}) == 0
    assert shard.participants == {}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda cell: b"", "not the main cell"),
        (lambda cell: b"XXXX" + cell[4:], "not the main cell"),
        (lambda cell: cell[:4] + b"\x00\x63" + cell[6:], "format version 99"),
        (lambda cell: cell[:-5], "damaged"),
        (lambda cell: cell[:6] + b"\xc1" + cell[7:], "damaged"),
    ],
)
def test_unknown_snapshots_are_refused(hub: LocalHub, edit: Any, words: str) -> None:
    cell = dict(hub.shards[0].dump())[0]
    with pytest.raises(SnapshotError, match=words):
        TransferShard(0, 1, hub.topics).load({0: (5, edit(cell))})


def test_snapshot_of_another_shard_is_refused(hub: LocalHub) -> None:
    cell = dict(hub.shards[0].dump())[0]
    with pytest.raises(SnapshotError, match="shard 0 of 1"):
        TransferShard(0, 2, hub.topics).load({0: (5, cell)})


def result_of(hub: LocalHub, name: str, **arguments: Any) -> list[dict[str, Any]]:
    before = len(hub.outputs)
    hub.admin({name: arguments}, BASE, "c-1")
    events = [json.loads(value) for topic, _, _, value in hub.outputs[before:] if topic == hub.topics.events]
    return [event for event in events if event.get("commandId") == "c-1"]


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("addParticipant", {"id": "dfsp1"}, "exists already"),
        ("addParticipant", {"id": "a b"}, "1 to 64 letters"),
        ("addParticipant", {"accounts": []}, "1 to 64 letters"),
        ("addParticipant", {"id": "x", "accounts": [{"currency": "usd"}]}, "three capital letters"),
        ("addParticipant", {"id": "x", "accounts": [{"currency": "USD", "cover": "-1"}]}, "cover"),
        ("addParticipant", {"id": "x", "accounts": [{"currency": "USD"}, {"currency": "USD"}]}, "named twice"),
        ("addParticipant", {"id": "x", "accounts": 5}, "Expected"),
        ("addAccount", {"id": "dfsp1", "currency": "USD"}, "exists already"),
        ("addAccount", {"id": "nobank", "currency": "USD"}, "unknown participant"),
        ("setNdc", {"id": "dfsp1", "currency": "EUR", "ndc": "5"}, "no account"),
        ("setNdc", {"id": "dfsp1", "currency": "USD", "ndc": "1e5"}, "ndc"),
        ("setNdc", {"id": "dfsp1", "currency": "USD"}, "ndc"),
        ("setNdc", {"id": 5, "currency": "USD"}, "Expected"),
        ("setActive", {"id": "dfsp1"}, "true or false"),
        ("fundsIn", {"id": "dfsp1", "currency": "USD", "amount": "0", "transferId": "f"}, "not positive"),
        ("fundsIn", {"id": "dfsp1", "currency": "USD", "amount": "1"}, "transferId"),
        ("fundsOut", {"id": "dfsp1", "currency": "USD", "amount": "1", "transferId": "f"}, "action"),
        (
            "fundsOut",
            {"id": "dfsp1", "currency": "USD", "amount": "1001", "transferId": "f", "action": "reserve"},
            "cover",
        ),
        ("fundsOut", {"id": "dfsp1", "transferId": "f", "action": "commit"}, "no funds out"),
        ("configure", {"expirationHorizonSeconds": 0}, "expirationHorizonSeconds"),
        ("configure", {"expirationHorizonSeconds": "x"}, "Expected"),
        ("closeWindow", {}, "unknown command"),
        ("x" * 500, [], "unknown command"),
    ],
)
def test_refused_commands_say_why_once_and_change_nothing(
    partitions: int, name: str, arguments: Any, words: str
) -> None:
    hub = LocalHub(partitions)
    wire.add_dfsps(hub, "dfsp1", "dfsp2")
    before = wire.balances(hub)
    start = len(hub.outputs)
    hub.admin({name: arguments}, BASE, "c-1")
    events = [json.loads(value) for topic, _, _, value in hub.outputs[start:] if topic == hub.topics.events]
    assert [(event["kind"], event["commandId"]) for event in events] == [("refused", "c-1")]
    assert words in events[0]["result"]
    assert wire.balances(hub) == before
    wire.check_chains(hub)


@pytest.mark.parametrize("partitions", [1, 4])
def test_commands_answer_with_the_accounts_event(partitions: int) -> None:
    hub = LocalHub(partitions)
    added = result_of(hub, "addParticipant", id="dfsp1", accounts=[{"currency": "USD", "cover": "10", "ndc": "5"}])
    assert [(event["kind"], event["result"]) for event in added] == [("participant", "ok")] * 2
    (ndc,) = result_of(hub, "setNdc", id="dfsp1", currency="USD", ndc="2.5")
    assert (ndc["account"], ndc["kind"], ndc["ndc"], ndc["change"]) == ("dfsp1/USD", "ndc", "2.5", "0")
    (funds,) = result_of(hub, "fundsIn", id="dfsp1", currency="USD", amount="3", transferId="f-1")
    assert (funds["cover"], funds["amount"], funds["transferId"]) == ("13", "3", "f-1")
    (again,) = result_of(hub, "fundsIn", id="dfsp1", currency="USD", amount="3", transferId="f-1")
    assert (again["kind"], again["result"]) == ("refused", "already applied")
    (active,) = result_of(hub, "setActive", id="dfsp1", active=False)
    assert (active["kind"], active["active"], active["participant"]) == ("active", False, "dfsp1")
    (account,) = result_of(hub, "addAccount", id="dfsp1", currency="EUR", cover="7", ndc="6")
    assert (account["account"], account["cover"], account["ndc"]) == ("dfsp1/EUR", "7", "6")
    (settings,) = result_of(hub, "configure", onUs=True, expirationHorizonSeconds=60)
    assert (settings["kind"], settings["account"], settings["expirationHorizonSeconds"]) == ("configure", "shard/0", 60)
    assert all(shard.on_us and shard.horizon == 60_000 for shard in hub.shards)
    wire.check_chains(hub)


def test_cover_that_would_overflow_is_refused(hub: LocalHub) -> None:
    account = hub.account("dfsp1/USD")
    assert account is not None
    account.cover = money.MAX_BALANCE - 5
    (refused,) = result_of(hub, "fundsIn", id="dfsp1", currency="USD", amount="0.0006", transferId="f-1")
    assert "larger" in refused["result"]
    (done,) = result_of(hub, "fundsIn", id="dfsp1", currency="USD", amount="0.0005", transferId="f-2")
    assert done["result"] == "ok"


def test_sequencer_keys_by_payer_and_passes_the_bytes_on() -> None:
    topics = Topics()
    sequencer = SequencerCore(topics.prepare, 1, 4, topics)
    values = [
        wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES),
        wire.fulfil("t-1", "dfsp5", "dfsp2"),
        wire.error("t-1", "dfsp5", "dfsp2"),
        wire.prepare("t-1", "dfsp5", "dfsp2", "1", EXPIRES, sender="dfsp1"),
    ]
    out = sequencer.apply(Batch([7, 8, 9, 10], [BASE] * 4, [None] * 4, values))
    assert out == [
        (topics.log, 0, b"dfsp1", values[0]),
        (topics.log, 2, b"dfsp2", values[1]),
        (topics.log, 2, b"dfsp2", values[2]),
        (topics.log, 1, b"dfsp5", values[3]),
    ]
    assert sequencer.dump() == []
    assert sequencer.counters() == {"sequenced": 4, "dead_letters": 0}


@pytest.mark.parametrize("missing", ["destination", "destination and to"])
def test_sequencer_falls_back_on_what_the_message_says(missing: str) -> None:
    topics = Topics()
    document = wire.envelope("fulfil", "commit", "t-1", "dfsp5", "dfsp2", {})
    del document["content"]["headers"]["fspiop-destination"]
    if missing != "destination":
        del document["to"]
    ((topic, partition, key, _),) = SequencerCore(topics.fulfil, 0, 4, topics).apply(
        Batch([0], [BASE], [None], [wire.dump(document)])
    )
    assert (topic, partition, key) == (
        (topics.log, 2, b"dfsp2") if missing == "destination" else (topics.log, 1, b"dfsp5")
    )


def test_notifications_are_mojaloop_envelopes(hub: LocalHub) -> None:
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "1", EXPIRES), BASE)
    hub.send(hub.topics.prepare, wire.prepare("t-2", "dfsp1", "dfsp2", "9999", EXPIRES), BASE)
    post, error = (json.loads(value) for value in hub.of(hub.topics.notifications))
    assert (post["id"], post["from"], post["to"], post["type"]) == ("t-1", "dfsp1", "dfsp2", "application/json")
    assert post["content"]["headers"] == {"fspiop-source": "dfsp1", "fspiop-destination": "dfsp2"}
    assert post["metadata"] == {
        "correlationId": "t-1",
        "event": {
            "type": "notification",
            "action": "prepare",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "state": {"status": "success", "code": 0},
        },
        "http": {"method": "POST"},
    }
    assert error["content"]["payload"]["errorInformation"]["errorCode"] == "4001"
    assert error["metadata"]["event"]["state"] == {"status": "error", "code": 4001}
    assert error["content"]["headers"]["fspiop-destination"] == "dfsp1"


def test_reserve_event_has_the_agreed_members(hub: LocalHub) -> None:
    hub.send(hub.topics.prepare, wire.prepare("t-1", "dfsp1", "dfsp2", "1.50", EXPIRES), BASE)
    value = list(hub.of(hub.topics.events))[-1]
    event = json.loads(value)
    assert list(event)[-1] == "hash"
    previous, digest = event.pop("prevHash"), event.pop("hash")
    assert len(previous) == len(digest) == 64
    assert event == {
        "account": "dfsp1/USD", "seq": 2, "transferId": "t-1", "kind": "reserve", "state": "RESERVED",
        "change": "1.5", "position": "1.5", "reserved": "1.5", "cover": "1000", "ndc": "1000", "at": BASE, "offset": 3,
        "payer": "dfsp1", "payee": "dfsp2", "amount": "1.50", "currency": "USD",
        "expiration": "2026-01-01T00:00:30.000Z",
    }  # fmt: skip
