"""Simulated traffic and histories: the same for the same seed, well formed, with fraud that overlaps the genuine."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.cards import wire
from transforms.cards.fields import AMOUNT, CODE, COUNTRY, MERCHANT, RESPONSE, TIME
from transforms.cards.packed import text_of, unpack_all
from transforms.cards.simulate import SCENARIOS, Mix, Population, Simulator, Traffic, histories
from transforms.cards.simulate import rows as row
from transforms.cards.simulate.packets import packets
from transforms.cards.simulate.world import DAY_MS, HOUR_MS, MINUTE_MS

pytestmark = pytest.mark.unit

PEOPLE = Population(cards=20_000, seed=7)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Simulator(PEOPLE, Mix(fraud=0.02, late=0.02, duplicates=0.005)).take(200_000)


def columns(traffic: Traffic) -> np.ndarray:
    parsed = wire.parse(traffic.packets)
    assert not parsed.statuses.any()
    return unpack_all(parsed.items, parsed.texts)


def attack(traffic: Traffic, name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Columns of all, and the places of each attack of a scenario: by card, a day apart from the next."""
    places = np.flatnonzero((traffic.labels == SCENARIOS[name]) & ~traffic.duplicates)
    order = places[np.lexsort((traffic.times[places], traffic.cards[places]))]
    same = (np.diff(traffic.cards[order]) == 0) & (np.diff(traffic.times[order]) < DAY_MS)
    return columns(traffic), np.split(order, np.flatnonzero(~same) + 1)


def test_same_seed_gives_the_same_bytes_however_they_are_taken() -> None:
    def taken(seed: int, *counts: int) -> bytes:
        simulator = Simulator(Population(cards=5_000, seed=seed))
        return b"".join(simulator.take(count).packets.tobytes() for count in counts)

    assert taken(3, 80_000) == taken(3, 1, 0, 49_999, 30_000)
    assert taken(3, 1_000) != taken(4, 1_000)


def test_blocks_go_on_where_take_stopped() -> None:
    one, other = Simulator(PEOPLE), Simulator(PEOPLE)
    first = one.take(10)
    rest = next(one.blocks())
    whole = next(other.blocks())
    assert first.packets.tobytes() + rest.packets.tobytes() == whole.packets.tobytes()


def test_every_packet_is_taken_by_the_parser_and_says_what_the_columns_say(traffic: Traffic) -> None:
    parsed = wire.parse(traffic.packets)
    assert not parsed.statuses.any()
    assert (parsed.cards == traffic.cards).all()
    found = unpack_all(parsed.items, parsed.texts)
    assert (found[TIME] == traffic.times).all()
    assert (found[AMOUNT] == traffic.amounts).all()
    assert (found[MERCHANT] == traffic.merchants).all()
    assert len(parsed.texts) > 0, "no transaction code has a letter"
    lengths = np.bincount((parsed.items[:, 1] >> np.uint64(62)).astype(np.int64), minlength=4)
    assert (lengths > 0).all(), f"codes of 5, 6, 7 and 8 characters: {lengths}"


@pytest.mark.parametrize("amount", [0, 1, 9, 10, 99, 100, 12_345_678, 99_999_999, 100_000_000, 999_999_999, 2**31 - 1])
def test_amounts_are_written_without_leading_zeros(amount: int) -> None:
    rows = row.empty(1)
    rows[row.AMOUNT], rows[row.TIME] = amount, 1_640_995_200_123
    packet = packets(PEOPLE, rows)[0].tobytes()
    assert packet == wire.packet(b"40002200000000,1640995200123,000,00,%d,000,0000,00000,00000" % amount)


def test_records_come_in_the_order_of_their_times_but_for_the_late_ones() -> None:
    in_order = Simulator(PEOPLE, Mix(late=0, duplicates=0)).take(100_000)
    assert (np.diff(in_order.times) >= 0).all()
    some_late = Simulator(PEOPLE, Mix(late=0.02, duplicates=0)).take(100_000)
    before = np.maximum.accumulate(some_late.times)
    assert 0.01 < (some_late.times < before).mean() < 0.03


