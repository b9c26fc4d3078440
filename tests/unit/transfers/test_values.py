"""Money, times, conditions, routing and topic names."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.transfers import crypto, money, routing, timestamps
from transforms.transfers.topics import Topics

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("1", 10_000),
        ("0.0001", 1),
        ("10.50", 105_000),
        ("999999999999999999", 9_999_999_999_999_999_990_000),
        ("12345678901234.5678", 123_456_789_012_345_678),
    ],
)
def test_amounts_are_exact(text: str, units: int) -> None:
    assert money.parse(text) == units


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "01", "00", ".5", "5.", "1e3", "1,5", " 1", "1 ", "1\n", "0x1", "\u0663", "NaN"),
        *("1.00000", "9" * 19, "1" * 15 + ".1111", "1" * 10_000),
    ],
)
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(money.MoneyError):
        money.parse(text)


def test_zero_is_not_positive() -> None:
    with pytest.raises(money.MoneyError, match="not positive"):
        money.parse_positive("0.0000")


@given(st.integers(-(10**31), 10**31))
def test_text_of_units_is_short_and_exact(units: int) -> None:
    text = money.text(units)
    assert Fraction(text) * money.SCALE == units
    assert not ("." in text and text.endswith(("0", "."))), text
    assert text != "-0"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00.000Z", 1_767_225_600_000),
        ("2026-01-01T00:00:00.9999Z", 1_767_225_600_999),
        ("2026-01-01T00:00:00.5Z", 1_767_225_600_500),
        ("2026-01-01T01:30:00.001+01:30", 1_767_225_600_001),
        ("2025-12-31T23:00:00-01:00", 1_767_225_600_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_times_are_read(text: str, ms: int) -> None:
    assert timestamps.parse_ms(text) == ms
    assert timestamps.Clock().parse_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00"),
        *("2026-01-01 00:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Z\n", "0000-01-01T00:00:00Z"),
        *("\u0662026-01-01T00:00:00Z", "2026-01-01T00:00:00.1\u06634Z"),
    ],
)
def test_other_times_are_refused(text: str) -> None:
    assert timestamps.parse_ms(text) is None
    clock = timestamps.Clock()
    clock.parse_ms("2026-01-01T00:00:00.000Z")
    assert clock.parse_ms(text) is None


@given(st.lists(st.integers(0, 4_102_444_800_000), max_size=20))
def test_clock_is_the_plain_functions_remembered(times: list[int]) -> None:
    clock = timestamps.Clock()
    for ms in times:
        text = timestamps.iso(ms)
        assert clock.iso(ms) == text
        assert clock.parse_ms(text) == timestamps.parse_ms(text) == ms


@pytest.mark.parametrize("ms", [-1, 0, 10**15, 10**18])
def test_any_log_time_can_be_written(ms: int) -> None:
    assert timestamps.parse_ms(timestamps.Clock().iso(ms)) is not None


@given(st.binary(min_size=32, max_size=32))
def test_32_bytes_survive_base64url(data: bytes) -> None:
    assert crypto.decode_32(crypto.encode_32(data)) == data


@pytest.mark.parametrize(
    "text",
    [None, "", *("A" * 42 + end for end in ("", "AA", "=", " ", "\n")), "+" + "A" * 42, "/" + "A" * 42, "\u00e9" * 43],
)
def test_other_conditions_are_refused(text: str | None) -> None:
    assert crypto.decode_32(text) is None


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(text: str, signed: int) -> None:
    """Vectors of Kafka's own UtilsTest."""
    assert routing.murmur2(text.encode()) == signed % 2**32


def test_partition_is_kafkas_default() -> None:
    assert [routing.partition_of(f"dfsp{n}", 4) for n in range(1, 9)] == [0, 2, 0, 0, 1, 2, 2, 1]


def test_prefix_goes_before_every_topic() -> None:
    topics = Topics("t1-")
    assert topics.log == "t1-transfer-log"
    assert all(getattr(topics, name).startswith("t1-") for name in Topics.__slots__)
