"""Holds every notification against what its transfer must cause, and says what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from transforms.load.messages import Pair
from transforms.load.plan import PoolEntry
from transforms.load.scenarios import PAID, PAYER, ROLES, Scenario, Token

SHOWN = 20
"""Differences kept as text; the rest is only counted."""


class Flow(msgspec.Struct, gc=False):
    """A transfer on its way. `seen` has a bit per notification of the scenario; times are wall clock ms.

    `appended_ms` is the log time of its prepare, known when the first notification has come.
    """

    number: int
    scenario: Scenario
    pair: Pair
    entry: PoolEntry
    sent_ms: int
    expiration: bytes
    seen: int = 0
    appended_ms: int = 0


@dataclass
class Tally:
    """Of one scenario: transfers sent; of them those that went exactly as expected, otherwise, or not to the end."""

    expected: int = 0
    observed: int = 0
    differing: int = 0
    missing: int = 0


@dataclass
class Checker:
    """Every transfer on its way, and what went wrong so far.

    `finished_scenario` names the scenario of a transfer that is on its way no longer (None: never sent by this run).
    `notifications` counts what came of transfers of this run. `loose` accepts that a copy sent at once may be decided
    after the commit, where input topics are not ordered.
    """

    finished_scenario: Callable[[str], Scenario | None]
    loose: bool = False
    flows: dict[str, Flow] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    notifications: Counter[Token] = field(default_factory=Counter)
    mismatches: int = 0
    foreign: int = 0
    examples: list[str] = field(default_factory=list)
    completed: int = 0
    _wrong: set[str] = field(default_factory=set)

    def start(self, transfer_id: str, flow: Flow) -> None:
        """Expect the notifications of a transfer that is being sent."""
        self.flows[transfer_id] = flow
        tally = self.tallies.get(flow.scenario.name)
        if tally is None:
            tally = self.tallies[flow.scenario.name] = Tally()
        tally.expected += 1

    def observe(self, transfer_id: str, flow: Flow, token: Token) -> bool:
        """One notification of a transfer on its way. True if it is expected here, and so may be acted upon."""
        self.notifications[token] += 1
        scenario = flow.scenario
        bits = scenario.bits.get(token)
        seen = flow.seen
        for bit in bits or ():
            if not seen & bit:
                break
        else:
            self._unexpected(transfer_id, flow, token)
            return False
        flow.seen = seen = seen | bit
        if seen == scenario.full:
            self._finish(transfer_id, flow)
        return True

    def stray(self, transfer_id: str, receiver: str, method: str, code: str) -> None:
        """A notification of a transfer that is not on its way: of somebody else's, or one too many of ours."""
        if transfer_id in self._wrong:
            return
        scenario = self.finished_scenario(transfer_id)
        if scenario is None:
            self.foreign += 1
            return
        if self.loose and "same" in scenario.copies and (method, code) == PAID[1:]:
            return
        self._wrong.add(transfer_id)
        tally = self.tallies.get(scenario.name)
        if tally is not None:
            tally.observed -= 1
            tally.differing += 1
        self._say(
            f"transfer {transfer_id} ({scenario.name}) was finished, then {receiver} got another {_text(method, code)}"
        )

    def wrong_content(self, transfer_id: str, flow: Flow, what: str) -> None:
        """A notification that came when it was expected, with the wrong content. To be called before `observe`."""
        self._mark(transfer_id, flow)
        self._say(f"transfer {transfer_id} ({flow.scenario.name}, {flow.pair.payer} to {flow.pair.payee}): {what}")

    def sent_in(self, scenario: str) -> int:
        """Transfers sent in a scenario."""
        tally = self.tallies.get(scenario)
        return tally.expected if tally is not None else 0

    def fault(self, what: str) -> None:
        """Something that is wrong by itself: a message that was not delivered, a notification that cannot be read."""
        self._say(what)

    def close(self, missing_is_wrong: bool = True) -> int:
        """Nothing more is waited for: count the transfers still on their way, and return how many there are."""
        missing = [(key, flow) for key, flow in self.flows.items() if key not in self._wrong]
        for transfer_id, flow in missing:
            self.tallies[flow.scenario.name].missing += 1
            if missing_is_wrong:
                self._say(
                    f"transfer {transfer_id} ({flow.scenario.name}, {flow.pair.payer} to {flow.pair.payee}): missing "
                    f"{missing_text(flow)}; came: {came_text(flow)}"
                )
        self.flows.clear()
        return len(missing)

    def _finish(self, transfer_id: str, flow: Flow) -> None:
        del self.flows[transfer_id]
        self.completed += 1
        if not self._wrong or transfer_id not in self._wrong:
            self.tallies[flow.scenario.name].observed += 1

    def _unexpected(self, transfer_id: str, flow: Flow, token: Token) -> None:
        role, method, code = token
        known = token in flow.scenario.bits
        who = ROLES[role]
        self._mark(transfer_id, flow)
        self._say(
            f"transfer {transfer_id} ({flow.scenario.name}, {flow.pair.payer} to {flow.pair.payee}): {who} got "
            f"{_text(method, code)} {'once more' if known else 'instead'}; came before: {came_text(flow)}; "
            f"still expected: {missing_text(flow)}"
        )
        if role == PAYER and method == "PUT error" and not known:
            # The end of it, and another one than expected: nothing that was expected will come.
            del self.flows[transfer_id]

    def _mark(self, transfer_id: str, flow: Flow) -> None:
        if transfer_id not in self._wrong:
            self._wrong.add(transfer_id)
            self.tallies[flow.scenario.name].differing += 1

    def _say(self, text: str) -> None:
        self.mismatches += 1
        if len(self.examples) < SHOWN:
            self.examples.append(text)


def missing_text(flow: Flow) -> str:
    """The notifications that have not come."""
    return _tokens(flow, lambda bit: not flow.seen & bit)


def came_text(flow: Flow) -> str:
    """The notifications that have come."""
    return _tokens(flow, lambda bit: bool(flow.seen & bit))


def _tokens(flow: Flow, wanted: Callable[[int], bool]) -> str:
    chosen = [token for number, token in enumerate(flow.scenario.expect) if wanted(1 << number)]
    return ", ".join(f"{_text(method, code)} to {ROLES[role]}" for role, method, code in chosen) or "nothing"


def _text(method: str, code: str) -> str:
    return f"{method} {code}".rstrip()