def test_duplicates_are_the_same_bytes_again(traffic: Traffic) -> None:
    assert 0.003 < traffic.duplicates.mean() < 0.007
    first = {packet.tobytes() for packet in traffic.packets[~traffic.duplicates]}
    assert all(packet.tobytes() in first for packet in traffic.packets[traffic.duplicates])


def test_future_timestamps_come_at_their_share() -> None:
    taken = Simulator(PEOPLE, Mix(future=0.01)).take(50_000)
    ahead = taken.times > PEOPLE.start_ms + 3_000 * DAY_MS
    assert 0.005 < ahead.mean() < 0.015


def test_fraud_comes_at_its_share_and_of_every_kind(traffic: Traffic) -> None:
    assert 0.014 < (traffic.labels > 0).mean() < 0.026
    assert set(np.unique(traffic.labels)) == {0, *SCENARIOS.values()}
    assert not Simulator(PEOPLE, Mix(fraud=0)).take(50_000).labels.any()


def test_a_stolen_card_is_used_several_times_within_hours(traffic: Traffic) -> None:
    _, attacks = attack(traffic, "burst")
    spans = [np.ptp(traffic.times[places]) for places in attacks if len(places) > 1]
    assert np.median([len(places) for places in attacks]) >= 4
    assert np.median(spans) < HOUR_MS


def test_a_test_comes_before_the_large_payment(traffic: Traffic) -> None:
    found, attacks = attack(traffic, "test-large")
    begun = [places for places in attacks if len(places) >= 2]
    assert all(found[AMOUNT, places[0]] < 300 for places in begun)
    assert np.mean([found[AMOUNT, places].max() > 10_000 for places in begun]) > 0.8


