"""The main cell of a shard: everything but the sealed slices of finished transfers, which it lists with their CRCs.

Layout: magic `FLTS`, version u16, then MessagePack. Amounts are decimal text of units, as MessagePack ends at 64 bits.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from transforms.core import SnapshotError
from transforms.transfers.accounts import Account, Participant, Transfer
from transforms.transfers.admin import Funds
from transforms.transfers.events import limits_text

if TYPE_CHECKING:
    from transforms.transfers.shard import TransferShard

_MAGIC = b"FLTS"
_VERSION = 1
_HEAD = struct.Struct(">4sH")


class _Account(msgspec.Struct, array_like=True):
    currency: str
    active: bool
    position: str
    reserved: str
    cover: str
    ndc: str
    seq: int
    hash: str


class _Participant(msgspec.Struct, array_like=True):
    id: str
    partition: int
    active: bool
    accounts: list[_Account]


class _Transfer(msgspec.Struct, array_like=True):
    id: str
    payer: str
    payee: str
    currency: str
    units: str
    condition: bytes
    expiration: int
    order: int
    content: bytes


class _Main(msgspec.Struct):
    partition: int
    partitions: int
    now: int
    on_us: bool
    horizon: int
    order: int
    journal_seq: int
    journal_hash: str
    participants: list[_Participant]
    funds: dict[str, Funds]
    pending: list[_Transfer]
    sent: list[int]
    last: list[int]
    gaps: list[list[tuple[int, int]]]
    slots: dict[int, int]
    open: list[tuple[bytes, bytes]]
    open_end: int
    open_expiration: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Main).decode


def encode(shard: TransferShard) -> bytes:
    """The payload of the shard's main cell."""
    memory, credits = shard.finished, shard.credits
    main = _Main(
        partition=shard.partition,
        partitions=shard.partitions,
        now=shard.now,
        on_us=shard.on_us,
        horizon=shard.horizon,
        order=shard.order,
        journal_seq=shard.journal.seq,
        journal_hash=shard.journal.hash,
        participants=[_pack_participant(participant) for participant in shard.participants.values()],
        funds=shard.funds,
        pending=[
            _Transfer(
                found.id, found.payer, found.payee.id, found.currency, str(found.units), found.condition,
                found.expiration, found.order, found.content,
            )
            for found in shard.pending.values()
        ],
        sent=credits.sent,
        last=credits.last,
        gaps=credits.gaps,
        slots=memory.checks,
        open=list(memory.open.items()),
        open_end=memory.open_end,
        open_expiration=memory.open_expiration,
    )  # fmt: skip
    return _HEAD.pack(_MAGIC, _VERSION) + _encode(main)


def decode(shard: TransferShard, cells: dict[int, bytes]) -> None:
    """Fill an empty shard from its cells. Raises SnapshotError."""
    payload = cells.get(0, b"")
    if len(payload) < _HEAD.size or payload[:4] != _MAGIC:
        raise SnapshotError("cell 0: not the main cell of a transfer shard; restore another savepoint")
    version = _HEAD.unpack_from(payload)[1]
    if version != _VERSION:
        raise SnapshotError(
            f"cell 0: format version {version}, this program reads {_VERSION}; restore with the release that wrote it"
        )
    try:
        main = _decode(payload[_HEAD.size :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"cell 0: damaged ({error}); restore another savepoint") from None
    if (main.partition, main.partitions) != (shard.partition, shard.partitions):
        raise SnapshotError(
            f"cell 0: of shard {main.partition} of {main.partitions}, not {shard.partition} of {shard.partitions}; "
            "the number of partitions of the log is fixed"
        )
    try:
        _fill(shard, main, cells)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(
            f"cell 0: damaged, its parts do not fit together ({error!r}); restore another savepoint"
        ) from error


def _fill(shard: TransferShard, main: _Main, cells: dict[int, bytes]) -> None:
    if {len(main.sent), len(main.last), len(main.gaps)} != {shard.partitions}:
        raise SnapshotError("cell 0: credits of another number of shards; restore another savepoint")
    shard.now, shard.on_us, shard.horizon, shard.order = main.now, main.on_us, main.horizon, main.order
    shard.journal.seq, shard.journal.hash = main.journal_seq, main.journal_hash
    shard.participants = {packed.id: _unpack_participant(packed) for packed in main.participants}
    shard.funds = main.funds
    shard.credits.sent, shard.credits.last, shard.credits.gaps = main.sent, main.last, main.gaps
    _load_memory(shard, main, cells)
    _load_pending(shard, main.pending)


def _load_memory(shard: TransferShard, main: _Main, cells: dict[int, bytes]) -> None:
    memory = shard.finished
    memory.open = dict(main.open)
    memory.open_end, memory.open_expiration = main.open_end, main.open_expiration
    memory.open_size = sum(len(digest) + len(record) for digest, record in main.open)
    memory.load(main.slots, cells)


def _load_pending(shard: TransferShard, pending: list[_Transfer]) -> None:
    for packed in pending:
        transfer = Transfer(
            packed.id,
            packed.payer,
            shard.participants[packed.payee],
            shard.participants[packed.payer].accounts[packed.currency],
            int(packed.units),
            packed.condition,
            packed.expiration,
            packed.order,
            blake2b(packed.id.encode(), digest_size=16).digest(),
            packed.content,
        )
        shard.pending[transfer.id] = transfer
    # Sorted, so it is a heap.
    shard.due = sorted((found.expiration, found.order, found.id) for found in shard.pending.values())
    shard.wake = min(shard.due[0][0] if shard.due else shard.finished.wake, shard.finished.wake)


def _pack_participant(participant: Participant) -> _Participant:
    accounts = [
        _Account(
            account.currency, account.active, str(account.position), str(account.reserved), str(account.cover),
            str(account.ndc), account.seq, account.hash,
        )
        for account in participant.accounts.values()
    ]  # fmt: skip
    return _Participant(participant.id, participant.partition, participant.active, accounts)


def _unpack_participant(packed: _Participant) -> Participant:
    participant = Participant(packed.id, packed.partition)
    participant.active = packed.active
    for found in packed.accounts:
        account = Account(packed.id, found.currency)
        account.active = found.active
        account.position, account.reserved = int(found.position), int(found.reserved)
        account.cover, account.ndc = int(found.cover), int(found.ndc)
        account.seq, account.hash = found.seq, found.hash
        account.limits = limits_text(account)
        participant.accounts[found.currency] = account
    return participant
