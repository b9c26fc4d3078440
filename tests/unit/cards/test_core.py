"""What the card scoring core promises, one behaviour at a time."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.unit.cards import plain
from tests.unit.cards.plain import BASE, HOUR, TOPICS
from transforms.cards import kernel as k
from transforms.cards import memory, wire
from transforms.cards.core import CardsCore
from transforms.cards.fields import DUPLICATE, FRAUD, FUTURE, FUTURE_MS, LOADED
from transforms.cards.routing import cells_of
from transforms.cards.rule_report import Beginning, RuleReport, decode
from transforms.cards.scored import Scored, decode_scored
from transforms.cards.warm import warm_up
from transforms.core import Output, SnapshotError
from transforms.rule_text.places import RuleSetError

CARD, OTHER, THIRD = plain.local_cards(3)


def text(card: int = CARD, time: int = BASE, amount: str = "100", merchant: str = "0022", **more: str) -> bytes:
    fields = {"country": "001", "response": "00", "currency": "011", "city": "00001", "code": "12345", **more}
    return (
        f"{card:014d},{time},{fields['country']},{fields['response']},{amount},{fields['currency']},{merchant},"
        f"{fields['city']},{fields['code']}"
    ).encode()


class Feed:
    """Gives a core records one by one at offsets 0, 1, ... and one log time; `reports` is what it says of its rules."""

    def __init__(self, core: CardsCore | None = None, now: int = BASE) -> None:
        self.core = core or plain.make_core()
        self.offset = 0
        self.now = now
        self.reports: list[RuleReport] = []

    def __call__(self, *values: bytes) -> list[Output]:
        records = [(self.offset + at, self.now, value) for at, value in enumerate(values)]
        self.offset += len(values)
        outputs = self.core.apply(plain.as_batch(records))
        self.reports += [decode(value) for topic, _, _, value in outputs if topic == TOPICS.rules]
        return [output for output in outputs if output[0] != TOPICS.rules]

    def scored(self, *texts: bytes) -> list[Scored]:
        outputs = self(*map(wire.packet, texts))
        return [decode_scored(value) for topic, _, _, value in outputs if topic == TOPICS.scored]


def dead(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(value) for topic, _, _, value in outputs if topic == TOPICS.dead_letters]


def test_a_fraud_is_scored_and_then_alerted_with_the_same_bytes() -> None:
    outputs = Feed()(wire.packet(text(amount="1")), wire.packet(text(amount="5001")))
    assert [(topic, partition, key) for topic, partition, key, _ in outputs] == [
        (TOPICS.scored, 0, b"%014d" % CARD), (TOPICS.scored, 0, b"%014d" % CARD), (TOPICS.alerts, 0, b"%014d" % CARD),
    ]  # fmt: skip
    assert outputs[1][3] == outputs[2][3]
    found = decode_scored(outputs[1][3])
    version = plain.PLAIN_CAREFUL.version
    assert found == Scored(text(amount="5001"), CARD, BASE, 5001, BASE, True, 1, "BIG", version, 700, FRAUD, None)
    assert outputs[0][3] == text(amount="1") + f",{BASE},0,0,-,{version},0,0".encode()


def test_a_copy_gets_the_first_verdict_and_is_not_stored() -> None:
    feed = Feed()
    [first] = feed.scored(text(amount="6000"))
    feed.now += 5000
    outputs = feed(wire.packet(text(amount="6000", city="PARIS", code="99999")))
    [again] = [decode_scored(value) for _, _, _, value in outputs]
    assert again.duplicate
    assert (again.fraud, again.rule, again.scored, again.flags) == (True, 1, first.scored, FRAUD | DUPLICATE)
    assert again.text == text(amount="6000", city="PARIS", code="99999")
    assert feed.core.store.history(CARD) == [text(amount="6000")]
    assert feed.core.counters()["duplicates"] == 1
    assert feed.core.counters()["frauds"] == 1


def test_another_merchant_amount_or_time_is_no_copy() -> None:
    found = Feed().scored(
        text(), text(merchant="0023"), text(amount="101"), text(time=BASE + 1), text(merchant="CASH"), text(card=OTHER)
    )
    assert not any(scored.duplicate for scored in found)


def test_a_copy_of_the_oldest_of_twenty_is_seen_and_of_one_that_left_is_not() -> None:
    feed = Feed()
    feed.scored(*(text(time=BASE - at * 10 * HOUR) for at in range(20)))
    assert [scored.duplicate for scored in feed.scored(text())] == [True]
    feed.scored(text(time=BASE - 5))
    assert [scored.duplicate for scored in feed.scored(text())] == [False]


def test_a_verdict_keeps_the_set_that_gave_it() -> None:
    feed = Feed()
    feed.scored(text(amount="6000"))
    feed(plain.command("load", "easy", text=plain.EASY), plain.command("activate", "easy"))
    [again, other] = feed.scored(text(amount="6000"), text(card=OTHER, amount="7000"))
    assert (again.name, again.version) == ("BIG", plain.PLAIN_CAREFUL.version)
    assert (other.name, other.version) == ("SUM", plain.PLAIN_EASY.version)


def test_a_timestamp_ahead_of_the_log_is_flagged_and_scored() -> None:
    on_time, early, fraud = Feed().scored(
        text(time=BASE + FUTURE_MS), text(time=BASE + FUTURE_MS + 1), text(time=BASE + FUTURE_MS + 2, amount="9000")
    )
    assert (on_time.future, early.future) == (False, True)
    assert fraud.flags == FRAUD | FUTURE


def test_late_transactions_stay_in_order_of_arrival() -> None:
    feed = Feed()
    texts = [text(time=BASE - at * HOUR) for at in (0, 5, 2, 9)]
    feed.scored(*texts)
    assert feed.core.store.history(CARD) == texts


def test_text_fields_come_back_and_their_rows_are_used_again() -> None:
    feed = Feed()
    codes = [f"AB{at:04d}" for at in range(3000)]
    feed.scored(*(text(time=BASE - at * HOUR, code=code) for at, code in enumerate(codes)))
    assert feed.core.store.history(CARD) == [
        text(time=BASE - at * HOUR, code=code) for at, code in list(enumerate(codes))[-20:]
    ]
    for _ in range(5):
        feed.offset += 1
        feed.scored(*(text(card=OTHER, time=BASE - at, code=code) for at, code in enumerate(codes)))
    rows = len(feed.core.store.memory.texts)
    assert rows - feed.core.store.memory.totals[memory.FREE_ROWS] == 40
    assert rows < 5000


def test_what_is_no_packet_becomes_a_dead_letter_in_its_place() -> None:
    good, bad = wire.packet(text()), b"\xff" * 100
    outputs = Feed()(b"", good, bad, wire.packet(text(amount="9000")), b"{}")
    assert [topic for topic, *_ in outputs] == [
        TOPICS.dead_letters, TOPICS.scored, TOPICS.dead_letters, TOPICS.scored, TOPICS.alerts, TOPICS.dead_letters,
    ]  # fmt: skip
    letters = dead(outputs)
    assert [letter["offset"] for letter in letters] == [0, 2, 4]
    assert base64.b64decode(letters[1]["bytes"]) == bad
    assert (letters[1]["topic"], letters[1]["partition"], letters[1]["at"]) == (TOPICS.transactions, 0, BASE)
    assert all(letter["reason"] and letter["remedy"] for letter in letters)


def test_a_card_of_another_partition_is_a_dead_letter() -> None:
    feed = Feed()
    [elsewhere] = plain.local_cards(1, partition=1)
    [letter] = dead(feed(wire.packet(text(card=elsewhere))))
    assert letter["reason"] == "the card belongs to another partition"
    assert len(feed.core.store) == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"rules":', "not a rules command: "),
        (b'{"rules":{"action":"drop","name":"x"}}', "not a rules command: Invalid enum value 'drop'"),
        (b'{"rules":{"action":"load"}}', "not a rules command: Object missing required field `name`"),
        (b'{"rules":{"action":"load","name":"\xff"}}', "not a rules command: "),
        (b'{"rules":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}", "nested deeper than 64 levels"),
        (plain.command("load", "broken", text=plain.BROKEN), "the rule file has mistakes: line "),
        (plain.command("load", "other", text=plain.EASY), "the text is of easy@"),
        (plain.command("load", "easy", version="123", text=plain.EASY), "the text is of easy@"),
        (plain.command("activate", "easy"), "no rule set of 'easy' loaded"),
        (plain.command("activate", "careful", version="123456789012"), "no rule set of 'careful@123456789012' loaded"),
        (plain.command("retire", "careful"), "'careful' is the active rule set"),
        (plain.command("shadow", "careful"), "'careful' is the active rule set"),
        (plain.command("shadow", "careful", rule="NONE"), "'careful' has no rule 'NONE'"),
        (plain.command("shadow", "careful", rule="BIG", mode="loud"), "not a rules command: Invalid enum value 'loud'"),
    ],
)
def test_a_control_record_that_cannot_be_done_is_refused(value: bytes, reason: str) -> None:
    feed = Feed()
    [letter] = dead(feed(value))
    assert letter["reason"].startswith(reason), letter
    assert letter["remedy"]
    assert feed.core.counters()["dead_letters"] == 1
    assert feed.scored(text(amount="6000"))[0].name == "BIG"


def test_rules_change_from_the_next_record_on_within_a_batch() -> None:
    def fraud(card: int) -> bytes:
        return wire.packet(text(card=card, amount="5500"))

    outputs = Feed()(
        plain.command("load", "easy", text=plain.EASY, version=plain.PLAIN_EASY.version),
        fraud(CARD),
        plain.command("activate", "easy", version=plain.PLAIN_EASY.version),
        fraud(OTHER),
        plain.command("shadow", "careful"),
        fraud(THIRD),
    )
    found = [decode_scored(value) for topic, _, _, value in outputs if topic == TOPICS.scored]
    assert [scored.name for scored in found] == ["BIG", "AT", "AT"]


def test_the_first_report_says_what_verdicts_began_with() -> None:
    feed = Feed(plain.make_core(plain.MemoryHistory({CARD: [text()]}, "the digest")))
    feed.scored(text(), text(card=OTHER))
    [report] = feed.reports
    assert report.began == Beginning(plain.CAREFUL, "the digest")
    assert (report.offset, report.at, report.id) == (0, BASE, "")
    assert [(found.name, found.version, found.state) for found in report.sets] == [
        ("careful", plain.PLAIN_CAREFUL.version, "active")
    ]


def test_every_command_is_reported_with_what_came_of_it() -> None:
    feed = Feed()
    feed(
        plain.command("load", "easy", text=plain.EASY),
        plain.command("activate", "nothing"),
        plain.command("shadow", "easy"),
        plain.command("shadow", "careful", rule="BIG"),
        plain.command("activate", "easy"),
    )
    began, *found = feed.reports
    assert began.began is not None
    assert [report.offset for report in found] == [0, 1, 2, 3, 4]
    assert [report.refused is not None for report in found] == [False, True, False, False, False]
    assert found[1].refused is not None
    assert found[1].refused.reason == "no rule set of 'nothing' loaded"
    assert {report.id for report in found} == {"x"}
    states = [[(one.name, one.state) for one in report.sets] for report in found]
    assert states == [
        [("careful", "active"), ("easy", "loaded")],
        [("careful", "active"), ("easy", "loaded")],
        [("careful", "active"), ("easy", "shadow")],
        [("careful", "active"), ("easy", "shadow")],
        [("careful", "loaded"), ("easy", "active")],
    ]
    assert found[3].sets[0].changed == {"BIG": "shadow"}


def test_a_set_in_shadow_is_counted_and_decides_nothing() -> None:
    feed = Feed()
    feed(plain.command("load", "easy", text=plain.EASY), plain.command("shadow", "easy"))
    assert not feed.scored(text(amount="200"))[0].fraud
    assert feed.core.counters()["shadow_AT"] == 1
    feed(plain.command("retire", "easy"))
    feed.scored(text(card=OTHER, amount="200"))
    assert feed.core.counters()["shadow_AT"] == 1


def test_a_rule_file_with_mistakes_makes_no_core() -> None:
    with pytest.raises(RuleSetError):
        CardsCore(0, 1, TOPICS, plain.BROKEN)


def test_the_set_of_the_first_start_stays() -> None:
    feed = Feed()
    feed.scored(text())
    core = CardsCore(0, plain.PARTITIONS, TOPICS, plain.EASY)
    core.load({cell: (1, payload) for cell, payload in feed.core.dump()})
    assert core.book.active == ("careful", plain.PLAIN_CAREFUL.version)


def test_a_card_starts_from_the_loaded_history() -> None:
    past = [text(time=BASE - HOUR * at, code="A-1-B") for at in (3, 2, 1)]
    feed = Feed(plain.make_core(plain.MemoryHistory({CARD: past, OTHER: [text(card=OTHER)]})))
    [copy, new] = feed.scored(past[1], text(country="A1B"))
    assert (copy.flags, copy.version, copy.scored) == (LOADED | DUPLICATE, "-", 0)
    assert new.name == "ABROAD"
    assert feed.core.store.history(CARD) == [*past, text(country="A1B")]
    assert feed.core.counters()["cards"] == 2


def test_another_loaded_history_is_refused() -> None:
    feed = Feed(plain.make_core(plain.MemoryHistory({CARD: [text()]}, "one")))
    cells = {cell: (0, payload) for cell, payload in feed.core.dump()}
    with pytest.raises(SnapshotError, match="began with card history 'one', the job is given 'two'"):
        plain.make_core(plain.MemoryHistory({}, "two")).load(cells)
    with pytest.raises(SnapshotError, match="the job is given 'none'"):
        plain.make_core().load(cells)


def test_cells_that_do_not_fit_are_refused() -> None:
    feed = Feed()
    feed.scored(text(), text(card=OTHER))
    cells = {cell: (2, payload) for cell, payload in feed.core.dump()}
    card_cell = int(cells_of(np.array([CARD], np.uint64))[0])

    def load(changed: dict[int, tuple[int, bytes]]) -> None:
        plain.make_core().load(cells | changed)

    load({})
    with pytest.raises(SnapshotError, match="cell 0 is missing"):
        plain.make_core().load({card_cell: cells[card_cell]})
    with pytest.raises(SnapshotError, match="newer than cell 0"):
        load({card_cell: (3, cells[card_cell][1])})
    with pytest.raises(SnapshotError, match="cell 0: not of card scoring"):
        load({0: (2, b"FLTS" + cells[0][1][4:])})
    with pytest.raises(SnapshotError, match="cell 0: "):
        load({0: (2, cells[0][1][:-3])})
    with pytest.raises(SnapshotError, match=f"cell {card_cell}: not cards"):
        load({card_cell: (2, b"")})
    with pytest.raises(SnapshotError, match=f"cell {card_cell}: .* bytes instead of"):
        load({card_cell: (2, cells[card_cell][1] + b"x")})
    with pytest.raises(SnapshotError, match="cards that cannot be in it"):
        load({card_cell % 63 + 1: cells[card_cell]})


def test_a_cell_whose_parts_do_not_fit_together_is_refused() -> None:
    """Compiled code would follow them to memory that is not theirs."""
    feed = Feed()
    feed.scored(text(country="A1B"))
    cells = {cell: (1, payload) for cell, payload in feed.core.dump()}
    [cell] = set(cells) - {0}
    payload = cells[cell][1]
    card, count, item = 18, 26, 27
    for at, changed, told in (
        (card + 7, b"\x80", "cards that cannot be in it"),
        (count, b"\x02", "1 items, counts of 2"),
        (item + 24, b"\x01", "text rows that are not there"),
    ):
        with pytest.raises(SnapshotError, match=f"cell {cell}.*{told}"):
            plain.make_core().load(cells | {cell: (1, payload[:at] + changed + payload[at + 1 :])})


def test_a_verdict_by_a_set_that_is_not_known_is_told_without_its_name() -> None:
    feed = Feed()
    feed.scored(text())
    cells = {cell: (1, payload) for cell, payload in feed.core.dump()}
    [cell] = set(cells) - {0}
    payload = bytearray(cells[cell][1])
    payload[27 + 16 + 5 : 27 + 16 + 8] = b"\xf0\xff\x0f"
    core = plain.make_core()
    core.load(cells | {cell: (1, bytes(payload))})
    again = Feed(core)
    again.offset = 1
    [copy] = again.scored(text())
    assert copy.duplicate
    assert copy.version == "-"


def test_many_cards_grow_the_memory_and_none_is_lost() -> None:
    feed = Feed()
    cards = plain.local_cards(40_000)
    feed(*(wire.packet(text(card=card, amount=str(card % 5000))) for card in cards))
    feed(*(wire.packet(text(card=card, amount="7", time=BASE - 1)) for card in cards[::50]))
    assert len(feed.core.store) == len(cards)
    assert sorted(feed.core.store.cards()) == sorted(cards)
    for at in range(0, len(cards), 25):
        card = cards[at]
        more = [text(card=card, amount="7", time=BASE - 1)] if at % 50 == 0 else []
        assert feed.core.store.history(card) == [text(card=card, amount=str(card % 5000)), *more]
    cells = {cell: (feed.offset, payload) for cell, payload in feed.core.dump(whole=True)}
    again = plain.make_core()
    assert again.load(cells) == feed.offset
    assert plain.histories(again) == plain.histories(feed.core)


def test_explained_alerts_carry_every_rule_that_hit() -> None:
    plainly, explained = Feed(), Feed(plain.make_core(explain=True))
    values = [wire.packet(text(time=BASE + at, amount=amount)) for at, amount in enumerate(("1", "2", "3", "9000"))]
    usual, more = plainly(*values), explained(*values)
    assert [output[:3] for output in more] == [output[:3] for output in usual]
    assert more[:-1] == usual[:-1]
    found = decode_scored(more[-1][3])
    assert found.hits is not None
    assert [hit["name"] for hit in found.hits] == ["BIG", "MANY"]
    assert more[-1][3].startswith(usual[-1][3] + b",")


def test_a_line_that_is_no_scored_transaction_is_refused() -> None:
    with pytest.raises(ValueError, match="has 16 fields, this has 1"):
        decode_scored(b"x")


def test_kernels_are_compiled_for_one_set_of_types_each() -> None:
    """Else processes that fill the cache of compiled code at the same time read each other's files as their own."""
    warm_up()
    kernels = (k.locate, k.score, memory.gather, memory.rehash, memory.restore, memory.slot_of, wire.parse_into)
    assert {kernel.__name__: len(kernel.signatures) for kernel in kernels} == {  # type: ignore[attr-defined]
        kernel.__name__: 1 for kernel in kernels
    }
