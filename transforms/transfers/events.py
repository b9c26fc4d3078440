"""Records of transfer-events: every change of an account, and what concerns no account, each a link of a hash chain.

hash = sha256(prevHash as its 64 hex digits, then the record up to and without `,"hash":"..."}`), in hex; the first
prevHash is 64 zeros. `change` is the change of the position, so an account's changes sum up to its position.
"""

from __future__ import annotations

from hashlib import sha256

from transforms.transfers import money
from transforms.transfers.accounts import Account, Chain

_text = money.text
_MARK = b',"hash":"'
_TAIL = len(_MARK) + 64 + 2


def account_event(
    account: Account, id: str, kind: str, change: int, state: str, at: int, offset: int, extra: str
) -> bytes:
    """The next link of the account's chain, with the balances it has now.

    `id` is escaped; `extra` is JSON members that start with a comma, or empty.
    """
    account.seq = seq = account.seq + 1
    previous = account.hash
    linked = (
        f'{previous}{{"account":"{account.name}","seq":{seq},"transferId":"{id}","kind":"{kind}",'
        f'"change":"{_text(change)}","position":"{_text(account.position)}","reserved":"{_text(account.reserved)}",'
        f'{account.limits},"state":"{state}","at":{at},"offset":{offset}{extra},"prevHash":"{previous}"'
    ).encode()
    account.hash = digest = sha256(linked).hexdigest()
    return linked[64:] + f',"hash":"{digest}"}}'.encode()


def limits_text(account: Account) -> str:
    """The members cover and ndc; they change seldom, so the account keeps them as text."""
    return f'"cover":"{money.text(account.cover)}","ndc":"{money.text(account.ndc)}"'


def journal_event(journal: Chain, kind: str, at: int, offset: int, extra: str) -> bytes:
    """The next link of the shard's own journal; `extra` as in `account_event`."""
    journal.seq += 1
    previous = journal.hash
    linked = (
        f'{previous}{{"account":"{journal.name}","seq":{journal.seq},"kind":"{kind}","at":{at},"offset":{offset}{extra},'
        f'"prevHash":"{previous}"'
    ).encode()
    journal.hash = digest = sha256(linked).hexdigest()
    return linked[64:] + f',"hash":"{digest}"}}'.encode()


def link_hash(value: bytes, previous: str) -> str | None:
    """The hash the record must carry if it follows `previous`; None if it has no hash member at its end."""
    if not value.startswith(_MARK, len(value) - _TAIL) or not value.endswith(b'"}'):
        return None
    return sha256(previous.encode() + value[:-_TAIL]).hexdigest()
