"""Random interleavings of everything that can happen, held against the plain model step by step."""

from __future__ import annotations

import json
import random
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.transfers import wire
from tests.unit.transfers.model import Model, ModelAccount, Told
from tests.unit.transfers.wire import BASE
from transforms.core import Batch, Output
from transforms.transfers import money
from transforms.transfers.local import LocalHub
from transforms.transfers.routing import partition_of
from transforms.transfers.shard import TransferShard

pytestmark = pytest.mark.unit

DFSPS = ["dfsp1", "dfsp2", "dfsp3", "dfsp5"]
CURRENCIES = ["USD", "EUR"]
AMOUNTS = ["10"] * 8 + ["25", "0.0001", "3.5", "100", "0", "-5", "1.00001", "10000000000000000000"]
AHEAD = [30_000] * 8 + [1000, 1000, 100, 0, 4_000_000]
GAPS = [0] * 6 + [1, 1, 100, 1000, 30_000]

Step = tuple[Any, ...]

dfsp = st.sampled_from(DFSPS)
currency = st.sampled_from(["USD", "USD", "USD", "EUR"])
number = st.integers(0, 9)
gap = st.sampled_from(GAPS)
mostly = st.sampled_from([True] * 9 + [False])
kind = st.sampled_from(["commit"] * 5 + ["reserve", "reject", "abort"])
secret = st.sampled_from(["k"] * 7 + ["other"])
completed = st.sampled_from([None, 0, 0, 0, 0, 0, 5000])
sender = st.sampled_from(["payee"] * 10 + ["dfsp1", "dfsp5"])
away = st.sampled_from([1, 2, 3, 1, 2, 3, 1, 2, 3, 0])

prepares = st.tuples(
    st.just("prepare"), gap, number, dfsp, away, currency, st.sampled_from(AMOUNTS), st.sampled_from(AHEAD), mostly
)
again = st.tuples(st.just("again"), gap, number, st.sampled_from(["same", "same", "amount"]))
answers = st.tuples(
    st.just("answer"), gap, number, kind, secret, completed, sender, mostly.map(lambda usual: not usual)
)
limits = st.tuples(st.just("ndc"), gap, dfsp, currency, st.sampled_from(["0", "10", "50", "1000", "1000"]))
action = st.sampled_from(["in", "reserve", "commit", "abort"])
funds = st.tuples(st.just("funds"), gap, dfsp, currency, st.sampled_from(["5", "60", "100"]), number, action)
active = st.tuples(st.just("active"), gap, dfsp, st.sampled_from([None, *CURRENCIES]), mostly)
ticks = st.tuples(st.just("tick"), gap)
anything = [prepares] * 5 + [answers] * 6 + [again, limits, funds, active, ticks]
steps = st.lists(st.sampled_from(range(len(anything))).flatmap(anything.__getitem__), min_size=20, max_size=60)


def story_of(seed: int, length: int) -> list[Step]:
    """A long story from a seed: denser than what hypothesis draws, and the seed in the test's name repeats it."""
    rng = random.Random(seed)
    pick = rng.choice
    answer_kinds, senders = ["commit"] * 6 + ["reserve", "reject", "abort"], ["payee"] * 12 + ["dfsp1", "dfsp5"]
    funds_actions = ["in", "in", "reserve", "commit", "abort"]
    payees = [1, 2, 3] * 4 + [0]
    story: list[Step] = []
    for _ in range(length):
        kinds = ["prepare"] * 8 + ["answer"] * 10 + ["again", "ndc", "funds", "active", "tick"]
        what, wait, who, money_kind = pick(kinds), pick(GAPS), pick(DFSPS), pick(["USD", "USD", "EUR"])
        n = rng.randrange(400)
        story.append(
            {
                "prepare": (n, who, pick(payees), money_kind, pick(AMOUNTS), pick(AHEAD), rng.random() < 0.95),
                "again": (n, pick(["same", "same", "amount"])),
                "answer": (
                    -1 - rng.randrange(12), pick(answer_kinds), pick(["k"] * 9 + ["other"]),
                    pick([None] + [0] * 8 + [5000]), pick(senders), rng.random() < 0.1,
                ),
                "ndc": (who, money_kind, pick(["0", "10", "50", "1000", "1000"])),
                "funds": (who, money_kind, pick(["5", "60", "100"]), n % 20, pick(funds_actions)),
                "active": (who, pick([None, *CURRENCIES]), rng.random() < 0.8),
                "tick": (),
            }[what]
        )  # fmt: skip
        story[-1] = (what, wait, *story[-1])
    return story


