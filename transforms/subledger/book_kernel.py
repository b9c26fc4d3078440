"""The compiled heart of posting: rows in order, each booked, or taken back, or rejected with its fault."""

from __future__ import annotations

from typing import Final

from transforms.jit import part, shared
from transforms.subledger import book_state as s
from transforms.subledger.booking import book
from transforms.subledger.checks import class_fault
from transforms.subledger.fields import CANCEL, CORRECT, ENTRY_KIND, REVERSAL_KIND, SELL
from transforms.subledger.ids import murmur, put_word
from transforms.subledger.jit import Bytes, Longs, long, njit
from transforms.subledger.taking_back import enter, entry_of, leave, reference_fault, take_back

_MOST_LINES: Final = 160
"""Lines of an entry apart from those of lots: 32 of the rule, each twice at most, and those of rounding; with room."""
_ID: Final = 16


@shared
def _post_header(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, kind: int, effect: int,
                 gain: int) -> None:  # fmt: skip
    counts = state.counts
    place = counts[s.C_HEADERS]
    headers = out.headers
    headers[s.P_ROW, place], headers[s.P_JE_NO, place] = row, counts[s.C_JE_NO]
    headers[s.P_KIND, place], headers[s.P_EFFECT, place], headers[s.P_GAIN, place] = kind, effect, gain
    at = put_word(out.key, put_word(out.key, 0, rows.words[0, row]), rows.words[1, row])
    for i in range(len(settled.suffix)):
        out.key[at + i] = settled.suffix[i]
    at += len(settled.suffix)
    out.key[at] = kind
    one, two = murmur(out.key, 0, at + 1)
    target = out.ids[place]
    put_word(target, put_word(target, 0, one), two)
    counts[s.C_HEADERS] += 1
    counts[s.C_JE_NO] += 1


@shared
def _keep(rows: s.Rows, state: s.State, out: s.Posted, row: int, kind: int, effect: int, gain: int, first: int) -> None:
    """Remember the entry just posted, for a later event may take it back."""
    entries, kept, counts = state.entries, state.kept, state.counts
    entry, at = counts[s.C_ENTRIES], counts[s.C_KEPT_LINES]
    size = counts[s.C_LINES] - first
    entries[s.E_HIGH, entry], entries[s.E_LOW, entry] = long(rows.words[0, row]), long(rows.words[1, row])
    entries[s.E_DOMAIN, entry] = long(rows.words[2, row])
    entries[s.E_HOLDING, entry], entries[s.E_REF, entry] = rows.holding[row], rows.ref[row]
    entries[s.E_EFFECT, entry], entries[s.E_KIND, entry], entries[s.E_GAIN, entry] = effect, kind, gain
    entries[s.E_FIRST, entry], entries[s.E_LINES, entry], entries[s.E_TAKEN, entry] = at, size, 0
    for i in range(size):
        for column in range(s.LINE_COLUMNS):
            kept[column, at + i] = out.lines[column, first + i]
    counts[s.C_ENTRIES] += 1
    counts[s.C_KEPT_LINES] += size
    enter(state, entry)


@part
def _row(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, row: int, entry: int) -> int:
    """Post one row, all of it or nothing; the fault code, 0 if there is none."""
    counts, event_class = state.counts, rows.event_class[row]
    if event_class < CANCEL:
        first = counts[s.C_LINES]
        wrong, gain = book(rows, state, settled, out, row, event_class)
        if wrong:
            return wrong
        _post_header(rows, state, settled, out, row, ENTRY_KIND, event_class, gain)
        if rows.keep[row]:
            _keep(rows, state, out, row, ENTRY_KIND, event_class, gain, first)
        return 0
    wrong = reference_fault(rows, state, row, entry)
    if wrong:
        return wrong
    first, effect = counts[s.C_LINES], state.entries[s.E_EFFECT, entry]
    if event_class == CORRECT:
        wrong = class_fault(effect, rows.holding[row] >= 0, rows.quantity[row], rows.price[row], rows.currency[row],
                            settled.base, rows.amount[row])  # fmt: skip
        if wrong:
            return wrong
    wrong, gain = take_back(rows, state, settled, out, row, entry)
    if wrong:
        return wrong
    _post_header(rows, state, settled, out, row, REVERSAL_KIND, effect, gain)
    if event_class == CANCEL:
        if rows.keep[row]:
            _keep(rows, state, out, row, REVERSAL_KIND, effect, gain, first)
        return 0
    second = counts[s.C_LINES]
    wrong, gain = book(rows, state, settled, out, row, effect)
    if wrong:
        counts[s.C_HEADERS] -= 1
        counts[s.C_JE_NO] -= 1
        leave(rows, state, settled, out, row, entry, first)
        return wrong
    _post_header(rows, state, settled, out, row, ENTRY_KIND, effect, gain)
    if rows.keep[row]:
        _keep(rows, state, out, row, ENTRY_KIND, effect, gain, second)
    return 0


