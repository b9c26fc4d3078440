"""Card scoring one transaction at a time in plain Python: what the core must agree with, and what its tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from transforms.cards import wire
from transforms.cards.base import CardHistory
from transforms.cards.core import CardsCore
from transforms.cards.fields import DUPLICATE, FRAUD, FUTURE, FUTURE_MS, HISTORY, LOADED
from transforms.cards.routing import cells_of, partitions_of
from transforms.cards.topics import Topics
from transforms.core import Batch, Output

BASE = 1_767_225_600_000
HOUR = 3_600_000
TOPICS = Topics("t-")
PARTITIONS = 2

CAREFUL = """
name: careful
description: For tests.
rules:
  - name: BIG
    description: A large amount.
    severity: high
    when: amount > 5000
  - name: MANY
    description: More than three within an hour.
    when: count(within 1h) > 3
  - name: WATCH
    description: A currency to watch.
    mode: shadow
    when: currency == "USD"
  - name: ABROAD
    description: At home at least three times, now in A1B.
    when: [country == "A1B", count(past where country != "A1B") > 2]
"""
EASY = """
name: easy
description: For tests.
rules:
  - name: SUM
    description: A lot within two hours.
    when: sum(amount within 2h) > 6000
  - name: AT
    description: A large amount at one merchant.
    when: [merchant == "0022", amount > 100]
