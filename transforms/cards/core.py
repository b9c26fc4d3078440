"""The card scoring core: every transaction against its card's last 20, a state machine over one partition of the log.

A transaction is scored at its log time, whatever its own timestamp says: items stay in order of arrival and rules
compare timestamps, so one that comes late is scored late, and one more than five minutes ahead of the log is scored and
flagged. An exact copy (same card, timestamp, amount and merchant) of a remembered one gets that one's verdict again and
is neither scored nor stored, nor does it alert. What is neither a packet nor a control record for rules becomes a dead
letter. Output lines: `transforms.cards.scored`; rules: `transforms.cards.rulebook`, and what a shard says of them
`transforms.cards.rule_report`; cells: `transforms.cards.snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
import numpy as np

from transforms.cards import kernel as k
from transforms.cards import memory as m
from transforms.cards.base import CardHistory
from transforms.cards.deciding import Deciding
from transforms.cards.outputs import letter, outputs_of
from transforms.cards.packed import WORDS
from transforms.cards.routing import cells_of
from transforms.cards.rule_report import Beginning, report
from transforms.cards.rulebook import PREFIX, RuleBook, command_id
from transforms.cards.rules.explain import explain
from transforms.cards.scored import LINE
from transforms.cards.snapshot import HERE, Main, decode_main, encode_main
from transforms.cards.store import CardStore
from transforms.cards.topics import Topics
from transforms.cards.wire import OK, parse_into
from transforms.core import Batch, Output, ShardCore, SnapshotError
from transforms.rule_text.places import RuleSetError

DUMP_BYTES: Final = 2_000_000
"""How many bytes of cards one part of a snapshot holds, more or less, as a cell is never cut."""

_encode_json = msgspec.json.Encoder().encode


class CardsCore(ShardCore):
    """Shard `partition` of `partitions`.

    `rules` is the rule file that decides until a control record activates another; on a restart, that of the first
    start stays. `base` holds the cards' histories from before the log. With `explain`, alerts carry every rule that
    hit, and scoring is many times slower.
    """

    NAME: ClassVar[str] = "cards"
    VERSION: ClassVar[int] = 2
    CELLS: ClassVar[int] = m.CELLS
    BATCH_RECORDS: ClassVar[int] = 10_000
    CYCLE_S: ClassVar[float] = 0.06
    # Parts of a cell or two: with a million cards on four shards it takes some 60 of them to write all, so that a
    # replay is at most 12 s of scoring.
    SNAPSHOT_WORK_S: ClassVar[float] = 0.2

    def __init__(
        self,
        partition: int,
        partitions: int,
        topics: Topics,
        rules: str,
        base: CardHistory | None = None,
        *,
        explain: bool = False,
    ) -> None:
        """Raises RuleSetError for a rule file with mistakes."""
        self.partition = partition
        self.partitions = partitions
        self.topics = topics
        self.base = base
        self.explain = explain
        self.store = CardStore()
        self._use(RuleBook(rules))
        self._cells = k.Cells(np.zeros(m.CELLS, np.int64), np.full(m.CELLS, k.NEVER, np.int64))
        self._next = 0
        self._started = False
        self._scratch = k.make_scratch()
        self._out = np.zeros(0, np.uint8)

    def _use(self, book: RuleBook) -> None:
        self.book = book
        # The book as it was at the lowest effective offset of any cell, and the commands from there on.
        self._book_then = RuleBook.of(book.state())
        self._commands: list[tuple[int, bytes]] = []
        self._deciding = Deciding(book)

    def apply(self, batch: Batch) -> list[Output]:
        """Score the records in order; see ShardCore."""
        if not self._started:
            self.load({})
        if not batch.offsets:
            return []
        records = self._parse(batch)
        outputs: list[Output] = self._begin(batch) if self._next == 0 else []
        done = 0
        for at in _controls(records, batch):
            outputs += self._score(records, batch, done, at)
            outputs += self._command(batch, at)
            done = at + 1
        outputs += self._score(records, batch, done, len(batch))
        self._next = batch.offsets[-1] + 1
        return outputs

    def _begin(self, batch: Batch) -> list[Output]:
        began = Beginning(self.book.sets[self.book.active].rules.text, self._digest())
        return [self._rules(report(self.book, batch.offsets[0], batch.times[0], began=began))]

    def _rules(self, told: bytes) -> Output:
        return self.topics.rules, self.partition, None, told

    def _parse(self, batch: Batch) -> k.Records:
        count = len(batch)
        lengths = np.fromiter(map(len, batch.values), np.int64, count)
        records = k.Records(
            buffer=np.frombuffer(bytearray().join(batch.values), np.uint8),
            starts=np.cumsum(lengths) - lengths,
            offsets=np.fromiter(batch.offsets, np.int64, count),
            times=np.fromiter(batch.times, np.int64, count),
            statuses=np.zeros(count, np.uint8),
            cards=np.zeros(count, np.int64),
            items=np.zeros((count, WORDS), np.int64),
            sizes=np.zeros(count, np.int64),
            cells=np.zeros(count, np.uint8),
            slots=np.zeros(count, np.int64),
            alerts=np.zeros(count, np.uint8),
        )
        texts = parse_into(
            records.buffer, records.starts, lengths, records.statuses, records.cards, records.items, records.sizes
        )
        self.store.reserve_rows(texts)
        return records

    def _score(self, records: k.Records, batch: Batch, first: int, stop: int) -> list[Output]:
        done = first
        while done < stop:
            done, missing = k.locate(
                self.store.memory, records, self._cells, self.partition, self.partitions, done, stop
            )
            if missing != m.DONE:
                self.store.grow(missing, int(cells_of(records.cards[done : done + 1].view(np.uint64))[0]))
        outputs: list[Output] = []
        while first < stop:
            some, first = self._decide(records, batch, first, stop)
            outputs += some
        return outputs

    def _decide(self, records: k.Records, batch: Batch, first: int, stop: int) -> tuple[list[Output], int]:
        """Outputs of the records up to `stop`, or to the first alert if it is to be explained, and the place after."""
        rules = self._deciding.rules
        need = (stop - first) * (LINE + rules.labels.rows.shape[1])
        if len(self._out) < need:
            self._out = np.zeros(need, np.uint8)
        size, seen, done = k.score(
            self.store.memory, records, self._cells, rules, self._scratch, self._out, first, stop, self.explain
        )
        lines = self._out[:size].tobytes().split(b"\n")[:-1]
        outputs = outputs_of(self.topics, self.partition, records, batch, first, done, lines)
        if self.explain and records.alerts[done - 1]:
            topic, partition, key, value, *_ = outputs[-1]
            hits = explain(self._deciding.kept.rules, self._scratch.columns, seen)
            outputs[-1] = (topic, partition, key, value + b"," + _encode_json(hits))
        return outputs, done

    def _command(self, batch: Batch, at: int) -> list[Output]:
        offset, value = batch.offsets[at], batch.values[at]
        refusal = self.book.apply(value)
        told = self._rules(report(self.book, offset, batch.times[at], id=command_id(value), refusal=refusal))
        if refusal is not None:
            self._deciding.refused()
            return [told, letter(self.topics, self.partition, batch, at, *refusal)]
        self._commands.append((offset, value))
        self._deciding.change(self.book)
        return [told]

    # Snapshots.

    def dump(self, whole: bool = False) -> list[tuple[int, bytes]]:
        """Cell 0 and the cells of cards that changed first, up to DUMP_BYTES; all that changed if `whole`."""
        if not self._started:
            self.load({})
        dirty = self._cells.dirty
        cells: list[tuple[int, bytes]] = []
        size = 0
        for cell in np.argsort(dirty, kind="stable").tolist():
            if dirty[cell] == k.NEVER or (size >= DUMP_BYTES and not whole):
                break
            cells.append((cell, self.store.write_cell(cell)))
            size += len(cells[-1][1])
            dirty[cell] = k.NEVER
        return [(0, self._main()), *cells]

    def unsaved(self) -> bool:
        """Whether cards changed that the last dump left out."""
        return bool((self._cells.dirty != k.NEVER).any())

    def _main(self) -> bytes:
        # A cell stands at its first change; without one where this shard does, or, within a replay, where it stood
        # when it was loaded.
        effective = np.minimum(self._cells.dirty, np.maximum(self._cells.effective, self._next))
        lowest = int(effective.min())
        later = next((i for i, (offset, _) in enumerate(self._commands) if offset >= lowest), len(self._commands))
        for _, value in self._commands[:later]:
            self._book_then.apply(value)
        del self._commands[:later]
        offsets = np.where(effective == self._next, HERE, effective).tolist()
        return encode_main(Main(self._digest(), offsets, self._book_then.state()))

    def load(self, cells: Mapping[int, tuple[int, bytes]]) -> int:
        """Restore, and read what was never dumped from the loaded history; see ShardCore.

        What the history raises for a damaged or missing block goes through.
        """
        self._started = True
        if cells:
            self._load_main(cells)
        for cell in range(1, m.CELLS):
            if cell in cells:
                self.store.read_cell(cell, cells[cell][1])
            elif self.base is not None:
                self.store.read_base(self.base, cell)
        self._next = int(self._cells.effective.min())
        return self._next

    def _load_main(self, cells: Mapping[int, tuple[int, bytes]]) -> None:
        if 0 not in cells:
            raise SnapshotError("cell 0 is missing, which every part of a snapshot writes; restore another savepoint")
        here, payload = cells[0]
        late = [cell for cell, (offset, _) in cells.items() if offset > here or not 0 <= cell < m.CELLS]
        if late:
            raise SnapshotError(f"cells {late} are newer than cell 0 or not of card scoring; restore another savepoint")
        main = decode_main(payload, self._digest())
        self._cells.effective[:] = [here if offset == HERE else offset for offset in main.effective]
        try:
            self._use(RuleBook.of(main.book))
        except RuleSetError as error:
            raise SnapshotError(f"cell 0: a rule set of the snapshot cannot be read: {error}") from error

    def _digest(self) -> str:
        return self.base.digest if self.base is not None else ""

    def counters(self) -> dict[str, int]:
        """transactions, frauds, duplicates, future, dead_letters, cards (now known), rule_<name> and shadow_<name>."""
        return {**self._deciding.counters(), "cards": len(self.store)}


def _controls(records: k.Records, batch: Batch) -> list[int]:
    """Places of the control records; a packet never is one, as it starts with a digit."""
    bad = np.flatnonzero(records.statuses != OK)
    return [at for at in bad.tolist() if batch.values[at].startswith(PREFIX)]
