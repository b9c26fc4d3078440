"""Records of transfer-events: every change of an account, and what concerns no account, each a link of a hash chain.

hash = sha256(prevHash as its 64 hex digits, then the record up to and without `,"hash":"..."}`), in hex; the first
prevHash is 64 zeros. `change` is the change of the position, so an account's changes sum up to its position.
"""

from __future__ import annotations

from hashlib import sha256

from transforms.transfers import money
from transforms.transfers.accounts import Account, Chain

_MARK = b',"hash":"'
_TAIL = len(_MARK) + 64 + 2


def account_event(
    account: Account, id: str, kind: str, change: int, state: str, at: int, offset: int, extra: str
) -> bytes:
    """The next link of the account's chain, with the balances it has now.

    `id` is escaped; `extra` is JSON members that start with a comma, or empty.
    """
    position, reserved = account.position, account.reserved
    whole, rest = divmod(position, 10_000)
    position_text = str(whole) if rest == 0 else money.text(position)
    whole, rest = divmod(reserved, 10_000)
    reserved_text = str(whole) if rest == 0 else money.text(reserved)
    whole, rest = divmod(change, 10_000)
    change_text = str(whole) if rest == 0 else money.text(change)
    account.seq += 1
    previous = account.hash
    body = (
        f'{{"account":"{account.name}","seq":{account.seq},"transferId":"{id}","kind":"{kind}","change":"{change_text}",'
        f'"position":"{position_text}","reserved":"{reserved_text}",{account.limits},"state":"{state}",'
        f'"at":{at},"offset":{offset}{extra},"prevHash":"{previous}"'
    )
    account.hash = digest = sha256((previous + body).encode()).hexdigest()
    return f'{body},"hash":"{digest}"}}'.encode()


def limits_text(account: Account) -> str:
    """The members cover and ndc; they change seldom, so the account keeps them as text."""
    return f'"cover":"{money.text(account.cover)}","ndc":"{money.text(account.ndc)}"'


def journal_event(journal: Chain, kind: str, at: int, offset: int, extra: str) -> bytes:
    """The next link of the shard's own journal; `extra` as in `account_event`."""
    journal.seq += 1
    previous = journal.hash
    body = (
        f'{{"account":"{journal.name}","seq":{journal.seq},"kind":"{kind}","at":{at},"offset":{offset}{extra},'
        f'"prevHash":"{previous}"'
    )
    journal.hash = digest = sha256((previous + body).encode()).hexdigest()
    return f'{body},"hash":"{digest}"}}'.encode()


def link_hash(value: bytes, previous: str) -> str | None:
    """The hash the record must carry if it follows `previous`; None if it has no hash member at its end."""
    if not value.startswith(_MARK, len(value) - _TAIL) or not value.endswith(b'"}'):
        return None
    return sha256(previous.encode() + value[:-_TAIL]).hexdigest()
