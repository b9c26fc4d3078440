"""The records that scoring a batch causes, put together without a loop in Python where there is no dead letter."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import numpy.typing as npt

from transforms.cards.kernel import SKIPPED, Records
from transforms.cards.topics import Topics
from transforms.cards.wire import OK, REASONS
from transforms.core import Batch, Output
from transforms.dead_letters import dead_letter

_CARD = 14


def outputs_of(
    topics: Topics, partition: int, records: Records, batch: Batch, first: int, stop: int, lines: list[bytes]
) -> list[Output]:
    """What records `first` to `stop` of a batch cause, in their order: the lines of those scored, alerts, dead letters.

    An alert follows its transaction and is the same bytes.
    """
    statuses, alerts, values = records.statuses[first:stop], records.alerts[first:stop], batch.values[first:stop]
    if len(lines) < len(values):
        scored = np.flatnonzero(statuses == OK)
        values, alerts = [values[at] for at in scored.tolist()], alerts[scored]
    keys = [value[:_CARD] for value in values]
    if alerts.any():
        source = np.repeat(np.arange(len(keys)), alerts.astype(np.int64) + 1)
        again = np.zeros(len(source), np.int64)
        again[1:] = source[1:] == source[:-1]
        names = _objects([topics.scored, topics.alerts])[again].tolist()
        keys, lines = _objects(keys)[source].tolist(), _objects(lines)[source].tolist()
        outputs: list[Output] = list(zip(names, repeat(partition), keys, lines, strict=False))
    else:
        outputs = list(zip(repeat(topics.scored), repeat(partition), keys, lines, strict=False))
    dead = np.flatnonzero((statuses != OK) & (statuses != SKIPPED))
    if len(dead) == 0:
        return outputs
    return _with_dead(topics, partition, outputs, records, batch, first, (dead + first).tolist())


def _with_dead(
    topics: Topics, partition: int, outputs: list[Output], records: Records, batch: Batch, first: int, dead: list[int]
) -> list[Output]:
    """Put the dead letters of the records at the places `dead` among the outputs of the others."""
    made = np.where(records.statuses == OK, records.alerts.astype(np.int64) + 1, 0)
    before = (np.cumsum(made) - made).tolist()
    merged: list[Output] = []
    taken = 0
    for at in dead:
        upto = before[at] - before[first]
        merged += outputs[taken:upto]
        merged.append(letter(topics, partition, batch, at, *REASONS[records.statuses[at]]))
        taken = upto
    return merged + outputs[taken:]


def letter(topics: Topics, partition: int, batch: Batch, at: int, reason: str, remedy: str) -> Output:
    """The dead letter of the record at place `at` of a batch."""
    text = dead_letter(
        topics.transactions, partition, batch.offsets[at], reason, remedy, batch.times[at], batch.values[at]
    )
    return topics.dead_letters, partition, None, text


def _objects(found: list[str] | list[bytes]) -> npt.NDArray[np.object_]:
    column = np.empty(len(found), object)
    column[:] = found
    return column
