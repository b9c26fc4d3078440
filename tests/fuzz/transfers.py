"""Transfers: records of the log and of Mojaloop's topics, events, notifications, questions, and snapshots."""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from pathlib import Path

import msgspec

from state import cells
from state.cells import CellError, CellHeader
from tests.fuzz.shared import END, Target, parts_of, records_of
from tests.unit.read_model.maker import Maker
from tests.unit.transfers import wire
from tests.unit.transfers.wire import BASE
from transforms.core import SnapshotError
from transforms.load.notes import NoteError, decode_note
from transforms.read_model.answers import Known, NotAQuestion, answer, question
from transforms.read_model.projection import project
from transforms.transfers.local import LocalHub
from transforms.transfers.shard import TransferShard
from transforms.transfers.topics import Topics

PARTITIONS = 2
HEADER = CellHeader("transfer", 1, "florin-transfer", "transfer-log", 0, PARTITIONS, 7, BASE)
_TOPICS = Topics("")


def _hub(fast: bool) -> LocalHub:
    hub = LocalHub(PARTITIONS, fast=fast)
    wire.add_dfsps(hub, "dfsp1", "dfsp2")
    return hub


def _play(data: bytes, fast: bool) -> LocalHub:
    """Records, each after a byte that says to which topic it comes and how much later than the one before."""
    hub = _hub(fast)
    now = BASE
    for record in records_of(data):
        place, value = record[:1] or b"\0", record[1:]
        now += (place[0] >> 3) * 1000
        if place[0] & 3 < 2:
            hub.send((hub.topics.prepare, hub.topics.fulfil)[place[0] & 1], value, now)
        else:
            hub.append(place[0] & 1, value, now)
            hub.run(now)
    return hub


def messages(data: bytes) -> None:
    """Any records: no shard raises, the typed and the lenient way say the same, and every reader takes what comes."""
    hub = _play(data, True)
    assert _play(data, False).outputs == hub.outputs
    wire.check_chains(hub)
    before = wire.balances(hub)
    hub.restore()
    assert wire.balances(hub) == before
    for topic, partition, key, value in hub.outputs:
        if topic == hub.topics.events:
            rows = project([(0, key, value)], {}, partition)
            assert not rows.dead, rows.dead
        elif topic == hub.topics.notifications:
            decode_note(value)
        elif topic == hub.topics.dead_letters:
            json.loads(value)


def _message_seeds() -> list[bytes]:
    prepare = wire.prepare("t-1", "dfsp1", "dfsp2", "10", BASE + 30_000)
    credit = b'{"credit":{"origin":0,"seq":1,"id":"a","payee":"dfsp2","currency":"USD","units":"5"}}'
    seeds = [
        [b"\0" + prepare, b"\1" + wire.fulfil("t-1", "dfsp2", "dfsp1", completed=BASE)],
        [b"\0" + prepare, b"\1" + wire.error("t-1", "dfsp2", "dfsp1")],
        [b"\0" + prepare, b"\xfa" + b'{"tick":1}', b"\1" + wire.fulfil("t-1", "dfsp2", "dfsp1")],
        [b"\3" + credit, b"\2" + credit, b'\2{"pause":"x"}'],
        [b"\2" + wire.admin("addParticipant", id="d3", accounts=[{"currency": "EUR", "cover": "5", "ndc": "5"}])],
        [b"\2" + wire.admin("setNdc", id="dfsp1", currency="USD", ndc="9")],
        [b"\2" + wire.admin("fundsOut", id="dfsp1", currency="USD", amount="3", transferId="f", action="reserve")],
        [b"\2" + wire.admin("configure", expirationHorizonSeconds=60, onUs=True)],
    ]
    golden = sorted((Path(__file__).parents[1] / "golden" / "cases").glob("*.json"))[::25]
    return [END.join(seed) for seed in seeds] + [b"\0" + path.read_bytes()[:2000] for path in golden]


def events(data: bytes) -> None:
    """What reads topics of ours when others have written there: events, notifications, questions."""
    records = records_of(data)
    project([(offset, None, value) for offset, value in enumerate(records)], {}, 0)
    for value in records:
        with contextlib.suppress(NoteError):
            decode_note(value)
        try:
            asked = question(value)
        except NotAQuestion:
            continue
        known = Known("dfsp1", asked.asker, "COMMITTED", None, "f", BASE)
        for found in ([], [known]):
            json.loads(answer(asked, found, BASE))


def _event_seeds() -> list[bytes]:
    maker = Maker()
    maker.reserve("t-1", "dfsp1", "dfsp2")
    maker.commit("t-1", "dfsp1")
    maker.event("shard/0", "participant", participant="dfsp1", active=True, commandId="c", result="ok")
    hub = _play(_message_seeds()[0], True)
    get = wire.envelope("get", "get", "t-1", "dfsp1", "Hub", {})
    return [
        END.join(value for _, _, value in maker.records),
        END.join(value for topic, _, _, value in hub.outputs if topic == hub.topics.notifications),
        wire.dump(get),
    ]


def envelope(data: bytes) -> None:
    """A cell of Beam state: any bytes, and any header under a checksum that fits."""
    header, payload = parts_of(data, 2)
    text = header[:0xFFFF]
    crc = zlib.crc32(payload, zlib.crc32(text))
    framed = struct.pack(">4sBH", cells.MAGIC, cells.FORMAT, len(text)) + text + struct.pack(">I", crc) + payload
    for cell in (data, framed):
        try:
            found, _ = cells.decode(cell)
            cells.check(found, HEADER, 100)
        except CellError:
            pass


def _envelope_seeds() -> list[bytes]:
    cell = cells.encode(HEADER, b"payload")
    return [cell, cell[7:-11] + END + b"payload"]


def snapshot(data: bytes) -> None:
    """Cells of a transfer shard: refused, or taken as a whole."""
    main, *slices = records_of(data)[:8]
    shard = TransferShard(0, PARTITIONS, _TOPICS)
    try:
        shard.load({0: (7, main), **{number: (7, one) for number, one in enumerate(slices, 1)}})
    except SnapshotError:
        return
    shard.dump(whole=True)


def _snapshot_seeds() -> list[bytes]:
    hub = _play(_message_seeds()[0], True)
    wire.add_dfsps(hub, "dfsp3")
    shard = hub.shards[0]
    for number in range(20):
        hub.send(hub.topics.prepare, wire.prepare(f"s-{number}", "dfsp1", "dfsp2", "1", BASE + 30_000), BASE)
    main = dict(shard.dump(whole=True))[0]
    hub.tick(BASE + 40_000)
    hub.tick(BASE + 4_000_000)
    later = dict(shard.dump(whole=True))
    return [main, END.join(value for _, value in sorted(later.items()))]


def _plain_snapshot_seeds() -> list[bytes]:
    """Snapshots with little in them, to be changed at every place."""
    empty = TransferShard(0, PARTITIONS, _TOPICS)
    main = dict(empty.dump(whole=True))[0]
    told = msgspec.msgpack.decode(main[6:])
    return [main, main[:6] + msgspec.msgpack.encode(told | {"slots": {1: 5}})]


TARGETS = {
    "transfer-messages": Target("records of the log and of Mojaloop's topics", messages, _message_seeds),
    "transfer-events": Target("events, notifications, questions", events, _event_seeds),
    "cell-envelope": Target("snapshot cells in Beam state", envelope, _envelope_seeds),
    "transfer-snapshot": Target(
        "cells of a transfer shard", snapshot, lambda: _snapshot_seeds() + _plain_snapshot_seeds()
    ),
}