class Both:
    """The core and the model, driven by the same steps."""

    def __init__(self, partitions: int) -> None:
        self.hub = LocalHub(partitions)
        self.model = Model(lambda name: partition_of(name, partitions))
        self.now = BASE
        self.sent: dict[str, tuple[Any, ...]] = {}
        self.answered: dict[str, tuple[Any, ...]] = {}
        for name in DFSPS:
            accounts = [{"currency": currency, "cover": "100", "ndc": "80"} for currency in CURRENCIES]
            self.hub.admin({"addParticipant": {"id": name, "accounts": accounts}}, BASE)
            self.model.active[name] = True
            for currency in CURRENCIES:
                self.model.accounts[name, currency] = ModelAccount(Decimal(100), Decimal(80))

    def do(self, step: Step) -> None:
        kind, wait, *rest = step
        self.now += wait
        before = len(self.hub.outputs)
        expected: list[Told] = getattr(self, f"do_{kind}")(*rest)
        assert by_receiver(wire.told(self.hub, before)) == by_receiver(expected), step
        self.compare()

    def do_prepare(
        self, n: int, payer: str, away: int, currency: str, amount: str, ahead: int, honest: bool
    ) -> list[Told]:
        payee = DFSPS[(DFSPS.index(payer) + away) % len(DFSPS)]
        id = f"{payer}-{n}"
        sender = payer if honest or payer == "dfsp1" else "dfsp1"
        if sender == payer and id not in self.sent:
            self.sent[id] = (payer, payee, currency, amount, self.now + ahead)
        return self._send_prepare(id, sender, payer, payee, currency, amount, self.now + ahead)

    def _send_prepare(
        self, id: str, sender: str, payer: str, payee: str, currency: str, amount: str, expiration: int
    ) -> list[Told]:
        value = wire.prepare(id, payer, payee, amount, expiration, sender=sender, currency=currency)
        self.hub.send(self.hub.topics.prepare, value, self.now)
        return self.model.prepare(self.now, sender, id, payer, payee, currency, amount, "k", expiration)

    def _pick(self, n: int) -> str | None:
        return list(self.sent)[n % len(self.sent)] if self.sent else None

    def do_again(self, n: int, how: str) -> list[Told]:
        id = self._pick(n)
        if id is None:
            return []
        payer, payee, currency, amount, expiration = self.sent[id]
        return self._send_prepare(id, payer, payer, payee, currency, amount if how == "same" else "7", expiration)

    def do_answer(self, n: int, kind: str, secret: str, completed: int | None, sender: str, repeat: bool) -> list[Told]:
        id = self._pick(n)
        if id is None:
            return []
        payer, payee, *_ = self.sent[id]
        sender = payee if sender == "payee" else sender
        fresh = (sender, kind, secret, None if completed is None else self.now + completed)
        sender, kind, secret, when = self.answered.setdefault(id, fresh) if repeat else fresh
        if kind in ("commit", "reserve"):
            value = wire.fulfil(id, sender, payer, secret, when, kind)
            expected = (secret, None, when)
        elif kind == "reject":
            document = wire.envelope("fulfil", "reject", id, sender, payer, {"transferState": "REJECTED"})
            value, expected = wire.dump(document), ("", None, None)
        else:
            value, expected = wire.error(id, sender, payer, "5104"), ("", "5104", None)
        self.hub.send(self.hub.topics.fulfil, value, self.now)
        return self.model.answer(self.now, sender, payer, id, kind, *expected)

    def _admin(self, **command: Any) -> list[Told]:
        self.hub.admin(command, self.now)
        return self.model.tick(self.now, self.hub.partitions)

    def do_ndc(self, id: str, currency: str, ndc: str) -> list[Told]:
        self.model.accounts[id, currency].ndc = Decimal(ndc)
        return self._admin(setNdc={"id": id, "currency": currency, "ndc": ndc})

    def do_funds(self, id: str, currency: str, amount: str, n: int, action: str) -> list[Told]:
        arguments = {"id": id, "currency": currency, "amount": amount, "transferId": f"{id}-funds-{n}"}
        if action == "in":
            self.model.funds_in(id, currency, amount, arguments["transferId"])
            return self._admin(fundsIn=arguments)
        self.model.funds_out(id, currency, amount, arguments["transferId"], action)
        return self._admin(fundsOut={**arguments, "action": action})

    def do_active(self, id: str, currency: str | None, on: bool) -> list[Told]:
        if currency is None:
            self.model.active[id] = on
            return self._admin(setActive={"id": id, "active": on})
        self.model.accounts[id, currency].active = on
        return self._admin(setActive={"id": id, "currency": currency, "active": on})

    def do_tick(self) -> list[Told]:
        self.hub.tick(self.now)
        return self.model.tick(self.now, self.hub.partitions)

    def compare(self) -> None:
        """Balances and states agree; what is not reserved sums to zero."""
        settled = dict.fromkeys(CURRENCIES, 0)
        for name, position, reserved, cover, ndc in wire.balances(self.hub):
            id, currency = name.split("/")
            account = self.model.accounts[id, currency]
            found = tuple(Decimal(money.text(units)) for units in (position, reserved, cover, ndc))
            assert found == (account.position, self.model.reserved(id, currency), account.cover, account.ndc), name
            settled[currency] += position - reserved
        assert set(settled.values()) == {0}
        for id, transfer in self.model.transfers.items():
            assert self.hub.read_side.state(id) == transfer.state, id


