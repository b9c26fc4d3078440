"""Cards: records of the log, snapshots, history files, verdicts and reports as others read them."""

from __future__ import annotations

import contextlib
import json

import msgspec
import numpy as np

from tests.fuzz.shared import END, Target, parts_of, records_of
from tests.unit.cards import plain
from transforms.cards import wire
from transforms.cards.base import CardHistory
from transforms.cards.core import CardsCore
from transforms.cards.history_cells import simulated_cell
from transforms.cards.history_files import Entry, HistoryError, Manifest, decode, encode, sha256
from transforms.cards.rule_report import decode as decode_report
from transforms.cards.rules.cases import CaseFileError, read_cases
from transforms.cards.scored import decode_scored
from transforms.cards.simulate import Population
from transforms.core import Batch, SnapshotError

_CARD = plain.local_cards(1)[0]
_TEXT = f"{_CARD:014d},{plain.BASE},001,00,100,011,0022,00001,12345".encode()


# Short, for reading it is what takes longest.
_RULES = "name: r\nrules:\n  - {name: A, description: a, when: amount > 50}\n"


def _core(base: CardHistory | None = None) -> CardsCore:
    return CardsCore(0, plain.PARTITIONS, plain.TOPICS, _RULES, base)


def _batch(values: list[bytes], offset: int = 0) -> Batch:
    count = len(values)
    return Batch(list(range(offset, offset + count)), [plain.BASE] * count, [None] * count, values)


def records(data: bytes) -> None:
    """Any records: the core answers each, its outputs can be read, and its cells give the same core."""
    core = _core()
    values = records_of(data)
    outputs = core.apply(_batch(values))
    for topic, _, _, value in outputs:
        if topic in (plain.TOPICS.scored, plain.TOPICS.alerts):
            decode_scored(value)
        elif topic == plain.TOPICS.rules:
            decode_report(value)
        else:
            json.loads(value)
    again = _core()
    again.load({cell: (len(values), payload) for cell, payload in core.dump(whole=True)})
    assert sorted(again.store.cards()) == sorted(core.store.cards())
    assert all(again.store.history(card) == core.store.history(card) for card in core.store.cards())


def _record_seeds() -> list[bytes]:
    packet = wire.packet(_TEXT)
    lettered = wire.packet(_TEXT.replace(b",001,", b",A1B,").replace(b"12345", b"XY345678"))
    load = json.dumps({"rules": {"action": "load", "name": "easy", "text": plain.EASY}, "id": "1"})
    commands = [
        load.replace('{"rules": ', '{"rules":').encode(),
        b'{"rules":{"action":"activate","name":"easy"},"id":"2"}',
        b'{"rules":{"action":"shadow","name":"r","rule":"A","mode":"off"},"id":"3"}',
    ]
    return [packet, END.join([packet, packet, lettered]), END.join([*commands, packet]), commands[2]]


def snapshot(data: bytes) -> None:
    """Cells of a card shard: refused, or they stand for cards that can be scored and written again."""
    main, *others = records_of(data)[:3]
    cells = {0: (9, main)}
    for one in others:
        cells[1 + one[0] % 63 if one else 1] = (9, one[1:])
    core = _core()
    try:
        first = core.load(cells)
    except SnapshotError:
        return
    core.apply(_batch([wire.packet(_TEXT)], max(first, 9)))
    for card in core.store.cards():
        core.store.history(card)
    core.dump(whole=True)


def _snapshot_seeds() -> list[bytes]:
    core = _core()
    core.apply(_batch([part for seed in _record_seeds()[:3] for part in records_of(seed)]))
    cells = dict(core.dump(whole=True))
    main = cells.pop(0)
    empty = dict(_core().dump(whole=True))[0]
    cell, payload = next(iter(cells.items()))
    return [main, empty, empty + END + bytes([cell - 1]) + payload]


def histories(data: bytes) -> None:
    """A manifest, and an Arrow file of card histories that a shard is to begin from."""
    manifest, file = parts_of(data, 2)
    try:
        text = msgspec.json.decode(manifest)
        made = Manifest(text["partitions"], text["source"], text["rejected"], tuple(Entry(**e) for e in text["files"]))
        manifest = made.to_json()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, ValueError, AttributeError):
        pass
    with contextlib.suppress(HistoryError):
        Manifest.from_json(manifest, "manifest")
    try:
        found = decode(file, "file")
    except HistoryError:
        return
    core = _core(_OneCell(found))
    try:
        core.load({})
    except SnapshotError:
        return
    for card in core.store.cards():
        core.store.history(card)
    core.dump(whole=True)


class _OneCell:
    """A history in which one cell has cards: the one that the first of them belongs to."""

    digest = ""

    def __init__(self, found: object) -> None:
        self._found = found
        cards = found.cards  # type: ignore[attr-defined]
        self._cell = int(plain.cells_of(cards[:1])[0]) if len(cards) else 1

    def read(self, cell: int) -> tuple[object, object, object]:
        found = self._found
        if cell == self._cell:
            return found.cards, found.counts, found.items  # type: ignore[attr-defined]
        return np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros((0, 20, 4), np.uint64)

    def texts(self, cell: int) -> object:
        return self._found.texts if cell == self._cell else np.zeros((0, 25), np.uint8)  # type: ignore[attr-defined]


def _history_seeds() -> list[bytes]:
    people = Population(cards=6, seed=1)
    numbers = people.numbers(np.arange(6, dtype=np.int64))
    homes = plain.cells_of(numbers)
    cell = simulated_cell(people, np.flatnonzero(homes == homes[0]).astype(np.int64))
    file = encode(cell).to_pybytes()
    entry = Entry("a.arrow", 0, 1, len(cell.cards), int(cell.counts.sum()), len(file), sha256(file))
    manifest = Manifest(2, {"kind": "simulated"}, 0, (entry,)).to_json()
    return [manifest + END, END + file]


def verdicts(data: bytes) -> None:
    """What reads the job's outputs and files of cases: commands, load generator, tests of rules."""
    for value in records_of(data):
        with contextlib.suppress(ValueError):
            decode_scored(value)
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            decode_report(value)
    with contextlib.suppress(CaseFileError):
        list(read_cases(data.decode("utf-8", "replace").splitlines()))


def _verdict_seeds() -> list[bytes]:
    outputs = _core().apply(_batch(records_of(_record_seeds()[2])))
    line = outputs[-1][3]
    case = {"id": 1, "group": "g", "history": [_TEXT.decode()], "txn": _TEXT.decode(), "fraud": True, "rule": 1}
    return [line, line + b',[{"rule":"BIG"}]', outputs[0][3], json.dumps(case).encode()]


TARGETS = {
    "card-records": Target("packets and control records", records, _record_seeds),
    "card-snapshot": Target("cells of a card shard", snapshot, _snapshot_seeds),
    "card-histories": Target("manifests and Arrow files of histories", histories, _history_seeds),
    "card-verdicts": Target("verdicts, reports of rules, files of cases", verdicts, _verdict_seeds),
}
