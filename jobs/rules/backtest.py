"""A rule set against verdicts that are known: a file of cases, or a stretch of the log."""

from __future__ import annotations

import gzip
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from florin_io.kafka.log import LogReader, end_offsets
from jobs.rules.log import Log
from transforms.cards.fields import DUPLICATE, FLAGS, FRAUD, HISTORY
from transforms.cards.rules.cases import CaseFileError, Outcome, read_cases, row_of, run
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.kernel import evaluate
from transforms.cards.rules.model import RuleSet
from transforms.cards.scored import decode_scored

_READ = 10_000
_GZIP = b"\x1f\x8b"


@contextmanager
def open_text(path: str) -> Iterator[IO[str]]:
    """A text file, packed with gzip or not; `-` is standard input. Raises OSError."""
    if path == "-":
        yield sys.stdin
        return
    with open(path, "rb") as probe:
        packed = probe.read(2) == _GZIP
    with gzip.open(path, "rt", encoding="utf-8") if packed else open(path, encoding="utf-8") as lines:
        yield lines


def case_outcomes(ruleset: RuleSet, path: str) -> list[Outcome]:
    """What a rule set says of every case of a file. Raises CaseFileError naming the line, OSError."""
    try:
        with open_text(path) as lines:
            return list(run(compile_set(ruleset), read_cases(lines), len(ruleset.rules)))
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise CaseFileError(f"no text file: {error}") from None


@dataclass
class Comparison:
    """A rule set against the live verdicts of a stretch of scored transactions."""

    transactions: int = 0
    both: int = 0
    """Fraud by both."""
    only_live: int = 0
    only_tested: int = 0
    young: int = 0
    """Transactions of cards of which the stretch has not shown 19 earlier ones, so that both saw other histories."""
    by_live_rule: Counter[str] = field(default_factory=Counter)
    """Frauds that only the live rules found, by rule."""
    by_tested_rule: Counter[str] = field(default_factory=Counter)
    """Frauds that only the tested rules found, by rule."""

    @property
    def agree(self) -> int:
        """Transactions of which both say the same: fraud or not."""
        return self.transactions - self.only_live - self.only_tested


class Replay:
    """Scores transactions by a rule set, each against the card's earlier ones of the same stretch."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.found = Comparison()
        self._names = [rule.name for rule in ruleset.rules]
        self._program = compile_set(ruleset)
        self._hits = np.zeros(max(len(self._names), 1), np.uint8)
        self._cards: defaultdict[int, deque[list[int]]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def see(self, value: bytes) -> None:
        """The next record of scored-transactions. Raises ValueError for one that is none."""
        scored = decode_scored(value)
        if scored.flags & DUPLICATE:
            return
        row = row_of(scored.text.decode())
        items = self._cards[scored.card]
        items.append(row)
        rule = int(evaluate(self._program, np.ascontiguousarray(np.array(items, np.int64).T), len(items), self._hits))
        # What later transactions look back on is what was decided of this one, by the rules that are tested.
        row[FLAGS] = FRAUD if rule else 0
        found = self.found
        found.transactions += 1
        found.young += len(items) < HISTORY
        found.both += scored.fraud and rule > 0
        if scored.fraud and not rule:
            found.only_live += 1
            found.by_live_rule[scored.name] += 1
        elif rule and not scored.fraud:
            found.only_tested += 1
            found.by_tested_rule[self._names[rule - 1]] += 1


def compare_with_log(ruleset: RuleSet, log: Log, last: int) -> Comparison:
    """A rule set against the live verdicts of the last so many records of each partition of scored-transactions.

    Raises KafkaUnreachable, TopicsMissing, KafkaException.
    """
    partitions = log.partitions()
    replay = Replay(ruleset)
    ends = end_offsets(log.bootstrap, log.topics.scored, partitions)
    for partition, end in enumerate(ends):
        reader = LogReader(log.bootstrap, log.topics.scored, partition, "florin-rules", bounded=True)
        try:
            low, _ = reader.bounds()
            reader.seek(max(low, end - last))
            for messages in reader.until(end, _READ):
                for message in messages:
                    replay.see(message.value() or b"")
        finally:
            reader.close()
    return replay.found
