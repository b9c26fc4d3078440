"""The compiled heart of card scoring: records in order, each found, checked, decided, stored and written as a line."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from transforms.cards import memory as m
from transforms.cards import packed as p
from transforms.cards.base import TEXT
from transforms.cards.fields import (
    CARD,
    DUPLICATE,
    FIELDS,
    FLAGS,
    FRAUD,
    FUTURE,
    FUTURE_MS,
    HISTORY,
    MERCHANT,
    SCORED,
)
from transforms.cards.jit import Bytes, Longs, copy_bytes, longs_at, njit, part, prefetch, whole
from transforms.cards.memory import Memory
from transforms.cards.packed import TIME_MASK, WORDS, unpack
from transforms.cards.routing import cell_of_mix, mix, partition_of_mix
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rules.program import Program
from transforms.cards.scored import Labels, write_line
from transforms.cards.wire import ELSEWHERE, OK, copy_text

SKIPPED: Final = 255
"""Status of a record whose card's cell holds it already (a replay)."""
NEVER: Final = 2**63 - 1
AHEAD: Final = 4
"""How many records ahead histories are fetched from memory."""

TRANSACTIONS, FRAUDS, DUPLICATES, FUTURES, DEAD, COUNTS = range(6)
"""Places in `Rules.tally`; COUNTS is its length."""


class Records(NamedTuple):
    """A batch as columns of n, and what is worked out for each record."""

    buffer: Bytes
    starts: Longs
    offsets: Longs
    times: Longs
    statuses: Bytes
    """Index of `wire.REASONS`, or SKIPPED."""
    cards: Longs
    items: Longs
    """[n, 4]: packed, without a verdict until it is scored."""
    sizes: Longs
    """Characters of the transaction's text."""
    cells: Bytes
    slots: Longs
    alerts: Bytes
    """1 for a record that is a fraud and no duplicate."""


class Rules(NamedTuple):
    """What decides, and what is counted of it. `hits` and `tallies` have a place for each rule, at least one."""

    live: Program
    shadow: Program
    """A whole set in shadow, or a program without rules."""
    flags: Longs
    """[3]: number of the live set, whether it has shadow rules, whether there is a shadow set."""
    labels: Labels
    hits: Bytes
    shadow_hits: Bytes
    decided: Longs
    """Per rule of the live set, how often it decided."""
    shadowed: Longs
    """Per rule of the live set, how often it hit in shadow."""
    shadow_set: Longs
    """Per rule of the shadow set, how often it hit."""
    tally: Longs


class Scratch(NamedTuple):
    """Memory to work in: columns int64[FIELDS, HISTORY], after `score` what the rules saw of the last record, and a
    text row uint8[1, TEXT]."""

    columns: Longs
    row: Bytes


class Cells(NamedTuple):
    """Per cell, as log offsets [CELLS]."""

    effective: Longs
    """Records below it are in the cell already."""
    dirty: Longs
    """The first record that changed it since it was dumped, or NEVER."""


@njit
def locate(
    memory: Memory, records: Records, cells: Cells, partition: int, partitions: int, first: int, stop: int
) -> tuple[int, int]:
    """Find or make the slot of each record's card. Returns how far it came and what memory was missing there."""
    for i in range(first, stop):
        if records.statuses[i] != OK:
            continue
        card = records.cards[i]
        mixed = mix(np.uint64(card))
        if partition_of_mix(mixed, np.uint64(partitions)) != np.uint64(partition):
            records.statuses[i] = ELSEWHERE
            continue
        cell = whole(cell_of_mix(mixed))
        if records.offsets[i] < cells.effective[cell]:
            records.statuses[i] = SKIPPED
            continue
        tag = m.tag_of(mixed)
        slot, place = m.find(memory, cell, card, tag)
        if slot < 0:
            slot, missing = m.insert(memory, cell, card, tag, place)
            if slot < 0:
                return i, missing
        records.cells[i] = cell
        records.slots[i] = slot
    return stop, m.DONE


@part
def _merchant(words: Longs, at: int, texts: Bytes, columns: Longs) -> int:
    """The merchant of the item at word `at`, as rules see it; column 0 is scratch."""
    unpack(words[at : at + WORDS], texts, columns, 0)
    return columns[MERCHANT, 0]  # type: ignore[no-any-return]


@part
def _copy_of(words: Longs, item: Longs, texts: Bytes, new: Bytes, columns: Longs) -> int:
    """The word at which the oldest item of the slot of the same time, amount and merchant begins; -1 if none."""
    count, oldest = words[1] & 0xFF, words[1] >> 8
    time, amount = item[0] & TIME_MASK, item[1] & p.AMOUNT_MASK
    alike = 0
    for at in range(m.ITEMS, m.ITEMS + count * WORDS, WORDS):
        alike += words[at] & TIME_MASK == time and words[at + 1] & p.AMOUNT_MASK == amount
    if alike == 0:
        return -1
    for k in range(count):
        at = m.ITEMS + (oldest + k) % HISTORY * WORDS
        if words[at] & TIME_MASK == time and words[at + 1] & p.AMOUNT_MASK == amount:
            past = _merchant(words, at, texts, columns)
            unpack(item, new, columns, 0)
            if columns[MERCHANT, 0] == past:
                return at  # type: ignore[no-any-return]
    return -1


