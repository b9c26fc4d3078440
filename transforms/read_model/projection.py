"""Events of one partition turned into rows for Postgres: pure, one pass, text of the COPY format straight away.

    records --decode--> Event --chain check--> position_change line (every event)
                                            |-> transfer row       (last state in the batch, one a transfer)
                                            |-> account row        (last state in the batch, one an account)
                                            '-> participant, funds movement, command result, chain break

Each account, and each transfer, belongs to one partition: a transfer to its payer's, where its reserve, commit and
release are; a payee's credit mentions the transfer but changes only the payee's account. So partitions never
write the same row and their transactions cannot wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from transforms.core import PAUSE_PREFIX
from transforms.nesting import MAX_DEPTH, too_deep
from transforms.read_model.events import FIRST_HASH, Event, decode
from transforms.transfers.events import link_hash
from transforms.transfers.timestamps import iso, parse_ms

Record = tuple[int, bytes | None, bytes]
"""Offset, key and value of one record of transfer-events."""

Head = tuple[int, str]
"""Sequence number and hash of an account's last event."""

NO_HEAD: Head = (0, FIRST_HASH)
JOURNAL = "shard/"
"""Accounts that start so are a shard's own journal: events of no account."""

_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\0": "\ufffd"}
)
_CHARACTERS = {str(to): chr(code) for code, to in _ESCAPES.items() if code}
_ESCAPED = re.compile(r"\\.")
_AMOUNT = re.compile(r"-?\d{1,18}(\.\d{1,4})?", re.ASCII)
_HASH = re.compile("[0-9a-f]{64}")
_NULL = "\\N"


@dataclass(slots=True)
class Rows:
    """What one batch of a partition adds to the tables. Lines are COPY text, without the line end."""

    position_changes: list[str] = field(default_factory=list)
    transfers: dict[str, list[str]] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    participants: dict[str, str] = field(default_factory=dict)
    activity: dict[str, bool] = field(default_factory=dict)
    funds: dict[tuple[str, str], str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    dead: list[tuple[int, str, bytes]] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    last_at: int = 0


# Columns of a row of Rows.transfers, in the order of the staging table.
PAYER, PAYEE, CURRENCY, AMOUNT, STATE, CODE, DESCRIPTION, EXPIRATION = range(1, 9)
CREATED, UPDATED, COMPLETED, FULFILMENT = range(9, 13)


def project(records: Iterable[Record], heads: Mapping[str, Head], partition: int) -> Rows:
    """Rows of consecutive records of `partition`; `heads` are the accounts' last events before them.

    A record that is no event goes to `Rows.dead` with the reason. A record that does not continue its account's
    chain is applied all the same and noted in `Rows.breaks`. Never raises for what a record holds.
    """
    rows = Rows()
    new_heads = rows.heads
    for offset, _, value in records:
        try:
            if too_deep(value):
                raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
            event = decode(value)
            # Only a backslash in the JSON can bring in characters that COPY text has to escape.
            if b"\\" in value:
                _escape(event)
            at = timestamp(event.at)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, OSError) as error:
            if value.startswith(PAUSE_PREFIX):
                continue
            rows.dead.append((offset, f"not an event: {error}", value))
            continue
        account = event.account
        head = new_heads.get(account) or heads.get(account, NO_HEAD)
        wrong = _chain_fault(event, value, head)
        if wrong:
            rows.breaks.append(_line(partition, offset, account, *head, event.seq, escaped(event.prev_hash), wrong, at))
        new_heads[account] = (event.seq, event.hash)
        rows.last_at = event.at
        _add(rows, event, partition, offset, at)
    return rows


def _chain_fault(event: Event, value: bytes, head: Head) -> str:
    """What is wrong with the event as the successor of `head`; empty if nothing is."""
    faults = []
    if event.seq != head[0] + 1:
        faults.append("sequence")
    if event.prev_hash != head[1]:
        faults.append("previous hash")
    if event.hash != link_hash(value, event.prev_hash):
        faults.append("hash")
        event.hash = _as_hash(event.hash)
    return ", ".join(faults)


def _add(rows: Rows, event: Event, partition: int, offset: int, at: str) -> None:
    account, transfer, kind = event.account, event.transfer_id, event.kind
    null = _NULL
    rows.position_changes.append(
        f"{account}\t{event.seq}\t{partition}\t{offset}\t{transfer or null}\t{kind}\t{event.state or null}"
        f"\t{event.change or null}\t{event.position or null}\t{event.reserved or null}\t{event.cover or null}"
        f"\t{event.ndc or null}\t{event.code or null}\t{event.description or null}\t{at}"
        f"\t{null if event.offset is None else event.offset}\t\\\\x{event.hash}"
    )
    if transfer is not None and kind in _TRANSFER_KINDS:
        _TRANSFER_KINDS[kind](rows, event, transfer, at)
    elif kind not in _TRANSFER_KINDS:
        _add_admin(rows, event, partition, offset, at)
    if account.startswith(JOURNAL):
        return
    rows.accounts[account] = (
        f"{account}\t{partition}\t{event.position or null}\t{event.reserved or null}\t{event.cover or null}"
        f"\t{event.ndc or null}\t{event.seq}\t\\\\x{event.hash}\t{at}"
    )


