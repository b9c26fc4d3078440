"""What is sent depends on the seed alone, and has the shape that was asked for."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections import Counter
from hashlib import sha256

import pytest

from transforms.load.messages import Pair
from transforms.load.plan import CHUNK, POOL, Plan, Row, Traffic, make_pool
from transforms.transfers import messages as core_messages

pytestmark = pytest.mark.unit

DFSPS = tuple(f"dfsp{number}" for number in range(1, 9))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}")


def plan(seed: int = 1, skew: float = 0, drift: float = 0, mix: dict[str, float] | None = None) -> Plan:
    return Plan(seed, Traffic(DFSPS, mix or {"committed": 1}, skew, drift))


def rows_of(found: Plan) -> list[Row]:
    return [found.row(number) for number in range(CHUNK)]


def test_same_seed_same_plan_in_any_order() -> None:
    numbers = [0, CHUNK + 1, 5, 3 * CHUNK, CHUNK]
    one, other = plan(3), plan(3)
    assert [one.row(number) for number in numbers] == [other.row(number) for number in reversed(numbers)][::-1]
    assert rows_of(plan(4)) != rows_of(one)
    assert make_pool(3) == make_pool(3)
    assert make_pool(3) != make_pool(4)


def test_transfer_ids_are_uuids_that_tell_their_number() -> None:
    found = plan(5)
    ids = [found.transfer_id(number) for number in range(2000)]
    assert len(set(ids)) == 2000
    assert all(UUID.fullmatch(id) for id in ids)
    assert [found.number_of(id) for id in ids] == list(range(2000))
    assert plan(6).number_of(ids[0]) is None
    assert found.number_of("x") is None
    assert found.number_of(found.id_prefix + "zzzzzzzzzzzz") is None


def test_nobody_pays_itself_and_flows_balance() -> None:
    rows = rows_of(plan(1, skew=1.2))
    assert all(payer != payee for _, payer, payee, _ in rows)
    net = Counter(payer for _, payer, _, _ in rows)
    net.subtract(Counter(payee for _, _, payee, _ in rows))
    assert max(abs(count) for count in net.values()) < CHUNK * 0.05


def test_skew_makes_the_first_dfsps_hot() -> None:
    payers = Counter(payer for _, payer, _, _ in rows_of(plan(1, skew=1.2)))
    assert payers[0] > 3 * payers[7]
    even = Counter(payer for _, payer, _, _ in rows_of(plan(1)))
    assert max(even.values()) < 1.2 * min(even.values())


def test_drift_lets_all_flow_one_way() -> None:
    assert all(payer < payee for _, payer, payee, _ in rows_of(plan(1, drift=1)))


def test_shares_are_those_of_the_mix() -> None:
    found = plan(mix={"committed": 3, "ndc": 1})
    counts = Counter(found.scenarios[found.row(number)[0]].name for number in range(CHUNK))
    assert 0.22 < counts["ndc"] / CHUNK < 0.28


@pytest.mark.parametrize(
    ("dfsps", "skew", "drift"), [(("a",), 0, 0), (("a", "a"), 0, 0), (("a", "b"), -1, 0), (("a", "b"), 0, 2)]
)
def test_traffic_that_cannot_be_is_refused(dfsps: tuple[str, ...], skew: float, drift: float) -> None:
    with pytest.raises(ValueError, match="DFSPs|skew"):
        Traffic(dfsps, {"committed": 1}, skew, drift)


def test_conditions_fit_fulfilments_and_wrong_ones_do_not() -> None:
    def decoded(text: bytes) -> bytes:
        return urlsafe_b64decode(text + b"=")

    pool = make_pool(9)
    assert len(pool) == POOL
    for entry in pool:
        assert sha256(decoded(entry.fulfilment)).digest() == decoded(entry.condition)
        assert sha256(decoded(entry.wrong)).digest() != decoded(entry.condition)
        assert float(entry.amount) > 1
        assert entry.amount != entry.changed


def test_messages_are_envelopes_of_a_realistic_size() -> None:
    pair, entry = Pair("dfsp1", "dfsp2", "USD", 3), make_pool(1)[0]
    id, at = plan().transfer_id(1).encode(), b"2026-01-01T00:00:00.000Z"
    prepare = pair.prepare(id, entry, entry.amount, at, at)
    assert 700 <= len(prepare) <= 1000
    record = core_messages.read(prepare)
    assert record.content is not None
    payload = json.loads(bytes(record.content.payload))
    assert (payload["payerFsp"], payload["payeeFsp"], payload["transferId"]) == ("dfsp1", "dfsp2", id.decode())
    assert payload["amount"] == {"currency": "USD", "amount": entry.amount_text}
    for kind in ("commit", "reserve", "wrong", "reject", "error"):
        answer = json.loads(pair.answer(kind, id, entry, at))
        assert answer["content"]["headers"]["fspiop-source"] == "dfsp2"
        assert answer["content"]["uriParams"]["id"] == id.decode()
        assert answer["metadata"]["event"]["type"] == "fulfil"


def test_a_dfsp_id_that_would_break_the_template_is_refused() -> None:
    with pytest.raises(ValueError, match="DFSP id"):
        Pair('dfsp"1', "dfsp2", "USD", 0)