@part
def _see(words: Longs, texts: Bytes, columns: Longs) -> int:
    """Unpack what rules see of a card's past into the columns, oldest first; returns how many items that is."""
    count, oldest = words[1] & 0xFF, words[1] >> 8
    # With a full history, the oldest makes room for the incoming one before the rules look.
    first = 1 if count == HISTORY else 0
    place = oldest + first
    for k in range(count - first):
        if place == HISTORY:
            place = 0
        at = m.ITEMS + place * WORDS
        unpack(words[at : at + WORDS], texts, columns, k)
        place += 1
    return count - first  # type: ignore[no-any-return]


@part
def _decide(rules: Rules, columns: Longs, n: int) -> int:
    """The live rule that decides, 0 if none; everything that hits is counted."""
    rule = evaluate(rules.live, columns, n, rules.hits)
    if rule > 0:
        rules.decided[rule - 1] += 1
        rules.hits[rule - 1] = 0
    if rules.flags[1] != 0:
        for k in range(len(rules.hits)):
            rules.shadowed[k] += rules.hits[k]
            rules.hits[k] = 0
    if rules.flags[2] != 0:
        evaluate(rules.shadow, columns, n, rules.shadow_hits)
        for k in range(len(rules.shadow_hits)):
            rules.shadow_set[k] += rules.shadow_hits[k]
            rules.shadow_hits[k] = 0
    return rule


@njit
def score(
    memory: Memory, records: Records, cells: Cells, rules: Rules, scratch: Scratch, out: Bytes, first: int, stop: int,
    to_alert: bool,
) -> tuple[int, int, int]:  # fmt: skip
    """Decide and store the records in order, up to `stop` or, if `to_alert`, to the first alert, and write their lines
    into `out`.

    There is a free text row for each record with text. Returns the bytes written, how many items the rules saw of the
    last record (0: it was not scored), and the place after it.
    """
    columns, new_row = scratch.columns, scratch.row
    end = 0
    seen = 0
    for i in range(first, stop):
        if i + AHEAD < stop and records.statuses[i + AHEAD] == OK:
            # Histories lie anywhere in memory; those of the next records are on their way while this one is decided.
            ahead = m.slot_at(memory, records.slots[i + AHEAD])
            for line in range(0, m.SLOT * 8, 64):
                prefetch(ahead + line)
        seen = 0
        if records.statuses[i] != OK:
            if records.statuses[i] != SKIPPED:
                rules.tally[DEAD] += 1
            continue
        words = longs_at(m.slot_at(memory, records.slots[i]), m.SLOT)
        item = records.items[i]
        text = records.buffer[records.starts[i] : records.starts[i] + records.sizes[i]]
        rules.tally[TRANSACTIONS] += 1
        if item[0] < 0:
            copy_text(records.buffer, records.starts[i], item, new_row[0])
        copy = _copy_of(words, item, memory.texts, new_row, columns)
        if copy >= 0:
            rules.tally[DUPLICATES] += 1
            flags = p.flags_of(words[copy]) | DUPLICATE
            number = words[copy + 2] >> 44 & p.MAX_SET
            rule, scored = p.rule_of(words[copy]), words[copy + 2] & TIME_MASK
            end = write_line(out, end, text, rules.labels, number, rule, scored, flags)
            continue
        if item[0] < 0:
            item[3] = m.take_row(memory)
            copy_bytes(memory.texts[item[3]], 0, new_row[0], TEXT)
        n = _see(words, memory.texts, columns)
        now = records.times[i]
        flags = FUTURE if item[0] & TIME_MASK > now + FUTURE_MS else 0
        unpack(item, memory.texts, columns, n)
        columns[SCORED, n] = now
        columns[FLAGS, n] = flags
        for k in range(n + 1):
            columns[CARD, k] = records.cards[i]
        seen = n + 1
        rule = _decide(rules, columns, seen)
        if rule > 0:
            flags |= FRAUD
            records.alerts[i] = 1
            rules.tally[FRAUDS] += 1
        if flags & FUTURE:
            rules.tally[FUTURES] += 1
        item[0] = p.with_verdict(item[0], rule, flags)
        item[2] = now | rules.flags[0] << 44
        m.append(memory, words, item)
        cell = records.cells[i]
        if cells.dirty[cell] == NEVER:
            cells.dirty[cell] = records.offsets[i]
        end = write_line(out, end, text, rules.labels, rules.flags[0], rule, now, flags)
        if to_alert and rule > 0:
            return end, seen, i + 1
    return end, seen, stop


def make_scratch() -> Scratch:
    """Memory for `score` to work in."""
    return Scratch(np.zeros((FIELDS, HISTORY), np.int64), np.zeros((1, TEXT), np.uint8))
