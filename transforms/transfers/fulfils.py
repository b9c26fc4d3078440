"""The payee's answer to a transfer: fulfil (commit, reserve), reject or error; checked in the order of transfers.md."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from transforms.transfers import messages
from transforms.transfers import notifications as notify
from transforms.transfers.accounts import Transfer
from transforms.transfers.crypto import condition_of, decode_32
from transforms.transfers.duplicates import Finished, pack_commit, unpack
from transforms.transfers.messages import Envelope, Fulfil, Headers
from transforms.transfers.notifications import HUB, clip, escape
from transforms.transfers.prepares import resend_commit

if TYPE_CHECKING:
    from transforms.transfers.shard import TransferShard

COMPLETED_AHEAD_MS = 1000
"""How far completedTimestamp may lie ahead of the log: clocks differ."""

_CODE = re.compile(r"[0-9]{4}")


class _Run(msgspec.Struct, gc=False):
    """One answer on its way through the checks."""

    shard: TransferShard
    id: str
    source: str
    action: str
    trace: Raw

    def refuse(self, code: str, reason: str) -> None:
        """Tell the sender; the transfer stays as it is and the answer is not remembered."""
        self.shard.count("refused")
        self.shard.tell_error(self.id, self.source, code, reason, self.action, self.trace)

    def abort(self, transfer: Transfer, code: str, reason: str, digest: bytes) -> None:
        """An answer that fails the transfer: released, payer and sender are told."""
        self.shard.count("aborted")
        self.shard.release(transfer, code, reason, digest)
        for receiver in (transfer.payer, self.source):
            self.shard.tell_error(self.id, receiver, code, reason, self.action, self.trace)


def apply_fulfil(shard: TransferShard, record: Envelope, action: str | None, trace: Raw) -> None:
    """Decide a message of type fulfil; `action` is commit, reserve, reject or abort."""
    content = record.content
    assert content is not None
    headers = messages.headers(content.headers, shard.fast)
    source = headers.source
    if not source or len(source) > messages.MAX_NAME:
        shard.dead_letter("no usable fspiop-source header", "send the header with the id of the sender")
        return
    id = messages.transfer_id(record)
    if id is None or not messages.is_transfer_id(id):
        _Run(shard, escape(clip(id)), source, "fulfil", trace).refuse("3100", "transfer id is missing or malformed")
        shard.dead_letter("fulfil without a usable transfer id", "send it in content.uriParams.id")
        return
    known_action = action if action in ("commit", "reserve", "reject", "abort") else "fulfil"
    run = _Run(shard, id, source, known_action, trace)
    transfer = shard.pending.get(id)
    outcome = None
    if transfer is None:
        remembered = shard.finished.find(blake2b(id.encode(), digest_size=16).digest())
        if remembered is None:
            run.refuse("2001", "unknown transfer")
            return
        outcome = unpack(remembered)
    payee = transfer.payee.id if transfer is not None else outcome.payee if outcome is not None else ""
    if source != payee:
        run.refuse("3100", "sender is not the payee of this transfer")
        return
    payload = messages.payload(content.payload)
    fulfil = messages.fulfil(payload, shard.fast)
    kind = _kind(known_action, fulfil.transferState)
    digest = messages.fulfil_digest(kind, fulfil)
    if outcome is not None and outcome.answer is not None:
        _duplicate(run, outcome, digest)
        return
    _decide(run, transfer, outcome, fulfil, kind, digest, headers, content.headers, payload)


def _kind(action: str, state: str | None) -> str:
    """What the payee wants: abort, reject, commit, reserve, or empty for what cannot be meant at this address."""
    if action == "abort":
        return "abort"
    if state == "REJECTED" or (action == "reject" and state is None):
        return "reject"
    if action in ("commit", "reserve") and state in (None, "COMMITTED", "RESERVED"):
        return "reserve" if action == "reserve" or state == "RESERVED" else "commit"
    return ""


def _duplicate(run: _Run, outcome: Finished, digest: bytes) -> None:
    run.shard.count("duplicates")
    if outcome.answer != digest:
        run.shard.tell_error(run.id, run.source, "3106", "modified duplicate fulfil", "fulfil-duplicate", run.trace)
    elif outcome.state == "COMMITTED":
        method = "PATCH" if outcome.patched else "PUT"
        resend_commit(run.shard, run.id, run.source, outcome, "fulfil-duplicate", method, run.trace)
    else:
        run.shard.tell_error(run.id, run.source, outcome.code, outcome.description, "fulfil-duplicate", run.trace)


def _decide(
    run: _Run,
    transfer: Transfer | None,
    outcome: Finished | None,
    fulfil: Fulfil,
    kind: str,
    digest: bytes,
    headers: Headers,
    raw_headers: Raw,
    payload: Raw,
) -> None:
    """Everything after the duplicate check."""
    if kind == "":
        run.refuse("3100", "transferState or action does not belong to a fulfil; send errors to /transfers/{id}/error")
        return
    code, reason = ("5105", "payee rejected the transfer") if kind == "reject" else ("", "")
    if kind == "abort":
        code, reason = _error_of(fulfil)
        if not code:
            run.refuse("3100", "errorInformation.errorCode must have 4 digits")
            return
    if transfer is None:
        run.refuse("3100", f"transfer is {outcome.state if outcome is not None else 'unknown'} already")
        return
    fulfilment = b""
    if kind in ("commit", "reserve"):
        fulfilment = decode_32(fulfil.fulfilment) or b""
        if not fulfilment or condition_of(fulfilment) != transfer.condition:
            run.abort(transfer, "3100", "fulfilment does not meet the condition", digest)
            return
        if not _is_completed(run, fulfil.completedTimestamp):
            run.abort(transfer, "3100", "completedTimestamp is no ISO 8601 date-time or in the future", digest)
            return
    if transfer.expiration <= run.shard.now:
        run.abort(transfer, "3303", "transfer expired", digest)
    elif code:
        run.shard.count("aborted")
        run.shard.release(transfer, code, reason, digest)
        run.shard.tell_error(run.id, transfer.payer, code, reason, run.action, run.trace)
    else:
        _commit(run, transfer, fulfil, fulfilment, kind, digest, headers, raw_headers, payload)


def _error_of(fulfil: Fulfil) -> tuple[str, str]:
    """Code and description a payee gives; an empty code if it gives none that can be used."""
    error = fulfil.errorInformation
    if error is None or error.errorCode is None or not _CODE.fullmatch(error.errorCode) or error.errorCode == "0000":
        return "", ""
    description = error.errorDescription
    if description is None or description.startswith(messages.WRONG_TYPE):
        description = "payee aborted the transfer"
    return error.errorCode, clip(description)


def _is_completed(run: _Run, text: str | None) -> bool:
    if text is None:
        return True
    completed = run.shard.clock.parse_ms(text)
    return completed is not None and completed <= run.shard.now + COMPLETED_AHEAD_MS


def _commit(
    run: _Run,
    transfer: Transfer,
    fulfil: Fulfil,
    fulfilment: bytes,
    kind: str,
    digest: bytes,
    headers: Headers,
    raw_headers: Raw,
    payload: Raw,
) -> None:
    """The reservation becomes final, both FSPs are told, and the payee's shard gets the credit."""
    shard, id, payer, payee = run.shard, run.id, transfer.payer, run.source
    shard.count("committed")
    account, units = transfer.account, transfer.units
    completed = fulfil.completedTimestamp or shard.iso
    account.reserved -= units
    extra = f',"fulfilment":"{fulfil.fulfilment}","completedTimestamp":"{completed}"'
    shard.account_event(account, id, "commit", 0, "COMMITTED", extra)
    completed_ms = shard.clock.parse_ms(completed) or 0
    patched = kind == "reserve"
    shard.finish(
        transfer, pack_commit(payer, payee, transfer.content, digest, fulfilment, max(completed_ms, 0), patched)
    )
    if fulfil.transferState == "COMMITTED" and fulfil.completedTimestamp is not None:
        told: notify.Bytes = payload
    else:
        told = notify.outcome_payload(fulfil.fulfilment or "", completed)
    route = raw_headers if headers.destination == payer else messages.with_route(raw_headers, payee, payer)
    key = id.encode()
    shard.tell(key, notify.success(id, payee, payer, route, told, kind, shard.iso, "PUT", run.trace))
    method, own = ("PATCH", notify.patch_payload(completed)) if patched else ("PUT", told)
    hub = notify.hub_headers(payee)
    shard.tell(key, notify.success(id, HUB, payee, hub, own, kind, shard.iso, method, run.trace))
    destination = transfer.payee.partition
    credit = (
        f'{{"credit":{{"origin":{shard.partition},"seq":{shard.credits.next(destination)},"id":"{id}",'
        f'"payee":"{payee}","currency":"{transfer.currency}","units":"{units}"}}}}'
    )
    shard.out.append((shard.log_topic, destination, payee.encode(), credit.encode()))