def _prepared(rows: Rows, event: Event, transfer: str, at: str) -> None:
    """A transfer's first event: reserved, or refused as it came."""
    if _is_finished(rows.transfers.get(transfer)):
        return
    amount = event.amount if isinstance(event.amount, str) else ""
    rows.transfers[transfer] = [
        transfer,
        _text(event.payer),
        _text(event.payee),
        _text(event.currency),
        amount if _AMOUNT.fullmatch(amount) else _NULL,
        event.state or _NULL,
        str(event.code or _NULL),
        event.description or _NULL,
        _moment(event.expiration),
        at,
        at,
        _NULL,
        _NULL,
    ]


def _finished(rows: Rows, event: Event, transfer: str, at: str) -> None:
    """A later event of a transfer: what it was prepared with may be in the table already."""
    row = rows.transfers.get(transfer)
    if _is_finished(row):
        return
    if row is None:
        payer, _, currency = event.account.rpartition("/")
        row = rows.transfers[transfer] = [transfer, payer, _NULL, currency, *[_NULL] * 9]
    row[STATE] = event.state or _NULL
    row[CODE] = str(event.code or _NULL)
    row[DESCRIPTION] = event.description or _NULL
    row[UPDATED] = at
    if event.kind == "commit":
        row[COMPLETED] = _text(event.completed_timestamp)
        row[FULFILMENT] = _text(event.fulfilment)


def _is_finished(row: list[str] | None) -> bool:
    """A finished transfer stays as it is: an old copy of its prepare, long after, is an INVALID event of its own."""
    return row is not None and row[STATE] != "RESERVED"


def _credited(rows: Rows, event: Event, transfer: str, at: str) -> None:
    """The payee's side: the transfer's row is the payer's partition's to write."""


_TRANSFER_KINDS = {
    "reserve": _prepared,
    "invalid": _prepared,
    "commit": _finished,
    "release": _finished,
    "credit": _credited,
}


def _add_admin(rows: Rows, event: Event, partition: int, offset: int, at: str) -> None:
    """Participants, limits, funds and settings; a kind from a later version still has its position_change line."""
    if event.command_id is not None:
        rows.commands.append(
            _line(partition, offset, event.command_id, event.account, event.kind, event.result or _NULL, at)
        )
    if event.kind in ("participant", "active"):
        if event.active is not None and not event.account.startswith(JOURNAL):
            rows.activity[event.account] = event.active
        elif event.participant is not None:
            rows.participants[event.participant] = _line(
                event.participant, partition, _NULL if event.active is None else event.active, at
            )
    elif event.kind in _FUNDS_STATES and event.transfer_id is not None:
        amount = event.amount if isinstance(event.amount, str) and _AMOUNT.fullmatch(event.amount) else _NULL
        rows.funds[event.account, event.transfer_id] = _line(
            event.account, event.transfer_id, partition, *_FUNDS_STATES[event.kind], amount, at, at
        )


_FUNDS_STATES = {
    "fundsIn": ("IN", "COMMITTED"),
    "fundsOutReserve": ("OUT", "RESERVED"),
    "fundsOutCommit": ("OUT", "COMMITTED"),
    "fundsOutAbort": ("OUT", "ABORTED"),
}


def timestamp(at_ms: int) -> str:
    """Log time in ms as PostgreSQL reads it, UTC. Raises ValueError, OverflowError or OSError outside its range."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}+00"


@lru_cache(maxsize=1024)
def _second(since_epoch: int) -> str:
    return f"{datetime.fromtimestamp(since_epoch, UTC):%Y-%m-%d %H:%M:%S}"


def _moment(given: object) -> str:
    """A participant's ISO time if it is one, else NULL."""
    ms = parse_ms(given) if isinstance(given, str) else None
    if ms is None:
        return _NULL
    # Z as given; zones beyond 15:59, which PostgreSQL refuses, are reckoned here.
    return given if isinstance(given, str) and given.endswith("Z") else iso(ms)


def _text(given: object) -> str:
    """What a participant sent, as text: strings as they are (escaped already), other JSON types as JSON."""
    if isinstance(given, str):
        return given
    return _NULL if given is None else escaped(msgspec.json.encode(given).decode())


def _escape(event: Event) -> None:
    """Escape every string of the event for COPY; NUL, which PostgreSQL's text cannot hold, becomes U+FFFD."""
    for name in event.__struct_fields__:
        given = getattr(event, name)
        if isinstance(given, str):
            setattr(event, name, escaped(given))


def escaped(text: str) -> str:
    """The text as a field of a COPY line."""
    return text.translate(_ESCAPES)


def unescaped(text: str) -> str:
    """The reverse of `escaped`."""
    return _ESCAPED.sub(lambda found: _CHARACTERS[found[0]], text) if "\\" in text else text


def _line(*fields: object) -> str:
    return "\t".join(map(str, fields))


def _as_hash(given: str) -> str:
    """The hash as found if it can be one, else zeros: the column holds 32 bytes."""
    return given if _HASH.fullmatch(given) else FIRST_HASH
