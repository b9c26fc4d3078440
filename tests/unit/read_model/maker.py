"""Events as the transfer job writes them, made without it: accounts with positions, sequence and hash chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256

from transforms.read_model.projection import Record

START_MS = 1_780_000_000_000


@dataclass
class Maker:
    """Makes the records of one partition. Offsets leave a gap after every tenth record, as transaction markers do."""

    partition: int = 0
    next_offset: int = 0
    now: int = START_MS
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    reserved: dict[str, Decimal] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def event(self, account: str, kind: str, **members: object) -> Record:
        """One record, chained to the account's last."""
        seq, previous = self.heads.get(account, (0, "0" * 64))
        body = {"account": account, "seq": seq + 1, "kind": kind, **members, "at": self.now, "offset": self.next_offset}
        text = json.dumps(body | {"prevHash": previous}, separators=(",", ":"), ensure_ascii=False).encode()
        digest = sha256(previous.encode() + text[:-1]).hexdigest()
        self.heads[account] = (seq + 1, digest)
        return self.raw(text[:-1] + f',"hash":"{digest}"}}'.encode(), account.encode())

    def raw(self, value: bytes, key: bytes | None = None) -> Record:
        """Any record."""
        record = (self.next_offset, key, value)
        self.records.append(record)
        self.next_offset += 2 if len(self.records) % 10 == 0 else 1
        self.now += 1
        return record

    def change(self, account: str, kind: str, change: str, reserved: str = "0", **members: object) -> Record:
        """A change of an account's position."""
        position = self.positions[account] = self.positions.get(account, Decimal(0)) + Decimal(change)
        held = self.reserved[account] = self.reserved.get(account, Decimal(0)) + Decimal(reserved)
        money = {"change": change, "position": str(position), "reserved": str(held), "cover": "1000", "ndc": "500"}
        return self.event(account, kind, **money, **members)

    def reserve(self, transfer: str, payer: str, payee: str, amount: str = "10", currency: str = "USD") -> Record:
        """The payer's reservation."""
        return self.change(
            f"{payer}/{currency}", "reserve", amount, amount, transferId=transfer, state="RESERVED", payer=payer,
            payee=payee, amount=amount, currency=currency, expiration="2026-11-21T23:00:30.000Z",
        )  # fmt: skip

    def commit(self, transfer: str, payer: str, amount: str = "10", currency: str = "USD") -> Record:
        """The reservation becomes final."""
        return self.change(f"{payer}/{currency}", "commit", "0", f"-{amount}", transferId=transfer, state="COMMITTED")

    def credit(self, transfer: str, payee: str, amount: str = "10", currency: str = "USD") -> Record:
        """The payee's side of a committed transfer."""
        return self.change(f"{payee}/{currency}", "credit", f"-{amount}", transferId=transfer, state="COMMITTED")

    def release(self, transfer: str, payer: str, amount: str = "10", code: str = "3303") -> Record:
        """The reservation is given back."""
        return self.change(
            f"{payer}/USD", "release", f"-{amount}", f"-{amount}", transferId=transfer, state="ABORTED", code=code,
            description="Transfer expired",
        )  # fmt: skip


def traffic(maker: Maker, transfers: int, fsps: int = 8, name: str = "t") -> Iterator[Record]:
    """Complete transfers between DFSPs that all live in this one partition, interleaved in threes."""
    for number in range(0, transfers, 3):
        group = range(number, min(number + 3, transfers))
        for i in group:
            yield maker.reserve(f"{name}-{i:032d}", f"dfsp{i % fsps}", f"dfsp{(i + 1) % fsps}")
        for i in group:
            yield maker.commit(f"{name}-{i:032d}", f"dfsp{i % fsps}")
            yield maker.credit(f"{name}-{i:032d}", f"dfsp{(i + 1) % fsps}")