def by_receiver(told: list[Told]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for one in sorted(told, key=str):
        found.setdefault(one[0], []).append(one)
    return found


def finish(both: Both) -> None:
    """Nothing released or committed twice; at rest the positions of each currency sum to zero."""
    wire.check_chains(both.hub)
    events = [json.loads(value) for value in both.hub.of(both.hub.topics.events)]
    ended = [event["transferId"] for event in events if event["kind"] in ("release", "commit")]
    assert len(ended) == len(set(ended))
    both.now += 4_000_000
    both.do(("tick", 0))
    totals = dict.fromkeys(CURRENCIES, 0)
    for name, position, reserved, _, _ in wire.balances(both.hub):
        assert reserved == 0
        totals[name.split("/")[1]] += position
    assert set(totals.values()) == {0}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.sampled_from([1, 3, 4]))
def test_core_decides_as_the_model_does(story: list[Step], partitions: int) -> None:
    both = Both(partitions)
    for step in story:
        both.do(step)
    finish(both)


@pytest.mark.parametrize("seed", range(6))
def test_long_stories_agree_with_the_model(seed: int) -> None:
    both = Both(1 + seed % 4)
    for step in story_of(seed, 500):
        both.do(step)
    finish(both)
    outcomes: Counter[str] = Counter()
    for shard in both.hub.shards:
        outcomes.update(shard.counters())
    for name in ("reserved", "committed", "aborted", "expired", "invalid", "refused", "duplicates", "limit_blocked"):
        assert outcomes[name] > 3, f"the story says too little: {outcomes}"


def replay(hub: LocalHub, partition: int, cuts: list[int], restarts: bool, fast: bool) -> list[Output]:
    """The shard's log once more through a fresh core, cut into batches at `cuts`, restarted at each if wished."""
    log = hub.log_of(partition)
    shard = TransferShard(partition, hub.partitions, hub.topics, fast)
    cells: dict[int, tuple[int, bytes]] = {}
    out: list[Output] = []
    edges = [0, *sorted({cut % (len(log) + 1) for cut in cuts}), len(log)]
    for start, stop in pairwise(edges):
        records = log[start:stop]
        out += shard.apply(
            Batch(
                list(range(start, stop)),
                [at for at, _, _ in records],
                [key for _, key, _ in records],
                [value for _, _, value in records],
            )
        )
        if restarts:
            cells.update({cell: (stop, payload) for cell, payload in shard.dump()})
            shard = TransferShard(partition, hub.partitions, hub.topics, fast)
            assert shard.load(cells) == stop
    return out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("restarts", [False, True], ids=["cut", "restarted"])
def test_replay_gives_the_same_bytes(seed: int, restarts: bool) -> None:
    both = Both(3)
    for step in story_of(100 + seed, 200):
        both.do(step)
    rng = random.Random(seed)
    for partition in range(3):
        cuts = [rng.randrange(1000) for _ in range(40)]
        assert replay(both.hub, partition, cuts, restarts, fast=seed % 2 == 0) == both.hub.outputs_of(partition)