def test_cash_is_drawn_at_night(traffic: Traffic) -> None:
    found, attacks = attack(traffic, "night-cash")
    for places in attacks:
        assert (found[MERCHANT, places] == 6011).all()
        assert (found[TIME, places] % DAY_MS // HOUR_MS >= 1).all()
        assert (found[TIME, places] % DAY_MS // HOUR_MS < 6).all()


def test_nobody_travels_that_fast(traffic: Traffic) -> None:
    found, attacks = attack(traffic, "travel")
    order = np.lexsort((traffic.times, traffic.cards))
    place = {int(at): number for number, at in enumerate(order)}
    quick = 0
    for places in attacks:
        before = order[place[int(places[0])] - 1]
        away = found[COUNTRY, before] != found[COUNTRY, places[0]]
        near = traffic.times[places[0]] - traffic.times[before] < 150 * MINUTE_MS
        quick += bool(away and near and traffic.cards[before] == traffic.cards[places[0]])
    assert quick > 0.9 * len(attacks)


def test_numbers_are_guessed_before_they_go_through(traffic: Traffic) -> None:
    found, attacks = attack(traffic, "guess")
    whole = [places for places in attacks if len(places) > 3]
    assert all(found[RESPONSE, places[0]] in (14, 82) for places in whole)
    assert np.mean([found[RESPONSE, places[-1]] == 0 for places in whole]) > 0.8


def test_a_dormant_card_has_not_been_used_for_weeks() -> None:
    people = Population(cards=20_000, seed=7)
    taken = Simulator(people, Mix(fraud=0.02)).take(50_000)
    woken = np.unique(taken.cards[taken.labels == SCENARIOS["dormant"]])
    last = {}
    history = histories(people, np.arange(people.cards))
    times = unpack_all(*wire.parse(history.packets)[2:])[TIME]
    ends = np.cumsum(history.counts.astype(np.int64))
    for card, end, count in zip(history.cards.tolist(), ends, history.counts, strict=True):
        if count:
            last[card] = times[end - 1]
    known = [card for card in woken.tolist() if card in last]
    assert known
    assert all(last[card] < people.start_ms - 50 * DAY_MS for card in known)


def test_cardholders_do_what_thieves_do(traffic: Traffic) -> None:
    found = columns(traffic)
    genuine = traffic.labels == 0
    home = {}
    for card, country in zip(traffic.cards[genuine].tolist(), found[COUNTRY, genuine].tolist(), strict=True):
        home.setdefault(card, set()).add(country)
    night_cash = genuine & (found[MERCHANT] == 6011) & (found[TIME] % DAY_MS < 5 * HOUR_MS)
    assert np.mean([len(countries) > 1 for countries in home.values()]) > 0.05, "nobody travels or buys abroad"
    assert night_cash.any(), "nobody draws cash at night"
    assert (genuine & (found[RESPONSE] != 0)).mean() > 0.01, "nothing genuine is declined"
    assert (genuine & (found[AMOUNT] > 100_000)).any(), "nothing genuine is large"
    assert (genuine & (found[AMOUNT] < 300)).any(), "nothing genuine is tiny"


def test_activity_falls_from_the_first_card_to_the_last() -> None:
    people = Population(cards=10_000)
    drawn = np.bincount(people.pick(people.generator(9, 0).random(200_000)), minlength=10_000)
    tenth = drawn.reshape(10, -1).sum(axis=1)
    assert (np.diff(tenth) < 0).all()
    rates = people.rates(np.arange(10_000))
    assert rates.mean() == pytest.approx(people.per_day, rel=0.01)
    assert tenth / 200_000 == pytest.approx(rates.reshape(10, -1).sum(axis=1) / rates.sum(), rel=0.05)
    even = Population(cards=10_000, skew=0)
    assert np.ptp(even.rates(np.arange(10_000))) == 0


def test_histories_end_before_traffic_begins_and_are_in_order() -> None:
    history = histories(PEOPLE, np.arange(4_000, 9_000))
    parsed = wire.parse(history.packets, loaded=True)
    assert not parsed.statuses.any()
    assert (np.repeat(history.cards, history.counts) == parsed.cards).all()
    times = unpack_all(parsed.items, parsed.texts)[TIME]
    assert times.max() < PEOPLE.start_ms
    assert (np.diff(times)[np.diff(parsed.cards.astype(np.int64)) == 0] >= 0).all()
    assert (history.counts == 20).mean() > 0.9
    assert (history.counts < 20).any()
    assert text_of(int(parsed.cards[0]), parsed.items[0], parsed.texts) == history.packets[0].tobytes()[:99].rstrip(
        b"\0"
    )


def test_a_history_is_the_same_in_whatever_company_it_is_made() -> None:
    cards = np.arange(300)
    together = histories(PEOPLE, cards)
    third = cards[cards % 3 == 1]
    some = histories(Population(cards=20_000, seed=7), third)
    wanted = np.repeat(cards % 3 == 1, together.counts)
    assert some.packets.tobytes() == together.packets[wanted].tobytes()
    assert some.packets.tobytes() != histories(Population(cards=20_000, seed=8), third).packets.tobytes()


def test_history_and_traffic_of_a_card_agree_on_its_habits(traffic: Traffic) -> None:
    found = columns(traffic)
    history = histories(PEOPLE, np.arange(2_000))
    parsed = wire.parse(history.packets)
    before = unpack_all(parsed.items, parsed.texts)
    same = []
    for card in history.cards[:200].tolist():
        usual = np.bincount(before[COUNTRY, parsed.cards == card], minlength=1)
        now = np.bincount(found[COUNTRY, (traffic.cards == card) & (traffic.labels == 0)], minlength=1)
        if usual.sum() == 20 and now.sum() > 20:
            same.append(usual.argmax() == now.argmax())
    assert len(same) > 100
    assert np.mean(same) > 0.9, "people move house all the time"


@pytest.mark.parametrize("cards", [1, 2, 3, 9, 40])
def test_few_cards_are_enough(cards: int) -> None:
    taken = Simulator(Population(cards=cards), Mix(fraud=0.1)).take(40_000)
    assert len(np.unique(taken.cards)) <= cards
    assert taken.cards.max() < 40_002_200_000_000 + cards
    assert not wire.parse(taken.packets).statuses.any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cards": 0}, "cards must be"),
        ({"cards": 10**9}, "cards must be"),
        ({"start_ms": 1}, "midnight"),
        ({"per_day": 0}, "transactions per day"),
        ({"skew": 9}, "skew"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_simulated_is_refused(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Population(**arguments)


def test_shares_must_be_shares() -> None:
    with pytest.raises(ValueError, match="share of late"):
        Mix(late=0.9)


def test_codes_of_fraud_are_codes_of_the_wire(traffic: Traffic) -> None:
    found = columns(traffic)
    assert set(np.unique(found[CODE][found[CODE] > 0])) <= {10, 20, 30, 40, 50, 60}
