"""Ids are those of MurmurHash3, so that others can work them out, too."""

from __future__ import annotations

import hashlib

import mmh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.subledger import ids
from transforms.subledger.fields import COLUMNS
from transforms.subledger.opening import domain_of, sequence_of
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.settings import Settings

pytestmark = pytest.mark.unit

_HEADER = read_header(",".join(COLUMNS).encode())
_SETTINGS = Settings("acme", "e", "EUR", "", ((202601, True),), 1, source="prime")


def _murmur(key: bytes) -> bytes:
    one, two = mmh3.hash64(key, 0, signed=False)
    return bytes(one.to_bytes(8, "big") + two.to_bytes(8, "big"))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=100))
def test_the_hash_is_murmur3(key: bytes) -> None:
    assert ids.digest(key) == _murmur(key)


def test_an_event_id_is_the_hash_of_its_key_and_names_its_reference() -> None:
    line = b"17,3,CORRECT,e,2026-01-05,,A1,,,,EUR,1,,,,T/9/12\n"
    row = parse_block(line, _HEADER, 0, 2, _SETTINGS)[0].to_pylist()[0]
    own = row["id_hi"].to_bytes(8, "big") + row["id_lo"].to_bytes(8, "big")
    other = row["ref_hi"].to_bytes(8, "big") + row["ref_lo"].to_bytes(8, "big")
    assert own == _murmur(b"acme\0prime\x0017\x003") == ids.event_id("acme", "prime", "17", 3)
    assert other == ids.event_id("acme", "prime", "T/9", 12)


def test_an_entry_id_is_made_of_event_rules_basis_and_kind() -> None:
    version = hashlib.sha256(b"rules").hexdigest()
    event = ids.event_id("acme", "prime", "17", 1)
    key = event + version[:16].encode() + b"\0ACTUAL\0\1"
    assert ids.je_id(event, version, "ACTUAL", 1) == _murmur(key)
    others = {ids.je_id(event, version, "ACTUAL", 2), ids.je_id(event, version, "TAX", 1), _murmur(key)}
    assert len(others) == 3


@pytest.mark.parametrize("reference", ["T", "T/1", "T/01", "T/", "/1", "T/x", "T/99999999999", "a/b"])
def test_a_reference_may_have_a_version(reference: str) -> None:
    line = f"17,3,CANCEL,e,2026-01-05,,A1,,,,,,,,,{reference}\n".encode()
    row = parse_block(line, _HEADER, 0, 2, _SETTINGS)[0].to_pylist()[0]
    other = row["ref_hi"].to_bytes(8, "big") + row["ref_lo"].to_bytes(8, "big")
    source_id = "T" if reference == "T/1" else reference
    assert other == ids.event_id("acme", "prime", source_id, 1)


@pytest.mark.parametrize("source_id", ["1", "0017", "9" * 18, "9" * 19, "A", "TRADE-2026-1", "ä", "12x"])
@pytest.mark.parametrize("instrument", [None, "US1", "ä"])
def test_orders_are_found_again_for_what_was_published(source_id: str, instrument: str | None) -> None:
    line = f"{source_id},1,INCOME,e,2026-01-05,,A1,{instrument or ''},,,EUR,1,,,,\n".encode()
    row = parse_block(line, _HEADER, 0, 2, _SETTINGS)[0].to_pylist()[0]
    assert row["order_seq"] == sequence_of(source_id)
    assert row["order_hash"] == domain_of(instrument, "A1")
