"""DFSPs and their accounts as one shard knows them."""

from __future__ import annotations

import re

import msgspec

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_participant_id(text: str) -> bool:
    """True for 1 to 64 letters, digits, dots, dashes and underscores: safe in keys, accounts and templates."""
    return _ID.fullmatch(text) is not None


class Chain:
    """One hash chain of events: an account, or the shard's own journal."""

    __slots__ = ("hash", "key", "name", "seq")

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = name.encode()
        self.seq = 0
        self.hash = "0" * 64


class Account(Chain):
    """Balances in units (money.SCALE). Only the shard the DFSP lives in keeps them; elsewhere only `active` counts."""

    __slots__ = ("active", "cover", "currency", "limits", "ndc", "position", "reserved")

    def __init__(self, dfsp: str, currency: str) -> None:
        super().__init__(f"{dfsp}/{currency}")
        self.currency = currency
        self.position = 0
        self.reserved = 0
        self.cover = 0
        self.ndc = 0
        self.active = True
        self.limits = ""


class Participant:
    """A DFSP; `partition` is the shard it lives in."""

    __slots__ = ("accounts", "active", "id", "partition")

    def __init__(self, id: str, partition: int) -> None:
        self.id = id
        self.partition = partition
        self.active = True
        self.accounts: dict[str, Account] = {}


class Transfer(msgspec.Struct, gc=False):
    """A RESERVED transfer. `key` and `content` are digests of its id and of its prepare; times are log ms."""

    id: str
    payer: str
    payee: Participant
    account: Account
    units: int
    condition: bytes
    expiration: int
    order: int
    key: bytes
    content: bytes

    @property
    def currency(self) -> str:
        """Currency of the account and the amount."""
        return self.account.currency
