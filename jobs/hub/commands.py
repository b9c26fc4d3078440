"""Admin commands as records of the log, checked before they are sent by the rules the core applies."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from transforms.transfers import money
from transforms.transfers.accounts import is_participant_id


class BadCommand(ValueError):
    """A command that the core would refuse whatever its state; the message says what to correct."""


def _new_id() -> str:
    return f"hub-{uuid.uuid4()}"


@dataclass(frozen=True)
class Command:
    """One admin command: its name, arguments and an id by which its result is found among the events."""

    name: str
    arguments: dict[str, Any]
    id: str = field(default_factory=_new_id)

    def value(self) -> bytes:
        """The record, as appended to every partition of the log."""
        return json.dumps({"admin": {self.name: self.arguments}, "id": self.id}, separators=(",", ":")).encode()

    def key(self) -> bytes | None:
        """The DFSP it is about."""
        owner = self.arguments.get("id")
        return owner.encode() if isinstance(owner, str) else None

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{name}={_shown(value)}" for name, value in self.arguments.items())])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join("/".join(map(str, account.values())) for account in value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class AccountTerms:
    """A currency, the liquidity paid in, and the net debit cap; decimal strings."""

    currency: str
    cover: str
    ndc: str


def add_participant(id: str, accounts: list[AccountTerms]) -> Command:
    """Create a DFSP with its accounts; one that exists gets the accounts it lacks."""
    if not accounts:
        raise BadCommand("a participant needs at least one account: --currency, --cover, --ndc")
    currencies = [account.currency for account in accounts]
    if len(set(currencies)) != len(currencies):
        raise BadCommand(f"participant {id}: a currency is named twice: {', '.join(currencies)}")
    specs = [
        {
            "currency": currency(account.currency),
            "cover": amount("cover", account.cover, zero=True),
            "ndc": amount("ndc", account.ndc, zero=True),
        }
        for account in accounts
    ]
    return Command("addParticipant", {"id": participant(id), "accounts": specs})


def set_active(id: str, active: bool, in_currency: str | None) -> Command:
    """Switch a DFSP, or one account of it, on or off."""
    arguments: dict[str, Any] = {"id": participant(id)}
    if in_currency is not None:
        arguments["currency"] = currency(in_currency)
    return Command("setActive", {**arguments, "active": active})


def set_ndc(id: str, in_currency: str, ndc: str) -> Command:
    """Set an account's net debit cap."""
    return Command(
        "setNdc", {"id": participant(id), "currency": currency(in_currency), "ndc": amount("ndc", ndc, zero=True)}
    )


def funds_in(id: str, in_currency: str, paid: str, transfer_id: str) -> Command:
    """Raise an account's cover by what was paid in. The same transfer id is applied once."""
    return Command("fundsIn", _funds(id, in_currency, paid, transfer_id))


def funds_out(id: str, in_currency: str, paid: str, transfer_id: str, action: str) -> Command:
    """Take funds out of an account's cover: reserve, then commit or abort under the same transfer id."""
    return Command("fundsOut", {**_funds(id, in_currency, paid, transfer_id), "action": action})


def configure(on_us: bool | None, horizon_s: int | None) -> Command:
    """Change the settings that decisions depend on."""
    settings: dict[str, Any] = {}
    if on_us is not None:
        settings["onUs"] = on_us
    if horizon_s is not None:
        settings["expirationHorizonSeconds"] = horizon_s
    if not settings:
        raise BadCommand("nothing to set: give --on-us or --no-on-us, or --expiration-horizon-s")
    return Command("configure", settings)


def _funds(id: str, in_currency: str, paid: str, transfer_id: str) -> dict[str, Any]:
    if not is_participant_id(transfer_id):
        raise BadCommand(f"transfer id {transfer_id!r} must be 1 to 64 letters, digits, dots, dashes or underscores")
    return {
        "id": participant(id),
        "currency": currency(in_currency),
        "amount": amount("amount", paid, zero=False),
        "transferId": transfer_id,
    }


def participant(id: str) -> str:
    """The id itself. Raises BadCommand if it cannot be one."""
    if not is_participant_id(id):
        raise BadCommand(f"participant id {id!r} must be 1 to 64 letters, digits, dots, dashes or underscores")
    return id


def currency(code: str) -> str:
    """The code itself. Raises BadCommand if it is not three capital letters."""
    if not money.is_currency(code):
        raise BadCommand(f"currency {code!r} is not three capital letters, as in USD")
    return code


def amount(name: str, text: str, *, zero: bool) -> str:
    """The shortest form of a decimal of at most 4 decimals and 18 digits. Raises BadCommand."""
    try:
        return money.text(money.parse(text) if zero else money.parse_positive(text))
    except money.MoneyError as error:
        raise BadCommand(f"{name} {text!r}: {error}") from None
