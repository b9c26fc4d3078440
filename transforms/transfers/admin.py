"""Admin commands: participants, accounts, limits, funds and settings, applied by every shard at its place in the log.

A command is appended to every partition. Every shard learns who exists and who is active; only the shard a DFSP lives
in keeps its amounts and answers with an event that carries the command's id and its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from transforms.transfers import money
from transforms.transfers.accounts import Account, Participant, is_participant_id
from transforms.transfers.events import limits_text
from transforms.transfers.notifications import clip, escape
from transforms.transfers.routing import partition_of

if TYPE_CHECKING:
    from transforms.transfers.shard import TransferShard

MAX_HORIZON_SECONDS = 7 * 86_400
MAX_ACCOUNTS = 200
"""Accounts of one DFSP: there are fewer currencies."""


class Refused(ValueError):
    """A command that is not carried out; the message is its result."""


class AccountSpec(msgspec.Struct):
    currency: str
    cover: str = "0"
    ndc: str = "0"


class Command(msgspec.Struct):
    """Arguments of any command; each takes those it needs."""

    id: str | None = None
    accounts: list[AccountSpec] | None = None
    currency: str | None = None
    cover: str = "0"
    ndc: str | None = None
    amount: str | None = None
    transferId: str | None = None
    action: str | None = None
    active: bool | None = None
    onUs: bool | None = None
    expirationHorizonSeconds: int | None = None


class _Record(msgspec.Struct):
    admin: dict[str, Raw]
    id: str | None = None


class _Owner(msgspec.Struct):
    id: str | None = None


class Funds(msgspec.Struct, array_like=True):
    """A movement of funds that was carried out; `state` is done (in), reserved, committed or aborted (out)."""

    account: str
    units: str
    state: str


_record = msgspec.json.Decoder(_Record).decode
_command = msgspec.json.Decoder(Command).decode
_owner = msgspec.json.Decoder(_Owner).decode


def apply_admin(shard: TransferShard, value: bytes) -> bool:
    """Carry out the command of an admin record and append its events; False if the record is none."""
    try:
        record = _record(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    if len(record.admin) != 1:
        return False
    ((name, raw),) = record.admin.items()
    command_id = escape(clip(record.id))
    run = _Run(shard, f',"commandId":"{command_id}"')
    try:
        run.execute(name, raw)
    except Refused as refused:
        run.refuse(clip(name), raw, str(refused))
    return True


class _Run:
    """One command on one shard. Each method checks everything before it changes anything."""

    def __init__(self, shard: TransferShard, command: str) -> None:
        self.shard = shard
        self.command = command
        self.ok = command + ',"result":"ok"'

    def execute(self, name: str, raw: Raw) -> None:
        method = _COMMANDS.get(name)
        if method is None:
            raise Refused(f"unknown command {clip(name, 40)!r}; known are {', '.join(_COMMANDS)}")
        try:
            command = _command(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refused(f"{name}: {str(error)[:200]}") from None
        method(self, command)

    def refuse(self, name: str, raw: Raw, reason: str) -> None:
        """Tell the reason once: on the shard of the DFSP that is named, on shard 0 if none is."""
        try:
            owner = _owner(raw).id
        except (msgspec.DecodeError, RecursionError):
            owner = None
        home = partition_of(owner, self.shard.partitions) if owner is not None else 0
        if home == self.shard.partition:
            result = f',"result":"{escape(reason)}","action":"{escape(name)}"'
            participant = f',"participant":"{escape(clip(owner))}"' if owner is not None else ""
            self._journal("refused", self.command + result + participant)

    def add_participant(self, command: Command) -> None:
        id = command.id
        if id is None or not is_participant_id(id):
            raise Refused("id of a participant must be 1 to 64 letters, digits, dots, dashes or underscores")
        known = self.shard.participants.get(id)
        specs = command.accounts or []
        existing = known.accounts if known is not None else {}
        new = [spec for spec in specs if spec.currency not in existing]
        if known is not None and not new:
            raise Refused(f"participant {id} exists already")
        amounts = [self._checked_spec(spec) for spec in new]
        if len({spec.currency for spec in new}) != len(new):
            raise Refused(f"participant {id}: a currency is named twice")
        if len(existing) + len(new) > MAX_ACCOUNTS:
            raise Refused(f"participant {id}: more than {MAX_ACCOUNTS} accounts")
        if known is None:
            known = Participant(id, partition_of(id, self.shard.partitions))
            self.shard.participants[id] = known
            if known.partition == self.shard.partition:
                self._journal("participant", f'{self.ok},"participant":"{id}","active":true')
        for spec, (cover, ndc) in zip(new, amounts, strict=True):
            self._open_account(known, spec.currency, cover, ndc)

    def add_account(self, command: Command) -> None:
        participant = self._participant(command)
        if command.currency is None or command.currency in participant.accounts:
            raise Refused(f"account {participant.id}/{command.currency} exists already or has no currency")
        if len(participant.accounts) >= MAX_ACCOUNTS:
            raise Refused(f"participant {participant.id}: more than {MAX_ACCOUNTS} accounts")
        cover, ndc = self._checked_spec(AccountSpec(command.currency, command.cover, command.ndc or "0"))
        self._open_account(participant, command.currency, cover, ndc)

    def set_ndc(self, command: Command) -> None:
        account = self._account(command)
        ndc = self._units(command.ndc, "ndc")
        if self._is_home(command):
            account.ndc = ndc
            account.limits = limits_text(account)
            self._event(account, "ndc", "")

    def set_active(self, command: Command) -> None:
        participant = self._participant(command)
        active = command.active
        if active is None:
            raise Refused("active must be true or false")
        extra = f',"active":{"true" if active else "false"}'
        if command.currency is None:
            participant.active = active
            if self._is_home(command):
                self._journal("active", f'{self.ok},"participant":"{participant.id}"{extra}')
            return
        account = self._account(command)
        account.active = active
        if self._is_home(command):
            self._event(account, "active", "", extra)

    def funds_in(self, command: Command) -> None:
        account = self._account(command)
        id, units = self._funds_id(command), self._units(command.amount, "amount", positive=True)
        if not self._is_home(command):
            return
        done = Funds(account.name, str(units), "done")
        known = self.shard.funds.get(id)
        if known is not None:
            raise Refused("already applied" if known == done else f"funds transfer {id} exists with other content")
        if account.cover + units > money.MAX_BALANCE:
            raise Refused("cover would become larger than can be kept")
        self.shard.funds[id] = done
        account.cover += units
        account.limits = limits_text(account)
        self._event(account, "fundsIn", id, f',"amount":"{money.text(units)}"')

    def funds_out(self, command: Command) -> None:
        if command.action not in ("reserve", "commit", "abort"):
            raise Refused("action of fundsOut must be reserve, commit or abort")
        id = self._funds_id(command)
        if command.action == "reserve":
            self._funds_out_reserve(command, id)
            return
        self._participant(command)
        if not self._is_home(command):
            return
        found = self.shard.funds.get(id)
        if found is None or found.state == "done" or found.account.partition("/")[0] != command.id:
            raise Refused(f"no funds out of {command.id} with transferId {id}")
        self._check_same(command, found)
        wanted = "committed" if command.action == "commit" else "aborted"
        if found.state != "reserved":
            raise Refused("already applied" if found.state == wanted else f"funds out {id} is {found.state} already")
        participant = self.shard.participants[found.account.partition("/")[0]]
        account = participant.accounts[found.account.partition("/")[2]]
        units = int(found.units)
        self.shard.funds[id] = Funds(found.account, found.units, wanted)
        if wanted == "aborted":
            account.cover += units
            account.limits = limits_text(account)
        kind = "fundsOutCommit" if wanted == "committed" else "fundsOutAbort"
        self._event(account, kind, id, f',"amount":"{money.text(units)}"')

    def _check_same(self, command: Command, found: Funds) -> None:
        """A commit or abort need not say currency and amount again; what it says must be what was reserved."""
        currency, units = found.account.partition("/")[2], int(found.units)
        told = currency if command.currency is None else command.currency
        paid = units if command.amount is None else self._units(command.amount, "amount", positive=True)
        if (told, paid) != (currency, units):
            raise Refused(f"funds out {command.transferId} is of {money.text(units)} {currency}")

    def _funds_out_reserve(self, command: Command, id: str) -> None:
        account = self._account(command)
        units = self._units(command.amount, "amount", positive=True)
        if not self._is_home(command):
            return
        known = self.shard.funds.get(id)
        if known is not None:
            same = known.account == account.name and known.units == str(units) and known.state != "done"
            raise Refused("already applied" if same else f"funds transfer {id} exists with other content")
        if account.cover < units:
            raise Refused(f"cover of {account.name} is {money.text(account.cover)}: less than {money.text(units)}")
        self.shard.funds[id] = Funds(account.name, str(units), "reserved")
        account.cover -= units
        account.limits = limits_text(account)
        self._event(account, "fundsOutReserve", id, f',"amount":"{money.text(units)}"')

    def configure(self, command: Command) -> None:
        horizon = command.expirationHorizonSeconds
        if horizon is not None and not 1 <= horizon <= MAX_HORIZON_SECONDS:
            raise Refused(f"expirationHorizonSeconds must be 1 to {MAX_HORIZON_SECONDS}")
        if horizon is not None:
            self.shard.horizon = horizon * 1000
        if command.onUs is not None:
            self.shard.on_us = command.onUs
        if self.shard.partition == 0:
            settings = f',"onUs":{"true" if self.shard.on_us else "false"}'
            self._journal("configure", f'{self.ok}{settings},"expirationHorizonSeconds":{self.shard.horizon // 1000}')

    def _participant(self, command: Command) -> Participant:
        participant = self.shard.participants.get(command.id) if command.id is not None else None
        if participant is None:
            raise Refused(f"unknown participant {clip(command.id)!r}")
        return participant

    def _account(self, command: Command) -> Account:
        participant = self._participant(command)
        account = participant.accounts.get(command.currency) if command.currency is not None else None
        if account is None:
            raise Refused(f"participant {participant.id} has no account in {clip(command.currency, 20)!r}")
        return account

    def _is_home(self, command: Command) -> bool:
        return self._participant(command).partition == self.shard.partition

    def _checked_spec(self, spec: AccountSpec) -> tuple[int, int]:
        if not money.is_currency(spec.currency):
            raise Refused(f"currency {clip(spec.currency, 20)!r} is not three capital letters")
        return self._units(spec.cover, "cover"), self._units(spec.ndc, "ndc")

    @staticmethod
    def _units(text: str | None, name: str, positive: bool = False) -> int:
        try:
            return (money.parse_positive if positive else money.parse)(text or "")
        except money.MoneyError as error:
            raise Refused(f"{name} {clip(text, 40)!r}: {error}") from None

    @staticmethod
    def _funds_id(command: Command) -> str:
        if command.transferId is None or not is_participant_id(command.transferId):
            raise Refused("transferId must be 1 to 64 letters, digits, dots, dashes or underscores")
        return command.transferId

    def _open_account(self, participant: Participant, currency: str, cover: int, ndc: int) -> None:
        account = Account(participant.id, currency)
        participant.accounts[currency] = account
        if participant.partition == self.shard.partition:
            account.cover, account.ndc = cover, ndc
            account.limits = limits_text(account)
            self._event(account, "participant", "", f',"active":true,"participant":"{participant.id}"')

    def _event(self, account: Account, kind: str, id: str, extra: str = "") -> None:
        self.shard.account_event(account, id, kind, 0, "", self.ok + extra)

    def _journal(self, kind: str, extra: str) -> None:
        self.shard.journal_event(kind, extra)


_COMMANDS = {
    "addParticipant": _Run.add_participant,
    "addAccount": _Run.add_account,
    "setNdc": _Run.set_ndc,
    "setActive": _Run.set_active,
    "fundsIn": _Run.funds_in,
    "fundsOut": _Run.funds_out,
    "configure": _Run.configure,
}
