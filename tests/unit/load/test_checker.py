"""The checker complains of everything that is not exactly what a transfer must cause."""

from __future__ import annotations

import pytest

from transforms.load.checker import SHOWN, Checker, Flow
from transforms.load.messages import Pair
from transforms.load.plan import make_pool
from transforms.load.scenarios import (
    PAID,
    PATCHED,
    PAYEE,
    PAYER,
    POSTED,
    RECEIVED,
    SCENARIOS,
    Scenario,
    Token,
    failed,
    parse_mix,
)

pytestmark = pytest.mark.unit

ENTRY = make_pool(1)[0]


def started(scenario: str, *, loose: bool = False) -> tuple[Checker, Flow]:
    sent: dict[str, Scenario] = {"t1": SCENARIOS[scenario]}
    checker = Checker(sent.get, loose=loose)
    flow = Flow(0, SCENARIOS[scenario], Pair("dfsp1", "dfsp2", "USD", 0), ENTRY, 1000, b"")
    checker.start("t1", flow)
    return checker, flow


def feed(checker: Checker, flow: Flow, *tokens: Token) -> list[bool]:
    return [checker.observe("t1", flow, token) for token in tokens]


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_expected_is_accepted_once(name: str) -> None:
    checker, flow = started(name)
    assert all(feed(checker, flow, *SCENARIOS[name].expect))
    assert checker.close() == 0
    assert checker.mismatches == 0
    assert checker.tallies[name].observed == checker.completed == 1


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("extra", [POSTED, PAID, RECEIVED, PATCHED, failed(PAYER, "3303"), failed(PAYEE, "3100")])
def test_one_notification_too_many_is_a_mismatch(name: str, extra: Token) -> None:
    checker, flow = started(name)
    feed(checker, flow, *SCENARIOS[name].expect)
    checker.stray("t1", "dfsp1", *extra[1:])
    assert checker.mismatches == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_missing_notification_is_missed(name: str) -> None:
    expected = SCENARIOS[name].expect
    for left_out in range(len(expected)):
        checker, flow = started(name)
        feed(checker, flow, *(token for number, token in enumerate(expected) if number != left_out))
        assert checker.close() == 1
        assert checker.mismatches == checker.tallies[name].missing == 1
        assert "missing" in checker.examples[0]


def test_another_code_ends_a_transfer_as_differing() -> None:
    checker, flow = started("ndc")
    assert feed(checker, flow, failed(PAYER, "4001")) == [False]
    assert not checker.flows
    assert checker.tallies["ndc"].differing == 1
    assert "got PUT error 4001 instead" in checker.examples[0]
    checker.stray("t1", "dfsp1", "PUT error", "4001")
    assert checker.mismatches == 1, "a transfer that is reported is not reported again"


def test_a_notification_to_the_wrong_side_is_a_mismatch() -> None:
    checker, flow = started("committed")
    assert feed(checker, flow, (PAYER, "POST", "")) == [False]
    assert "payer got POST instead" in checker.examples[0]


def test_twice_is_a_mismatch_unless_it_is_expected_twice() -> None:
    checker, flow = started("committed")
    assert feed(checker, flow, POSTED, PAID, PAID, RECEIVED) == [True, True, False, True]
    assert checker.tallies["committed"].differing == 1
    assert checker.tallies["committed"].observed == 0
    checker, flow = started("duplicate-late")
    assert feed(checker, flow, POSTED, PAID, RECEIVED, PAID) == [True] * 4
    assert checker.mismatches == 0


def test_transfers_of_others_are_foreign() -> None:
    checker, _ = started("committed")
    checker.stray("somebody", "dfsp1", "PUT", "COMMITTED")
    assert (checker.foreign, checker.mismatches) == (1, 0)


def test_a_late_copy_is_forgiven_only_where_topics_are_not_ordered() -> None:
    for loose, mismatches in ((True, 0), (False, 1)):
        checker, flow = started("duplicate", loose=loose)
        feed(checker, flow, POSTED, PAID, RECEIVED)
        checker.stray("t1", "dfsp1", "PUT", "COMMITTED")
        assert checker.mismatches == mismatches


def test_what_is_left_after_an_interrupt_is_no_mismatch() -> None:
    checker, _ = started("committed")
    assert checker.close(missing_is_wrong=False) == 1
    assert checker.mismatches == 0


def test_only_the_first_differences_are_kept_as_text() -> None:
    checker, _ = started("committed")
    for number in range(SHOWN + 5):
        checker.fault(f"fault {number}")
    assert len(checker.examples) == SHOWN
    assert checker.mismatches == SHOWN + 5


@pytest.mark.parametrize("text", ["", "committed=0", "commited=1", "committed=x", "committed=-1", "committed=nan"])
def test_a_mix_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="scenario|share"):
        parse_mix(text)


def test_a_mix_is_shares_by_name() -> None:
    assert parse_mix("committed=95, ndc=5") == {"committed": 95.0, "ndc": 5.0}
    assert set(parse_mix("everyday")) == set(SCENARIOS)
