"""Packets, packed items and where cards live: every character comes back, and wrong packets are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.cards import fields as f
from transforms.cards import packed, routing, wire

_PLAIN = "".join(chr(code) for code in range(32, 127) if chr(code) != ",")


def _digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


def _field(width: int) -> st.SearchStrategy[str]:
    return _digits(width, width) | st.text(_PLAIN, min_size=width, max_size=width)


TEXTS = st.tuples(
    _digits(14, 14),
    _digits(1, 13),
    _field(3),
    _field(2),
    _digits(1, 9) | st.integers(0, 2**31 - 1).map(str),
    _field(3),
    _field(4),
    _field(5),
    st.integers(5, 8).flatmap(_field),
).map(lambda parts: ",".join(parts).encode())

GOOD = b"00001234567890,1600000000000,001,00,1250,978,0022,00042,12345"


@settings(deadline=None)  # the first call compiles
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_every_character_comes_back_from_the_packed_item(texts: list[bytes]) -> None:
    found = wire.parse(b"".join(map(wire.packet, texts)))
    assert found.statuses.tolist() == [wire.OK] * len(texts)
    back = [packed.text_of(int(card), item, found.texts) for card, item in zip(found.cards, found.items, strict=True)]
    assert back == texts


@settings(deadline=None)  # the first call compiles
@given(TEXTS)
def test_rules_see_the_value_of_every_field(text: bytes) -> None:
    found = wire.parse(wire.packet(text))
    columns = packed.unpack_all(found.items, found.texts, int(found.cards[0]))[:, 0]
    parts = text.split(b",")
    assert columns[[f.CARD, f.TIME, f.AMOUNT]].tolist() == [int(parts[0]), int(parts[1]), int(parts[4])]
    assert columns[[f.COUNTRY, f.RESPONSE, f.CURRENCY, f.MERCHANT, f.CITY]].tolist() == [
        f.text_value(parts[at]) for at in (2, 3, 5, 6, 7)
    ]
    assert columns[f.CODE] == f.text_value(parts[8][:5])
    assert columns[[f.SCORED, f.RULE, f.FLAGS]].tolist() == [0, 0, 0]


def test_an_item_is_32_bytes_with_its_verdict() -> None:
    item = wire.parse(wire.packet(GOOD)).items.view(np.int64)[0]
    assert item.nbytes == 32
    first = packed.with_verdict(int(item[0]), packed.MAX_RULE, f.FRAUD | f.FUTURE | f.LOADED)
    assert packed.rule_of(first) == packed.MAX_RULE
    assert packed.flags_of(first) == f.FRAUD | f.FUTURE | f.LOADED
    item[0] = first
    assert packed.text_of(1234567890, item.view(np.uint64), np.zeros((0, 25), np.uint8)) == GOOD


def test_columns_pack_to_what_packets_parse_to() -> None:
    parsed = wire.parse(wire.packet(GOOD) + wire.packet(GOOD[:-5] + b"01234567"), loaded=True)
    column = {name: np.array([value, value]) for name, value in (
        ("time", 1_600_000_000_000), ("country", 1), ("response", 0), ("amount", 1250), ("currency", 978),
        ("merchant", 22), ("city", 42),
    )}  # fmt: skip
    items = packed.pack(**column, code=np.array([12345, 1234567]), code_characters=np.array([5, 8]))
    assert np.array_equal(items, parsed.items)


def test_a_value_too_large_for_its_field_is_not_packed() -> None:
    one = np.ones(1, np.int64)
    with pytest.raises(ValueError, match="country from 1000 to 1000: must be 0 to 999"):
        packed.pack(one, one * 1000, one, one, one, one, one, one)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (wire.packet(GOOD)[:-1] + b"\0", wire.SIZE),
        (wire.packet(GOOD.replace(b"00001234567890", b"0000123456789x")), wire.BAD_CARD),
        (wire.packet(GOOD.replace(b"00001234567890", b"000012345678901")), wire.BAD_CARD),
        (wire.packet(GOOD.replace(b"1600000000000", b"")), wire.BAD_TIME),
        (wire.packet(GOOD.replace(b"1600000000000", b"16000000000000")), wire.BAD_TIME),
        (wire.packet(GOOD.replace(b"1600000000000", b"-160000000000")), wire.BAD_TIME),
        (wire.packet(GOOD.replace(b"1250", b"2147483648")), wire.BAD_AMOUNT),
        (wire.packet(GOOD.replace(b"1250", b"1.50")), wire.BAD_AMOUNT),
        (wire.packet(GOOD.replace(b"1250", b"00000001250")), wire.BAD_AMOUNT),
        (wire.packet(GOOD.replace(b",001,", b",01,")), wire.BAD_FIELD),
        (wire.packet(GOOD.replace(b",001,", b",0\x011,")), wire.BAD_FIELD),
        (wire.packet(GOOD.replace(b"0022", b"002\xe9")), wire.BAD_FIELD),
        (wire.packet(GOOD.replace(b",0022,", b",022,")), wire.BAD_FIELD),
        (wire.packet(GOOD[:-1]), wire.BAD_CODE),
        (wire.packet(GOOD + b"6789"), wire.BAD_CODE),
        (wire.packet(GOOD + b"\0x"), wire.BAD_CODE),
        (wire.packet(GOOD + b"\0\n"), wire.BAD_CODE),
        (b"," * 99 + b"\n", wire.BAD_CARD),
        (b"\0" * 99 + b"\n", wire.BAD_CARD),
    ],
)
def test_a_wrong_packet_says_what_is_wrong(value: bytes, status: int) -> None:
    assert wire.parse(value).statuses.tolist() == [status]


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=100, max_size=100) | st.text("0123456789,\n\0", min_size=99, max_size=99).map(
    lambda text: text.encode() + b"\n"
))  # fmt: skip
def test_no_bytes_upset_the_parser(value: bytes) -> None:
    found = wire.parse(value)
    if found.statuses[0] == wire.OK:
        assert wire.packet(packed.text_of(int(found.cards[0]), found.items[0], found.texts)) == value


def test_bytes_that_are_not_whole_packets_are_refused() -> None:
    with pytest.raises(ValueError, match="250 bytes are not whole packets"):
        wire.parse(b"x" * 250)


def test_compiled_and_array_routing_agree_and_spread_evenly() -> None:
    cards = np.arange(0, 10**14, 10**14 // 63_000, dtype=np.uint64)
    mixed = routing.mixed(cards)
    cells, partitions = routing.cells_of(cards), routing.partitions_of(cards, 5)
    for at in range(0, len(cards), 997):
        mix = np.uint64(routing.mix(cards[at]))
        assert mix == mixed[at]
        assert routing.cell_of_mix(mix) == cells[at]
        assert routing.partition_of_mix(mix, np.uint64(5)) == partitions[at]
    assert np.bincount(cells, minlength=64)[0] == 0
    assert np.bincount(cells, minlength=64)[1:].min() > 800
    both = np.bincount(partitions.astype(np.int64) * 64 + cells, minlength=5 * 64).reshape(5, 64)[:, 1:]
    assert both.min() > 130


def test_the_mix_is_splitmix64() -> None:
    """First outputs for seed 0 of the reference implementation: its state is a multiple of the golden gamma."""
    gamma = 0x9E3779B97F4A7C15
    states = np.array([0, gamma, 2 * gamma % 2**64], np.uint64)
    assert [hex(value) for value in routing.mixed(states)] == [
        "0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f",
    ]  # fmt: skip