"""
BAD_COMMANDS = (b'{"rules":{}}', b'{"rules":[')
BROKEN = "name: broken\nrules:\n  - when: amount >\n"


@dataclass
class Item:
    """A transaction that a card remembers, and its verdict."""

    text: bytes
    scored: int = 0
    rule: int = 0
    version: str = "-"
    name: str = "-"
    score: int = 0
    flags: int = LOADED

    def __post_init__(self) -> None:
        parts = self.text.split(b",")
        self.time, self.amount = int(parts[1]), int(parts[4])
        self.country, self.currency, self.merchant = parts[2], parts[5], parts[6]


Check = Callable[[list[Item]], bool]


def _within(items: list[Item], ms: int) -> list[Item]:
    return [item for item in items if item.time > items[-1].time - ms]


@dataclass
class PlainSet:
    """A rule set of the model: rules as (name, score, mode, check), the last item being the incoming transaction."""

    name: str
    text: str
    rules: list[tuple[str, int, str, Check]]

    @property
    def version(self) -> str:
        return sha256(self.text.encode()).hexdigest()[:12]

    def copy(self) -> PlainSet:
        return PlainSet(self.name, self.text, list(self.rules))


def _abroad(items: list[Item]) -> bool:
    return items[-1].country == b"A1B" and sum(item.country != b"A1B" for item in items[:-1]) > 2


PLAIN_CAREFUL = PlainSet(
    "careful",
    CAREFUL,
    [
        ("BIG", 700, "live", lambda items: items[-1].amount > 5000),
        ("MANY", 500, "live", lambda items: len(_within(items, HOUR)) > 3),
        ("WATCH", 500, "shadow", lambda items: items[-1].currency == b"USD"),
        ("ABROAD", 500, "live", _abroad),
    ],
)
PLAIN_EASY = PlainSet(
    "easy",
    EASY,
    [
        ("SUM", 500, "live", lambda items: sum(item.amount for item in _within(items, 2 * HOUR)) > 6000),
        ("AT", 500, "live", lambda items: items[-1].merchant == b"0022" and items[-1].amount > 100),
    ],
)
SETS = {found.name: found for found in (PLAIN_CAREFUL, PLAIN_EASY)}


@dataclass
class PlainCards:
    """The model. `outputs` are those of the core, dead letters as their offset only."""

    partition: int = 0
    histories: dict[int, list[Item]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.active = PLAIN_CAREFUL.copy()
        self.shadow: PlainSet | None = None
        self.sets = {"careful": self.active}

    def apply(self, offset: int, now: int, value: bytes) -> list[Any]:
        if value.startswith(b'{"rules":'):
            done = value not in BAD_COMMANDS and self._command(json.loads(value)["rules"])
            return [] if done else [("dead", offset)]
        if not self._is_packet(value):
            self._count("dead_letters")
            return [("dead", offset)]
        self._count("transactions")
        item = Item(value.rstrip(b"\0\n"), now, flags=0)
        card = int(item.text[:14])
        history = self.histories.setdefault(card, [])
        for past in history:
            if (past.time, past.amount, past.merchant) == (item.time, item.amount, item.merchant):
                self._count("duplicates")
                return [(TOPICS.scored, self.partition, item.text[:14], self._line(item.text, past, DUPLICATE))]
        return self._score(history, item)

    def _score(self, history: list[Item], item: Item) -> list[Any]:
        history.append(item)
        del history[:-HISTORY]
        item.version = self.active.version
        hits = [number for number, rule in enumerate(self.active.rules, 1) if rule[2] == "live" and rule[3](history)]
        if hits:
            item.rule = hits[0]
            item.name, item.score = self.active.rules[hits[0] - 1][:2]
            self._count("frauds")
            self._count(f"rule_{item.name}")
        for found, modes in ((self.active, ("shadow",)), (self.shadow, ("live", "shadow"))):
            for name, _, mode, check in found.rules if found else []:
                if mode in modes and check(history):
                    self._count(f"shadow_{name}")
        item.flags = FRAUD if hits else 0
        if item.time > item.scored + FUTURE_MS:
            item.flags |= FUTURE
            self._count("future")
        line = self._line(item.text, item, 0)
        outputs = [(TOPICS.scored, self.partition, item.text[:14], line)]
        return [*outputs, (TOPICS.alerts, *outputs[0][1:])] if hits else outputs

    @staticmethod
    def _line(text: bytes, item: Item, flags: int) -> bytes:
        rest = (
            item.scored, item.flags & FRAUD, item.rule, item.name, item.version, item.score, item.flags | flags
        )  # fmt: skip
        return text + b"," + ",".join(map(str, rest)).encode()

    def _is_packet(self, value: bytes) -> bool:
        text = value.rstrip(b"\0\n")
        parts = text.split(b",")
        if value != wire.packet(text[:99]) or len(parts) != 9 or not all(32 <= byte < 127 for byte in text):
            return False
        card, time, amount, code = parts[0], parts[1], parts[4], parts[8]
        widths = [len(parts[at]) for at in (2, 3, 5, 6, 7)] == [3, 2, 3, 4, 5] and 5 <= len(code) <= 8
        digits = all(part.isdigit() for part in (card, time, amount))
        if not (widths and digits and len(card) == 14 and len(time) <= 13 and len(amount) <= 10):
            return False
        return int(amount) < 2**31 and partitions_of(np.array([int(card)], np.uint64), PARTITIONS)[0] == self.partition

    def _command(self, command: dict[str, str]) -> bool:
        name, action = command["name"], command["action"]
        if action == "load":
            if name not in SETS:
                return False
            self.sets.setdefault(name, SETS[name].copy())
            return True
        found = self.sets.get(name)
        if found is None:
            return False
        if "rule" in command:
            mode = command["mode"]
            found.rules = [
                (*rule[:2], mode if rule[0] == command["rule"] else rule[2], rule[3]) for rule in found.rules
            ]
        elif action == "activate":
            self.active = found
            self.shadow = None if self.shadow is found else self.shadow
        elif found is self.active:
            return False
        elif action == "shadow":
            self.shadow = found
        else:
            del self.sets[name]
            self.shadow = None if self.shadow is found else self.shadow
        return True

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def texts(self) -> dict[int, list[bytes]]:
        """What every card remembers."""
        return {card: [item.text for item in items] for card, items in self.histories.items() if items}


class MemoryHistory(CardHistory):
    """Loaded histories from texts by card, oldest first; `digest` as given."""

    def __init__(self, texts: Mapping[int, list[bytes]], digest: str = "d1") -> None:
        self.digest = digest
        self._texts = texts

    def _of(self, cell: int) -> list[int]:
        cards = np.array(list(self._texts), np.uint64)
        return cards[cells_of(cards) == cell].tolist() if len(cards) else []

    def _parsed(self, cell: int) -> wire.Packets:
        packets = [wire.packet(text) for card in self._of(cell) for text in self._texts[card]]
        return wire.parse(b"".join(packets), loaded=True)

    def read(self, cell: int) -> Any:
        cards = self._of(cell)
        counts = np.array([len(self._texts[card]) for card in cards], np.uint8)
        items = np.zeros((len(cards), HISTORY, 4), np.uint64)
        found = self._parsed(cell).items
        done = 0
        for at, count in enumerate(counts.tolist()):
            items[at, :count] = found[done : done + count]
            done += count
        return np.array(cards, np.uint64), counts, items

    def texts(self, cell: int) -> Any:
        return self._parsed(cell).texts


def command(action: str, name: str, **more: str) -> bytes:
    """A control record."""
    return json.dumps({"rules": {"action": action, "name": name, **more}, "id": "x"}, separators=(",", ":")).encode()


def make_core(base: CardHistory | None = None, partition: int = 0, **more: Any) -> CardsCore:
    return CardsCore(partition, PARTITIONS, TOPICS, CAREFUL, base, **more)


def as_batch(records: list[tuple[int, int, bytes]]) -> Batch:
    """A batch of (offset, log time, value)."""
    return Batch(
        [record[0] for record in records],
        [record[1] for record in records],
        [record[2][:14] for record in records],
        [record[2] for record in records],
    )


def comparable(outputs: list[Output]) -> list[Any]:
    """Outputs as the model has them: dead letters as their offset only, nothing that a shard says of its rules."""
    return [
        ("dead", json.loads(value)["offset"]) if topic == TOPICS.dead_letters else (topic, partition, key, value)
        for topic, partition, key, value in outputs
        if topic != TOPICS.rules
    ]


def histories(core: CardsCore) -> dict[int, list[bytes]]:
    """What every card of a core remembers."""
    return {card: core.store.history(card) for card in core.store.cards()}


def local_cards(count: int, partition: int = 0) -> list[int]:
    """Card numbers that live in a partition."""
    cards = np.arange(1, 20 * count + 40, dtype=np.uint64) * np.uint64(7919)
    return cards[partitions_of(cards, PARTITIONS) == partition][:count].tolist()
