"""A prepare: who may send it, whether it was seen before, whether it is valid, and the position rule, in this order."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Raw

from transforms.transfers import messages, money
from transforms.transfers import notifications as notify
from transforms.transfers.accounts import Account, Participant, Transfer
from transforms.transfers.crypto import decode_32
from transforms.transfers.duplicates import Finished, pack, unpack
from transforms.transfers.messages import Envelope, Headers, Prepare
from transforms.transfers.notifications import HUB, clip, escape
from transforms.transfers.routing import partition_of

if TYPE_CHECKING:
    from transforms.transfers.shard import TransferShard


class _Invalid(ValueError):
    """What is wrong with a prepare."""


def apply_prepare(shard: TransferShard, record: Envelope, trace: Raw) -> None:
    """Decide the prepare `record`."""
    content = record.content
    assert content is not None
    headers = messages.headers(content.headers, shard.fast)
    source = headers.source
    if not source or len(source) > messages.MAX_NAME:
        shard.dead_letter("no usable fspiop-source header", "send the header with the id of the sender")
        return
    payload = messages.payload(content.payload)
    prepare = messages.prepare(payload, shard.fast)
    id = prepare.transferId
    if id is None or not messages.is_transfer_id(id):
        reason = "transferId must be 1 to 64 letters, digits or dashes" if payload else "payload is no JSON object"
        _refuse(shard, escape(clip(id or messages.transfer_id(record))), source, reason, trace)
        shard.dead_letter(reason, "correct the message and send it again")
        return
    if source != prepare.payerFsp:
        _refuse(shard, id, source, "fspiop-source is not the payer", trace)
        return
    payer = shard.participants.get(source)
    home = payer.partition if payer is not None else partition_of(source, shard.partitions)
    if home != shard.partition:
        shard.dead_letter(
            f"wrong partition: {source} lives in partition {home}",
            "key records by payer, with Kafka's default partitioner",
        )
        return
    key = blake2b(id.encode(), digest_size=16).digest()
    digest = messages.prepare_digest(prepare)
    if _is_duplicate(shard, id, key, digest, source, trace):
        return
    try:
        transfer = _checked(shard, prepare, payer, id, key, digest)
    except _Invalid as fault:
        shard.count("invalid")
        _fail(shard, prepare, key, digest, "INVALID", "3100", str(fault), 0, trace)
        return
    _position_rule(shard, transfer, prepare, headers, content.headers, payload, trace)


def _refuse(shard: TransferShard, id: str, source: str, reason: str, trace: Raw) -> None:
    shard.count("refused")
    shard.tell_error(id, source, "3100", reason, "prepare", trace)


def _is_duplicate(shard: TransferShard, id: str, key: bytes, digest: bytes, source: str, trace: Raw) -> bool:
    """Whether the id is in work or remembered; if so the sender is told what transfers.md says."""
    transfer = shard.pending.get(id)
    if transfer is not None:
        shard.count("duplicates")
        if transfer.content != digest:
            shard.tell_error(id, source, "3106", "modified duplicate of a transfer", "prepare-duplicate", trace)
        return True
    record = shard.finished.find(key)
    if record is None:
        return False
    shard.count("duplicates")
    outcome = unpack(record)
    if outcome.content != digest:
        shard.tell_error(id, source, "3106", "modified duplicate of a transfer", "prepare-duplicate", trace)
    elif outcome.state == "COMMITTED":
        resend_commit(shard, id, source, outcome, "prepare-duplicate", "PUT", trace)
    else:
        shard.tell_error(id, source, outcome.code, outcome.description, "prepare-duplicate", trace)
    return True


def resend_commit(
    shard: TransferShard, id: str, receiver: str, outcome: Finished, action: str, method: str, trace: Raw
) -> None:
    """Tell an FSP once more that the transfer was committed."""
    completed = shard.clock.iso(outcome.completed)
    if method == "PATCH":
        payload = notify.patch_payload(completed)
    else:
        payload = notify.outcome_payload(outcome.fulfilment_text, completed)
    name = escape(receiver)
    headers = notify.hub_headers(name)
    shard.tell(id.encode(), notify.success(id, HUB, name, headers, payload, action, shard.iso, method, trace))


def _checked(
    shard: TransferShard, prepare: Prepare, payer: Participant | None, id: str, key: bytes, digest: bytes
) -> Transfer:
    """The transfer a valid prepare asks for; raises _Invalid with the first fault in the order of transfers.md."""
    amount = prepare.amount
    if amount is None or amount.amount is None or amount.currency is None:
        raise _Invalid("amount or currency is missing")
    try:
        units = money.parse_positive(amount.amount)
    except money.MoneyError as error:
        raise _Invalid(str(error)) from None
    payee = shard.participants.get(prepare.payeeFsp or "")
    if payer is None or payee is None:
        raise _Invalid("payer is no participant" if payer is None else "payee is no participant")
    if not payer.active or not payee.active:
        raise _Invalid("payee is not active" if payer.active else "payer is not active")
    account = _account(payer, "payer", amount.currency)
    _account(payee, "payee", amount.currency)
    if payer is payee and not shard.on_us:
        raise _Invalid("payer and payee are the same")
    condition = decode_32(prepare.condition)
    if condition is None:
        raise _Invalid("condition is not base64url of 32 bytes")
    expiration = shard.clock.parse_ms(prepare.expiration) if prepare.expiration is not None else None
    if expiration is None:
        raise _Invalid("expiration is missing or no ISO 8601 date-time with a zone")
    if expiration <= shard.now:
        raise _Invalid("expiration is not in the future")
    if expiration > shard.now + shard.horizon:
        raise _Invalid("expiration is further ahead than the expiration horizon")
    return Transfer(id, payer.id, payee, account, units, condition, expiration, shard.next_order(), key, digest)


def _account(participant: Participant, role: str, currency: str) -> Account:
    account = participant.accounts.get(currency)
    if account is None:
        raise _Invalid(f"{role} has no account in this currency")
    if not account.active:
        raise _Invalid(f"{role}'s account is not active")
    return account


def _position_rule(
    shard: TransferShard,
    transfer: Transfer,
    prepare: Prepare,
    headers: Headers,
    raw_headers: Raw,
    payload: Raw,
    trace: Raw,
) -> None:
    """Liquidity, then net debit cap; equality passes. What passes is reserved and posted to the payee."""
    account, units = transfer.account, transfer.units
    if account.cover - account.position < units:
        code, reason = "4001", "payer has insufficient liquidity"
    elif account.ndc - account.position < units:
        code, reason = "4200", "payer's net debit cap would be exceeded"
    else:
        _reserve(shard, transfer, prepare, headers, raw_headers, payload, trace)
        return
    shard.count("limit_blocked")
    _fail(shard, prepare, transfer.key, transfer.content, "ABORTED", code, reason, transfer.expiration, trace)


def _reserve(
    shard: TransferShard,
    transfer: Transfer,
    prepare: Prepare,
    headers: Headers,
    raw_headers: Raw,
    payload: Raw,
    trace: Raw,
) -> None:
    shard.count("reserved")
    shard.reserve(transfer)
    id, payer, payee = transfer.id, transfer.payer, transfer.payee.id
    amount = prepare.amount
    assert amount is not None
    extra = (
        f',"payer":"{payer}","payee":"{payee}","amount":"{amount.amount}","currency":"{transfer.currency}",'
        f'"expiration":"{prepare.expiration}"'
    )
    shard.account_event(transfer.account, id, "reserve", transfer.units, "RESERVED", extra)
    route = raw_headers if headers.destination == payee else messages.with_route(raw_headers, payer, payee)
    shard.tell(id.encode(), notify.success(id, payer, payee, route, payload, "prepare", shard.iso, "POST", trace))


def _fail(
    shard: TransferShard,
    prepare: Prepare,
    key: bytes,
    digest: bytes,
    state: str,
    code: str,
    reason: str,
    expiration: int,
    trace: Raw,
) -> None:
    """Record a transfer that never was reserved, as INVALID or ABORTED, and tell the payer."""
    id, payer, payee = prepare.transferId or "", clip(prepare.payerFsp), clip(prepare.payeeFsp)
    amount = prepare.amount
    extra = (
        f',"transferId":"{id}","state":"{state}","code":"{code}","description":"{reason}","payer":"{escape(payer)}",'
        f'"payee":"{escape(payee)}","amount":"{escape(clip(amount.amount if amount else None))}",'
        f'"currency":"{escape(clip(amount.currency if amount else None))}",'
        f'"expiration":"{escape(clip(prepare.expiration))}"'
    )
    shard.journal_event("invalid", extra)
    shard.remember(key, pack(Finished(state, code, reason, payer, payee, digest)), expiration)
    shard.tell_error(id, payer, code, reason, "prepare", trace)
