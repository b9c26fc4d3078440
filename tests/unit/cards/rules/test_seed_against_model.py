"""The seed set, through the kernel and through explain, against the plain model: random histories full of edges."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cards.rules.seed_model import DAY, HOUR, RULES, Items, Txn, fires, first_rule
from transforms.cards.rules.cases import items_of
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.explain import explain
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rulesets import shipped

pytestmark = pytest.mark.unit

SEED = shipped("seed")
PROGRAM = compile_set(SEED)
WATCHING = compile_set(SEED, shadow=True)
HITS = np.zeros(len(SEED.rules), np.uint8)

CARDS = ["00004000222333", "00004000222100", "00000000000001", "00004000222334"]
COUNTRIES = ["111", "121", "221", "444", "001", "000", "002", "122", "200", "201", "202", "123", "1A1", "999"]
MERCHANTS = ["0022", "0011", "0001", "2222", "0033", "0034", "00A2", "1111"]
CURRENCIES = ["011", "022", "033"]
RESPONSES = ["00", "05", "0A"]
CODES = ["00004", "00017", "00049", "ABCDE", "12345"]
LIMITS = [0, 1, 100, 1_000, 10_000, 20_000, 50_000, 100_000, 200_000, 250_000, 330_000, 500_000]
STEPS = [HOUR, 8 * HOUR, 10 * HOUR, DAY, 10 * DAY, 14 * DAY, 60 * DAY, 70 * DAY, 80 * DAY, 90 * DAY]
BASES = [
    int(datetime(2019, *moment, tzinfo=UTC).timestamp() * 1000)
    for moment in ((3, 25), (3, 26), (3, 24, 23, 59, 59), (7, 1), (7, 1, 1), (7, 1, 3, 59, 59), (7, 1, 4), (2, 28, 12))
]


def random_items(rng: random.Random, n: int) -> Items:
    """A card's items: values from the rules' own constants, times and amounts on the limits and next to them."""
    now = rng.choice(BASES) + rng.choice([-1, 0, 1, 999, rng.randrange(DAY)])
    mild = rng.random() < 0.5
    card = rng.choice(CARDS)
    country, merchant = rng.choice(COUNTRIES), rng.choice(MERCHANTS)
    items = []
    for place in range(n):
        step = rng.choice(STEPS)
        back = rng.choice([0, step, step * (place + 1), step * max(place, 1), rng.randrange(2_000 * DAY)])
        late = 80 * DAY * place - HOUR if rng.random() < 0.1 else back
        time = now if place == n - 1 else max(0, now - late + rng.choice([-1, 0, 1, 5_000]))
        limit = rng.choice(LIMITS[:4] if mild else LIMITS)
        amount = rng.choice([limit, limit + 1, max(limit - 1, 0), limit // n, rng.randrange(2_000)])
        same = rng.random() < 0.6
        items.append(
            Txn(
                card, time, country if same else rng.choice(COUNTRIES), rng.choice(RESPONSES), amount,
                rng.choice(CURRENCIES), merchant if same else rng.choice(MERCHANTS), "00001", rng.choice(CODES),
            )
        )  # fmt: skip
    return items


def quiet(n: int = 20) -> Items:
    """A history in which no rule fires: old, tiny amounts at noon."""
    now = BASES[-1]
    return [Txn("00000000000001", now - (n - 1 - place) * 1000 - (place < n - 1) * 9_000 * DAY, "300", "00", 200, "300",
                "4444", "00001", "12345") for place in range(n)]  # fmt: skip


AIMED: dict[int, tuple[dict[str, object], dict[str, object], int]] = {
    1: ({"country": "111", "merchant": "0022", "amount": 200_001}, {}, DAY),
    18: ({"merchant": "2222", "amount": 10_000, "time": BASES[0]}, {"amount": 20_000}, 14 * DAY),
    25: ({"merchant": "0011", "currency": "022", "amount": 1}, {"amount": 20_000}, 8 * HOUR),
    30: ({"merchant": "0011", "currency": "011", "amount": 1}, {"amount": 10_000}, DAY),
    35: ({"merchant": "0011", "currency": "022", "amount": 1}, {"amount": 20_000}, 14 * DAY),
    41: ({"country": "002", "amount": 1_001}, {"country": "001", "amount": 10_001}, 10 * DAY),
    42: ({"country": "002", "amount": 1_001}, {"country": "003", "amount": 10_001}, 10 * DAY),
    43: ({"amount": 10_000}, {"amount": 100}, 3_000 * DAY),
    44: ({"amount": 10_001, "country": "001"}, {"amount": 100}, 3_000 * DAY),
    45: ({"merchant": "0033", "amount": 1_001}, {"merchant": "0022", "amount": 1_001}, DAY),
    47: ({"country": "122", "amount": 1}, {"country": "200", "amount": 10_001}, 80 * DAY),
}
"""Rules that chance seldom meets: the incoming transaction, what the items that matter have, and their step."""


def aimed_items(rng: random.Random, n: int, rule: int) -> Items:
    """A quiet history in which some items nearly or just make a rule fire."""
    incoming, alike, step = AIMED[rule]
    items = [item._replace(card="00000000000001", **alike) for item in quiet(n)]  # type: ignore[arg-type]
    now = int(str(incoming.get("time", BASES[-1])))
    few = rng.choice([10, 11, 12] if rule == 45 else [1, 1, 2, 12, n])
    near = rng.sample(range(n - 1), min(few, n - 1))
    for place in range(n - 1):
        back = step * (place + 1) if rng.random() < 0.8 else step
        if rule in (45, 47) and rng.random() < 0.9:
            back = step * place - (HOUR if rule == 47 else 0)
        time = now - back + rng.choice([-1, 0, 1, 1, 60_000]) if place in near else now - 4_000 * DAY
        amount = items[place].amount + rng.choice([-1, 0, 0, 0, 1]) * (rule != 45)
        items[place] = items[place]._replace(time=max(time, 0), amount=amount)
    current = items[-1]._replace(**{"time": now, **incoming})  # type: ignore[arg-type]
    if rng.random() < 0.3:
        current = current._replace(amount=max(0, current.amount + rng.choice([-1, 1])))
    return [*items[:-1], current]


def solve_sum(rng: random.Random, items: Items) -> Items:
    """The same with the incoming amount set so that a sum or mean lands on a limit or next to it."""
    others = sum(item.amount for item in items[:-1])
    target = rng.choice([limit for limit in LIMITS if limit >= others] or [others]) - others + rng.choice([-1, 0, 1])
    mean = others // max(len(items) - 1, 1) + rng.choice([-1, 0, 1])
    return [*items[:-1], items[-1]._replace(amount=max(0, rng.choice([target, mean])))]


def check(items: Items) -> int:
    """Compare all three on one history; returns the deciding rule."""
    columns = items_of([item.text for item in items[:-1]], items[-1].text)
    wanted, all_of_them = first_rule(items), fires(items)
    told = "\n".join(item.text for item in items)
    HITS[:] = 0
    assert evaluate(PROGRAM, columns, len(items), HITS) == wanted, told
    assert np.flatnonzero(HITS).tolist() == ([wanted - 1] if wanted else []), told
    HITS[:] = 0
    assert evaluate(WATCHING, columns, len(items), HITS) == 0, told
    # In shadow every rule is looked at, so those show, too, that an earlier one hides when they decide.
    assert [number for number in (np.flatnonzero(HITS) + 1).tolist() if number in RULES] == all_of_them, told
    assert [hit.number for hit in explain(SEED, columns, len(items)) if hit.number in RULES] == all_of_them, told
    return wanted


def test_random_histories_of_every_length() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    found: dict[int, int] = {}
    for _ in range(1_200):
        n = rng.randint(1, 20) if rng.random() < 0.5 else 20
        items = random_items(rng, n) if rng.random() < 0.5 else aimed_items(rng, n, rng.choice(list(AIMED)))
        try:
            for each in (items, solve_sum(rng, items)):
                rule = check(each)
                found[rule] = found.get(rule, 0) + 1
        except AssertionError:
            print(f"seed {seed}")
            raise
    assert len(found) >= 20, f"seed {seed}: the histories met only rules {sorted(found)}"


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_histories_that_shrink(rng: random.Random, n: int) -> None:
    check(random_items(rng, n))
    check(aimed_items(rng, n, rng.choice(list(AIMED))))


def changed(items: Items, place: int, **values: object) -> Items:
    """The items with one of them changed."""
    place %= len(items)
    return [item._replace(**values) if at == place else item for at, item in enumerate(items)]  # type: ignore[arg-type]


def at(back: int, place: int = 0) -> dict[str, int]:
    """A timestamp so long before the incoming one."""
    return {"time": BASES[-1] - back}


@pytest.mark.parametrize("step", [8 * HOUR, DAY, 14 * DAY])
@pytest.mark.parametrize("place", [0, 1, 7, 18])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_ladder_cuts_off_strictly_by_position(step: int, place: int, off: int) -> None:
    items = changed(quiet(), -1, merchant="0011", currency="011", amount=1_000)
    items = changed(items, place, amount=9_001, time=BASES[-1] - step * (place + 1) + off)
    check(items)


@pytest.mark.parametrize("length", [HOUR, 60 * DAY, 70 * DAY])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_window_cuts_off_strictly(length: int, off: int) -> None:
    items = changed(quiet(), -1, card="00004000222333", amount=150)
    check(changed(items, 5, amount=600_000, card="00004000222333", time=BASES[-1] - length + off))


@pytest.mark.parametrize("hour", range(24))
def test_the_small_hours_are_1_to_3(hour: int) -> None:
    start = int(datetime(2021, 6, 1, hour, tzinfo=UTC).timestamp() * 1000)
    for time in (start, start + HOUR - 1):
        assert (check(changed(quiet(), -1, time=time, amount=10_000)) == 9) == (hour in (1, 2, 3))


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("country", ["200", "201", "199"])
def test_the_moving_window_moves(off: int, country: str) -> None:
    items = changed(quiet(), -1, country="122", amount=10)
    for place in (0, 3, 4, 9):
        match = BASES[-1] - 80 * DAY * place + HOUR + off
        items = changed(items, place, country=country, amount=10_001, time=match)
        check(items)


def test_times_after_the_incoming_one_are_in_every_window() -> None:
    items = changed(quiet(), -1, card="00004000222333")
    assert check(changed(items, 0, time=BASES[-1] + 10 * DAY, amount=500_001)) == 21


@pytest.mark.parametrize("n", range(1, 21))
def test_short_histories(n: int) -> None:
    assert check(quiet(n)) == 0
    check(changed(quiet(n), -1, amount=10_000))
