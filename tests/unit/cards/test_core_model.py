"""The core against the plain model: any records, any batches, any sequence of partial snapshots, crashes, restores."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cards import plain
from transforms.cards import core as core_module
from transforms.cards import wire
from transforms.cards.core import CardsCore
from transforms.core import Batch, Output

Record = tuple[int, int, bytes]

CARDS = plain.local_cards(7)
COMMANDS = [
    plain.command("load", "easy", text=plain.EASY),
    plain.command("load", "careful", text=plain.CAREFUL),
    plain.command("load", "broken", text=plain.BROKEN),
    plain.command("activate", "easy"),
    plain.command("activate", "careful"),
    plain.command("shadow", "easy"),
    plain.command("shadow", "careful"),
    plain.command("retire", "easy"),
    plain.command("retire", "careful"),
    plain.command("shadow", "careful", rule="BIG", mode="shadow"),
    plain.command("activate", "careful", rule="BIG", mode="live"),
    plain.command("retire", "careful", rule="MANY", mode="off"),
]
NO_PACKETS = [
    b"",
    b"{}",
    *plain.BAD_COMMANDS,
    b"x" * 100,
    wire.packet(b"%014d,1,001,00,5,001,0022,00001,1234" % CARDS[0]),
    wire.packet(b"%014d,1,001,00,2147483648,001,0022,00001,12345" % CARDS[0]),
    wire.packet(b"%014d,1,001,00,5,001,0022,00001,12345" % plain.local_cards(1, 1)[0]),
]


def a_text(rng: random.Random, card: int, now: int) -> bytes:
    """A transaction; few different values, so that copies and rules happen."""
    time = b"%d" % (now + rng.choice((-3 * plain.HOUR, -plain.HOUR, -plain.HOUR + 1, -1000, 0, 0, 0, 600_000)))
    fields = (
        b"%014d" % card,
        time if rng.random() < 0.95 else b"0" + time[1:],
        rng.choice((b"001", b"002", b"A1B", b"001")),
        rng.choice((b"00", b"05", b"N7")),
        rng.choice((b"1", b"100", b"0100", b"3000", b"5000", b"5001", b"2147483647")),
        rng.choice((b"011", b"USD")),
        rng.choice((b"0022", b"0033", b"CASH")),
        rng.choice((b"00001", b"PARIS")),
        rng.choice((b"00001", b"1234567", b"12345678", b"ABC 1", b"X.Y-Z_12")),
    )
    return b",".join(fields)


def a_log(seed: int, count: int) -> list[Record]:
    """Records at offsets with gaps."""
    rng = random.Random(seed)
    offset, now = rng.randrange(3), plain.BASE
    log: list[Record] = []
    texts: list[bytes] = []
    cards = CARDS[: rng.choice((2, 4, 7))]
    for _ in range(count):
        kind = rng.random()
        if kind < 0.05:
            value = rng.choice(NO_PACKETS)
        elif kind < 0.11:
            value = rng.choice(COMMANDS)
        elif kind < 0.2 and texts:
            value = wire.packet(rng.choice(texts[-30:]))
        else:
            texts.append(a_text(rng, rng.choice(cards), now))
            value = wire.packet(texts[-1])
        log.append((offset, now, value))
        offset += 1 + (rng.random() < 0.1) * rng.randrange(3)
        now += rng.choice((0, 1, 1000, 600_000))
    return log


def a_base(seed: int) -> dict[int, list[bytes]]:
    rng = random.Random(seed)
    return {card: [a_text(rng, card, plain.BASE) for _ in range(rng.randint(1, 20))] for card in CARDS[1:5]}


def the_model(log: list[Record], base: dict[int, list[bytes]]) -> tuple[plain.PlainCards, list[list[Any]]]:
    """The model after the log, and the outputs of each record."""
    model = plain.PlainCards()
    model.histories = {card: [plain.Item(text) for text in texts] for card, texts in base.items()}
    return model, [model.apply(*record) for record in log]


def at_once(log: list[Record], base: dict[int, list[bytes]]) -> list[Output]:
    """What a core makes of the log in a single batch."""
    return plain.make_core(plain.MemoryHistory(base)).apply(plain.as_batch(log))


def flat(parts: list[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def cut(rng: random.Random, log: list[Record]) -> Iterator[list[Record]]:
    done = 0
    while done < len(log):
        size = rng.choice((1, 2, 5, 13, 40))
        yield log[done : done + size]
        done += size


class Engine:
    """What `transforms.shard` does with a core: cells, offsets, replay; in memory."""

    def __init__(self, log: list[Record], base: dict[int, list[bytes]]) -> None:
        self.log = log
        self.base = base
        self.cells: dict[int, tuple[int, bytes]] = {}
        self.emitted = 0
        self.outputs: list[Output] = []
        self.start()

    def start(self) -> None:
        """Begin again from the cells."""
        self.core: CardsCore = plain.make_core(plain.MemoryHistory(self.base))
        self.next = self.core.load(self.cells)

    def step(self, size: int) -> None:
        """Apply the next records, a batch of those emitted before and a batch of others."""
        records = [record for record in self.log if record[0] >= self.next][:size]
        if not records:
            return
        self.next = records[-1][0] + 1
        old = [record for record in records if record[0] < self.emitted]
        new = records[len(old) :]
        if old:
            self.core.apply(plain.as_batch(old))
        if new:
            self.outputs += self.core.apply(plain.as_batch(new))
            self.emitted = self.next

    def dump(self, whole: bool) -> None:
        """Write the cells that are due; nothing within a replay."""
        if self.next >= self.emitted:
            self.cells |= {cell: (self.next, payload) for cell, payload in self.core.dump(whole)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 160))
def test_any_batches_give_what_one_at_a_time_gives(seed: int, count: int) -> None:
    log, base = a_log(seed, count), a_base(seed)
    model, expected = the_model(log, base)
    core = plain.make_core(plain.MemoryHistory(base))
    found = [core.apply(plain.as_batch(part)) for part in cut(random.Random(seed), log)]
    assert plain.comparable(flat(found)) == flat(expected)
    assert flat(found) == at_once(log, base)
    assert plain.histories(core) == model.texts()
    counts = {name: value for name, value in core.counters().items() if value}
    refused = sum(("dead", offset) in outputs for (offset, _, _), outputs in zip(log, expected, strict=True))
    counts["dead_letters"] = counts.get("dead_letters", 0)
    assert counts == {**model.counts, "dead_letters": refused, "cards": len(model.texts())}


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 200),
    st.lists(st.sampled_from(["step", "step", "step", "part", "part", "whole", "crash"]), max_size=60),
    st.sampled_from([1, 600, 2000]),
)
def test_any_partial_snapshots_and_crashes_change_nothing(
    seed: int, count: int, plan: list[str], dump_bytes: int
) -> None:
    log, base = a_log(seed, count), a_base(seed)
    model, expected = the_model(log, base)
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_module, "DUMP_BYTES", dump_bytes)
        engine = Engine(log, base)
        for act in plan:
            if act == "step":
                engine.step(rng.choice((1, 3, 10)))
            elif act == "crash":
                engine.start()
            else:
                engine.dump(act == "whole")
        engine.start()
        while engine.next <= log[-1][0]:
            engine.step(rng.choice((1, 7, 30)))
    assert plain.comparable(engine.outputs) == flat(expected)
    assert engine.outputs == at_once(log, base)
    assert plain.histories(engine.core) == model.texts()


def test_nothing_is_written_twice_and_all_cells_come_round() -> None:
    log = a_log(1, 400)
    engine = Engine(log, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_module, "DUMP_BYTES", 1)
        engine.step(400)
        assert engine.core.unsaved()
        cells = [[cell for cell, _ in engine.core.dump()] for _ in range(9)]
        assert not engine.core.unsaved()
    touched = {cell for part in cells for cell in part} - {0}
    assert all(part[0] == 0 and len(part) <= 2 for part in cells)
    assert len(touched) == sum(len(part) - 1 for part in cells)
    assert cells[-1] == [0]
    assert [cell for cell, _ in engine.core.dump(whole=True)] == [0]


def test_an_empty_batch_gives_nothing() -> None:
    assert plain.make_core().apply(Batch([], [], [], [])) == []