@part
def _has_room(rows: s.Rows, state: s.State, out: s.Posted, row: int, entry: int) -> bool:
    """Whether whatever the row may write fits; if not, `counts` say what is needed."""
    counts, event_class = state.counts, rows.event_class[row]
    lines, back = long(_MOST_LINES), long(0)
    if event_class in (SELL, CORRECT) and rows.holding[row] >= 0:
        lines += state.holdings[s.H_LOTS, rows.holding[row]]
    if entry >= 0:
        back = state.entries[s.E_LINES, entry]
        lines += 2 * back
    kept = lines if rows.keep[row] else 0
    counts[s.C_NEED_LINES], counts[s.C_NEED_LOTS], counts[s.C_NEED_KEPT] = lines, 2 * back + 2, kept
    fits = counts[s.C_LINES] + lines <= out.lines.shape[1]
    fits = fits and counts[s.C_LOTS] + counts[s.C_NEED_LOTS] <= state.lots.shape[1]
    return bool(fits and counts[s.C_KEPT_LINES] + kept <= state.kept.shape[1])


@njit
def post_rows(rows: s.Rows, state: s.State, settled: s.Settled, out: s.Posted, start: int) -> int:
    """Post rows from `start` on, up to one for which there is no room; that one, or the number of rows."""
    counts = state.counts
    for row in range(start, len(rows.event_class)):
        entry = long(-1)
        if rows.event_class[row] >= CANCEL:
            entry = long(entry_of(state, long(rows.words[4, row]), long(rows.words[5, row])))
        if not _has_room(rows, state, out, row, entry):
            return row
        wrong = _row(rows, state, settled, out, row, entry)
        if wrong:
            place = counts[s.C_REJECTS]
            out.rejects[s.R_ROW, place], out.rejects[s.R_CODE, place] = row, wrong
            counts[s.C_REJECTS] += 1
    return len(rows.event_class)


@njit
def enter_all(state: s.State) -> None:
    """Fill the hash table of entries."""
    state.places[:] = 0
    for entry in range(state.counts[s.C_ENTRIES]):
        enter(state, entry)


@njit
def find_all(state: s.State, ids: Longs, found: Bytes) -> None:
    """Which events ([2, n]) have an entry here."""
    for i in range(ids.shape[1]):
        found[i] = entry_of(state, ids[0, i], ids[1, i]) >= 0


@njit
def lots_of(holdings: Longs, lots: Longs, chosen: Longs, pooled: bool, out: Longs, count: Longs) -> None:
    """Lots to be told of these holdings, [2, n]: the place in `chosen` and their own.

    Those open or pooled come first, if they changed, then those closed.
    """
    at = 0
    for i in range(len(chosen)):
        node = holdings[s.H_HEAD, chosen[i]]
        while node >= 0:
            if lots[s.L_CHANGED, node] and (pooled or lots[s.L_QUANTITY, node] > 0):
                out[0, at], out[1, at] = i, node
                at += 1
            node = lots[s.L_NEXT, node]
        node = holdings[s.H_CLOSED, chosen[i]]
        while node >= 0:
            out[0, at], out[1, at] = i, node
            at += 1
            node = lots[s.L_NEXT, node]
    count[0] = at


@njit
def move_lots(holdings: Longs, lots: Longs, target: Longs, count: Longs) -> None:
    """Copy the lots that are in a list to another table, holding by holding; `holdings` point there then."""
    at = 0
    for holding in range(holdings.shape[1]):
        for start in (s.H_HEAD, s.H_CLOSED):
            node, before = holdings[start, holding], -1
            while node >= 0:
                after = lots[s.L_NEXT, node]
                for column in range(s.LOT_COLUMNS):
                    target[column, at] = lots[column, node]
                target[s.L_BEFORE, at], target[s.L_NEXT, at] = before, -1
                if before < 0:
                    holdings[start, holding] = at
                else:
                    target[s.L_NEXT, before] = at
                if start == s.H_HEAD:
                    holdings[s.H_TAIL, holding] = at
                before, node = at, after
                at += 1
    count[0] = at


@njit
def tally(keys: Longs, sides: Longs, amounts: Longs, accounted: Longs, sums: Longs) -> None:
    """Add lines to sums[keys, 8]: of debits and credits, entered and accounted, low 32 bits and the rest apart."""
    for i in range(len(keys)):
        row = sums[keys[i]]
        at = 0 if sides[i] > 0 else 2
        row[at] += amounts[i] & 0xFFFFFFFF
        row[at + 1] += amounts[i] >> 32
        row[at + 4] += accounted[i] & 0xFFFFFFFF
        row[at + 5] += accounted[i] >> 32
