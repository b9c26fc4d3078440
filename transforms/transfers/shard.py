"""The transfer core: DFSP positions of one shard, a state machine over its partition of transfer-log.

Records are decided one by one at their log time, so batch boundaries change nothing. Everything about a record is
checked before anything is changed: bad input ends as an error told to its sender or as a dead letter, never as an
exception or a half-applied change. Rules and codes: transfers.md; prepares, fulfils and commands are in modules of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import ClassVar

from msgspec import Raw

from transforms.core import Batch, Output, ShardCore
from transforms.dead_letters import dead_letter
from transforms.trace import Trace
from transforms.transfers import messages, snapshot
from transforms.transfers import notifications as notify
from transforms.transfers.accounts import Account, Chain, Participant, Transfer
from transforms.transfers.admin import Funds, apply_admin
from transforms.transfers.credits import Credits
from transforms.transfers.duplicates import CELLS, NEVER, Finished, Memory, pack
from transforms.transfers.events import account_event, journal_event
from transforms.transfers.fulfils import apply_fulfil
from transforms.transfers.messages import NOTHING, Credit, Envelope
from transforms.transfers.prepares import apply_prepare
from transforms.transfers.timestamps import Clock
from transforms.transfers.topics import Topics

DEFAULT_HORIZON_MS = 3_600_000
TICK = b'{"tick":1}'
MAX_UNITS_DIGITS = 24


class TransferShard(ShardCore):
    """Shard `partition` of `partitions`. `fast` False reads every record the lenient way: slower, the same bytes."""

    NAME: ClassVar[str] = "transfer"
    VERSION: ClassVar[int] = 1
    CELLS: ClassVar[int] = CELLS
    TRACED: ClassVar[bool] = True

    def __init__(self, partition: int, partitions: int, topics: Topics, fast: bool = True) -> None:
        self.partition = partition
        self.partitions = partitions
        self.topics = topics
        self.log_topic, self.events_topic, self.notifications_topic = topics.log, topics.events, topics.notifications
        self.fast = fast
        self.counts: dict[str, int] = {}
        self.clock = Clock()
        self.reset()

    def reset(self) -> None:
        """The state before the first record of the log."""
        self.on_us = False
        self.horizon = DEFAULT_HORIZON_MS
        self.participants: dict[str, Participant] = {}
        self.funds: dict[str, Funds] = {}
        self.pending: dict[str, Transfer] = {}
        self.finished = Memory()
        self.credits = Credits(self.partitions)
        self.journal = Chain(f"shard/{self.partition}")
        self.order = 0
        self.due: list[tuple[int, int, str]] = []
        self.wake = NEVER
        # The record in hand: its log time in ms and as text, its offset and bytes. What the batch caused so far, and
        # where in it what this record caused begins.
        self.now = 0
        self.iso = self.clock.iso(0)
        self.offset = 0
        self.value = b""
        self.out: list[Output] = []
        self.own = 0

    def apply(self, batch: Batch) -> list[Output]:
        """Decide the records in order; see ShardCore."""
        out: list[Output] = []
        self.out = out
        traces = batch.traces or [None] * len(batch)
        iso = self.clock.iso
        for offset, at, value, trace in zip(batch.offsets, batch.times, batch.values, traces, strict=True):
            if at > self.now:
                self.now = at
                self.iso = iso(at)
            self.offset = offset
            self.value = value
            if trace is None:
                self._record(value)
            else:
                self._traced_record(value, trace)
        return out

    def _record(self, value: bytes) -> None:
        try:
            record = messages.read(value, self.fast)
        except messages.Unreadable as error:
            self._wake_up("")
            self.dead_letter(str(error), "correct the producer and send the message again")
            return
        if record.credit is not None:
            if self.now >= self.wake:
                self._wake_up("")
            self._credit(record.credit)
        elif record.content is not None and not (record.admin or record.tick or record.pause):
            self._message(record)
        else:
            self._wake_up("")
            self._control(record)

    def _traced_record(self, value: bytes, trace: Trace) -> None:
        """Decide a record and give its trace context to what it causes; not to what expires as time passes."""
        self.own = len(self.out)
        self._record(value)
        self.out[self.own :] = [
            (topic, place, key, told, trace) for topic, place, key, told, *_ in self.out[self.own :]
        ]

    def _message(self, record: Envelope) -> None:
        metadata = record.metadata
        event = metadata.event if metadata is not None else None
        trace = metadata.trace if metadata is not None else NOTHING
        kind = event.type if event is not None else None
        if kind == "prepare":
            if self.now >= self.wake:
                self._wake_up("")
            apply_prepare(self, record, trace)
        elif kind == "fulfil":
            addressed = messages.transfer_id(record) or ""
            if self.now >= self.wake:
                self._wake_up(addressed)
            apply_fulfil(self, record, event.action if event is not None else None, trace)
            transfer = self.pending.get(addressed)
            if transfer is not None and transfer.expiration <= self.now:
                self._expire(transfer)
        else:
            self._wake_up("")
            self._unknown_kind(record, kind, trace)

    def _control(self, record: Envelope) -> None:
        if record.admin:
            if not apply_admin(self, self.value):
                self.dead_letter("not an admin command", "write commands with `python -m jobs.hub`")
        elif not record.tick and not record.pause:
            self.dead_letter("neither a message nor a control record", "send Mojaloop envelopes with content")

    def _unknown_kind(self, record: Envelope, kind: str | None, trace: Raw) -> None:
        """A message of a type the log does not take: its sender is told if it says who that is."""
        shown = notify.clip(kind, 40)
        remedy = "send it to " + self.topics.get if kind == "get" else "send prepare or fulfil"
        self.dead_letter(f"message of type {shown!r}", remedy)
        content = record.content
        source = messages.headers(content.headers, self.fast).source if content is not None else None
        if source and len(source) <= messages.MAX_NAME:
            id = notify.escape(notify.clip(messages.transfer_id(record)))
            self.tell_error(id, source, "3100", f"unknown message type {shown!r}", "prepare", trace)

    def _credit(self, credit: Credit) -> None:
        """The payee's side of a committed transfer: its position falls by the amount, exactly once."""
        participant = self.participants.get(credit.payee)
        account = participant.accounts.get(credit.currency) if participant is not None else None
        home = participant is not None and participant.partition == self.partition
        units_text = credit.units
        reason = ""
        if account is None or not home:
            reason = f"no account {credit.payee[:64]}/{credit.currency[:8]} in this shard"
        elif not (units_text.isdecimal() and units_text.isascii() and len(units_text) < MAX_UNITS_DIGITS):
            reason = f"credit of {units_text[:40]!r} units"
        elif not messages.is_transfer_id(credit.id):
            reason = "credit without a transfer id"
        reason = reason or self.credits.refusal(credit.origin, credit.seq)
        if reason or account is None:
            self.dead_letter(reason, "audit the log: only shards write credits, each once; money was not moved")
            return
        warning = self.credits.take(credit.origin, credit.seq)
        if warning:
            self.dead_letter(warning, "audit the log: this credit was applied, the missing ones were not seen")
        units = int(units_text)
        account.position -= units
        self.count("credited")
        value = account_event(account, credit.id, "credit", -units, "COMMITTED", self.now, self.offset, "")
        self.out.append((self.events_topic, self.partition, account.key, value))

    # What prepares, fulfils and commands do to the shard.

    def reserve(self, transfer: Transfer) -> None:
        """Take a transfer into work and its amount into the payer's position; its expiration is watched."""
        account = transfer.account
        account.position += transfer.units
        account.reserved += transfer.units
        self.pending[transfer.id] = transfer
        expiration = transfer.expiration
        heappush(self.due, (expiration, transfer.order, transfer.id))
        if expiration < self.wake:
            self.wake = expiration

    def next_order(self) -> int:
        """Place of a new transfer among those that expire at the same time."""
        self.order += 1
        return self.order

    def release(self, transfer: Transfer, code: str, description: str, answer: bytes | None) -> None:
        """Abort a RESERVED transfer: the amount leaves the payer's position. Telling the FSPs is up to the caller."""
        account = transfer.account
        account.position -= transfer.units
        account.reserved -= transfer.units
        extra = f',"code":"{code}","description":"{notify.escape(description)}"'
        self.account_event(account, transfer.id, "release", -transfer.units, "ABORTED", extra)
        self.finish(
            transfer,
            pack(Finished("ABORTED", code, description, transfer.payer, transfer.payee.id, transfer.content, answer)),
        )

    def finish(self, transfer: Transfer, outcome: bytes) -> None:
        """Take a transfer out of work and remember its outcome, a packed Finished."""
        del self.pending[transfer.id]
        self.remember(transfer.key, outcome, transfer.expiration)
        if len(self.due) > 2 * len(self.pending) + 1024:
            self.due = [(found.expiration, found.order, found.id) for found in self.pending.values()]
            heapify(self.due)

    def remember(self, key: bytes, outcome: bytes, expiration: int) -> None:
        """Keep what became of a transfer id for the duplicate check."""
        self.finished.add(key, outcome, expiration, self.now, self.horizon)
        if self.finished.wake < self.wake:
            self.wake = self.finished.wake

    def account_event(self, account: Account, id: str, kind: str, change: int, state: str, extra: str) -> None:
        """Append the next event of an account."""
        value = account_event(account, id, kind, change, state, self.now, self.offset, extra)
        self.out.append((self.events_topic, self.partition, account.key, value))

    def journal_event(self, kind: str, extra: str) -> None:
        """Append the next event of the shard's own journal."""
        value = journal_event(self.journal, kind, self.now, self.offset, extra)
        self.out.append((self.events_topic, self.partition, self.journal.key, value))

    def tell(self, key: bytes, value: bytes) -> None:
        """Send a notification; `key` is the transfer's id."""
        self.out.append((self.notifications_topic, self.partition, key, value))

    def tell_error(self, id: str, receiver: str, code: str, description: str, action: str, trace: Raw) -> None:
        """Send a PUT error; `id` and `action` are escaped already, receiver and description are not."""
        escape = notify.escape
        value = notify.failure(id, escape(receiver), code, escape(description), action, self.iso, trace)
        self.out.append((self.notifications_topic, self.partition, id.encode(), value))

    def dead_letter(self, reason: str, remedy: str) -> None:
        """Put the record in hand aside, with the reason."""
        self.count("dead_letters")
        topics, value = self.topics, self.value
        letter = dead_letter(topics.log, self.partition, self.offset, reason, remedy, self.now, value)
        self.out.append((topics.dead_letters, self.partition, None, letter))

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self.counts[name] = self.counts.get(name, 0) + 1

    # Time.

    def _wake_up(self, addressed: str) -> None:
        """Release what is due, except the transfer the record in hand addresses: its own rules come first."""
        if self.now < self.wake:
            return
        held = None
        while self.due and self.due[0][0] <= self.now:
            entry = heappop(self.due)
            transfer = self.pending.get(entry[2])
            if transfer is None or transfer.order != entry[1]:
                continue
            if entry[2] == addressed:
                held = entry
            else:
                self._expire(transfer)
        if held is not None:
            heappush(self.due, held)
        self.finished.advance(self.now, self.horizon)
        self.wake = min(self.due[0][0] if self.due else NEVER, self.finished.wake)
        self.own = len(self.out)

    def _expire(self, transfer: Transfer) -> None:
        self.count("expired")
        self.release(transfer, "3303", "transfer expired", None)
        for receiver in (transfer.payer, transfer.payee.id):
            self.tell_error(transfer.id, receiver, "3303", "transfer expired", "timeout-reserved", NOTHING)

    def deadline(self) -> int | None:
        """Log time at which the next RESERVED transfer expires."""
        due = self.due
        while due:
            transfer = self.pending.get(due[0][2])
            if transfer is not None and transfer.order == due[0][1]:
                return due[0][0]
            heappop(due)
        return None

    def tick(self) -> bytes:
        """The record that makes time pass on a silent log."""
        return TICK

    # Snapshots.

    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        """The main cell and the slices of finished transfers sealed or freed since the last dump."""
        return [*self.finished.dump(), (0, snapshot.encode(self))]

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """Restore; see ShardCore."""
        self.reset()
        if not cells:
            return 0
        snapshot.decode(self, {cell: payload for cell, (_, payload) in cells.items()})
        self.iso = self.clock.iso(self.now)
        return cells[0][0]

    def counters(self) -> dict[str, int]:
        """Counts by outcome since the core was made."""
        return dict(self.counts)
