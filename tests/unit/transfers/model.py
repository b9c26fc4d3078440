"""A plain model of the transfer rules, written from transfers.md with Decimal and dicts and nothing of the core.

It decides one step at a time and says what each FSP is told, so that the core can be held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

Told = tuple[str, str, str | None, str]
"""Receiver, method, code, transfer id."""


@dataclass
class ModelAccount:
    cover: Decimal
    ndc: Decimal
    position: Decimal = Decimal(0)
    active: bool = True


@dataclass
class ModelTransfer:
    payer: str
    payee: str
    currency: str
    amount: Decimal
    content: tuple[object, ...]
    secret: str
    expiration: int
    state: str
    code: str | None = None
    answer: tuple[object, ...] | None = None
    patched: bool = False


@dataclass
class Model:
    """`shard_of` says which DFSPs share a log: expiry happens when a record comes by on the payer's log."""

    shard_of: Callable[[str], int]
    horizon: int = 3_600_000
    accounts: dict[tuple[str, str], ModelAccount] = field(default_factory=dict)
    active: dict[str, bool] = field(default_factory=dict)
    transfers: dict[str, ModelTransfer] = field(default_factory=dict)
    funds: dict[str, list[object]] = field(default_factory=dict)

    def reserved(self, dfsp: str, currency: str) -> Decimal:
        """The sum of what is RESERVED from an account."""
        return sum(
            (
                found.amount
                for found in self.transfers.values()
                if found.state == "RESERVED" and (found.payer, found.currency) == (dfsp, currency)
            ),
            Decimal(0),
        )

    def touch(self, shard: int, at: int, keep: str | None = None) -> list[Told]:
        """A record at log time `at` on a shard: what is due there is released."""
        due = [
            id
            for id, found in self.transfers.items()
            if found.state == "RESERVED"
            and found.expiration <= at
            and id != keep
            and self.shard_of(found.payer) == shard
        ]
        told: list[Told] = []
        for id in sorted(due, key=lambda id: self.transfers[id].expiration):
            self._release(id, "3303")
            told += self._both(id, "PUT error", "3303")
        return told

    def _release(self, id: str, code: str) -> None:
        found = self.transfers[id]
        assert found.state == "RESERVED"
        self.accounts[found.payer, found.currency].position -= found.amount
        found.state, found.code = "ABORTED", code

    def _both(self, id: str, method: str, code: str | None) -> list[Told]:
        found = self.transfers[id]
        return [(found.payer, method, code, id), (found.payee, method, code, id)]

    def tick(self, at: int, shards: int) -> list[Told]:
        return [one for shard in range(shards) for one in self.touch(shard, at)]

    def prepare(
        self,
        at: int,
        sender: str,
        id: str,
        payer: str,
        payee: str,
        currency: str,
        amount: str,
        secret: str,
        expiration: int,
    ) -> list[Told]:
        told = self.touch(self.shard_of(payer), at)
        if sender != payer:
            return [*told, (sender, "PUT error", "3100", id)]
        content = (payer, payee, currency, amount, secret, expiration)
        known = self.transfers.get(id)
        if known is not None:
            if known.content != content:
                return [*told, (sender, "PUT error", "3106", id)]
            if known.state == "RESERVED":
                return told
            method = "PUT" if known.state == "COMMITTED" else "PUT error"
            return [*told, (sender, method, known.code, id)]
        units, fault = self._validate(at, payer, payee, currency, amount, expiration)
        found = ModelTransfer(payer, payee, currency, units, content, secret, expiration, "INVALID", "3100")
        self.transfers[id] = found
        if fault:
            return [*told, (payer, "PUT error", "3100", id)]
        account = self.accounts[payer, currency]
        code = None
        if account.cover - account.position < units:
            code = "4001"
        elif account.ndc - account.position < units:
            code = "4200"
        if code:
            found.state, found.code = "ABORTED", code
            return [*told, (payer, "PUT error", code, id)]
        found.state, found.code = "RESERVED", None
        account.position += units
        assert account.position <= account.cover
        assert account.position <= account.ndc
        return [*told, (payee, "POST", None, id)]

    def _validate(
        self, at: int, payer: str, payee: str, currency: str, amount: str, expiration: int
    ) -> tuple[Decimal, bool]:
        units = Decimal(amount)
        fault = units <= 0 or -int(units.as_tuple().exponent) > 4 or len(amount.replace(".", "").lstrip("0")) > 18
        for dfsp in (payer, payee):
            account = self.accounts.get((dfsp, currency))
            fault = fault or not self.active.get(dfsp, False) or account is None or not account.active
        return units, fault or payer == payee or not at < expiration <= at + self.horizon

    def answer(
        self,
        at: int,
        sender: str,
        receiver: str,
        id: str,
        kind: str,
        secret: str,
        detail: object,
        completed: int | None,
    ) -> list[Told]:
        """A fulfil (kind commit or reserve, `detail` None), a reject, or an abort (`detail` its code)."""
        known = self.transfers.get(id)
        shard = self.shard_of(receiver)
        here = known is not None and self.shard_of(known.payer) == shard
        told = self.touch(shard, at, keep=id if here else None)
        if known is None or not here:
            return [*told, (sender, "PUT error", "2001", id)]
        told += self._answer(at, sender, known, id, kind, secret, detail, completed)
        if known.state == "RESERVED" and known.expiration <= at:
            self._release(id, "3303")
            told += self._both(id, "PUT error", "3303")
        return told

    def _answer(
        self,
        at: int,
        sender: str,
        known: ModelTransfer,
        id: str,
        kind: str,
        secret: str,
        detail: object,
        completed: int | None,
    ) -> list[Told]:
        if sender != known.payee:
            return [(sender, "PUT error", "3100", id)]
        content = (kind, secret, detail, completed)
        if known.answer is not None:
            if known.answer != content:
                return [(sender, "PUT error", "3106", id)]
            if known.state == "COMMITTED":
                return [(sender, "PATCH" if known.patched else "PUT", None, id)]
            return [(sender, "PUT error", known.code, id)]
        if known.state != "RESERVED":
            return [(sender, "PUT error", "3100", id)]
        known.answer = content
        wrong = secret != known.secret or (completed is not None and completed > at + 1000)
        if kind in ("commit", "reserve") and wrong:
            self._release(id, "3100")
            return self._both(id, "PUT error", "3100")
        if known.expiration <= at:
            self._release(id, "3303")
            return self._both(id, "PUT error", "3303")
        if kind in ("reject", "abort"):
            code = "5105" if kind == "reject" else str(detail)
            self._release(id, code)
            return [(known.payer, "PUT error", code, id)]
        known.state, known.patched = "COMMITTED", kind == "reserve"
        self.accounts[known.payee, known.currency].position -= known.amount
        told: list[Told] = [
            (known.payer, "PUT", None, id),
            (known.payee, "PATCH" if known.patched else "PUT", None, id),
        ]
        # The credit is a record on the payee's log, at the same time.
        return told + self.touch(self.shard_of(known.payee), at)

    def funds_in(self, dfsp: str, currency: str, amount: str, id: str) -> None:
        if id not in self.funds:
            self.funds[id] = ["in", dfsp, currency, Decimal(amount)]
            self.accounts[dfsp, currency].cover += Decimal(amount)

    def funds_out(self, dfsp: str, currency: str, amount: str, id: str, action: str) -> None:
        found = self.funds.get(id)
        if action == "reserve":
            account = self.accounts[dfsp, currency]
            if found is None and account.cover >= Decimal(amount):
                account.cover -= Decimal(amount)
                self.funds[id] = ["reserved", dfsp, currency, Decimal(amount)]
        elif found is not None and found[0] == "reserved" and found[1] == dfsp:
            found[0] = action
            if action == "abort":
                self.accounts[dfsp, str(found[2])].cover += Decimal(str(found[3]))
