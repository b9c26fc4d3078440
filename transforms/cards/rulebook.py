"""Which rule sets a shard knows, which one decides, and how control records in the log change that.

A control record is JSON that starts with `{"rules":`, one on every partition of the log:

    {"rules": {"action": "load", "name": "default", "version": "<12 hex digits>", "text": "<the rule file>"}, "id": ...}
    {"rules": {"action": "activate" | "shadow" | "retire", "name": ..., "version": ...}, "id": ...}
    {"rules": {..., "rule": "R07", "mode": "live" | "shadow" | "off"}, "id": ...}

load keeps a set; activate lets it decide from the next record on; shadow evaluates and counts it beside the active one,
one set at a time; retire drops it, but not the active one. With `rule`, only that rule of the set changes its mode.
`version` may be left out where only one version of the name is loaded. What came of each, and what a shard began with,
it tells in a record of its own (`transforms.cards.rule_report`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

import msgspec

from transforms.cards.packed import MAX_RULE, MAX_SET
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.language import parse
from transforms.cards.rules.model import Mode, RuleSet
from transforms.cards.rules.program import Program
from transforms.core import SnapshotError
from transforms.nesting import MAX_DEPTH, too_deep
from transforms.rule_text.places import RuleSetError

PREFIX: Final = b'{"rules":'
MAX_KEPT: Final = 100
"""Rule sets that may be loaded at once: their texts are in every snapshot."""
_SHOWN: Final = 600
"""Most characters of a rule file's mistakes in a refusal."""


class Refusal(NamedTuple):
    """Why a control record changed nothing, and what to do."""

    reason: str
    remedy: str


class _Command(msgspec.Struct):
    action: Literal["load", "activate", "shadow", "retire"]
    name: str
    version: str = ""
    text: str = ""
    rule: str = ""
    mode: Mode | None = None


class _Control(msgspec.Struct):
    rules: _Command
    id: str = ""


class KeptState(msgspec.Struct, array_like=True):
    """A loaded set in a snapshot."""

    text: str
    number: int
    modes: dict[str, Mode]


class BookState(msgspec.Struct, array_like=True):
    """A rule book in a snapshot; sets by their place in `sets`, -1 for none."""

    sets: list[KeptState]
    active: int
    shadow: int
    numbered: list[tuple[str, list[tuple[str, int]]]]


@dataclass
class Kept:
    """A loaded set. `number` is what its verdicts are recorded with, 0 before it first decides."""

    rules: RuleSet
    number: int = 0
    modes: dict[str, Mode] = field(default_factory=dict)
    """Modes that differ from the file's, by rule."""


_decode = msgspec.json.Decoder(_Control).decode
_MOST_ID = 64
Key = tuple[str, str]
"""Name and version of a set."""


def command_id(value: bytes) -> str:
    """The id of a control record, 64 characters at most; empty if it cannot be read."""
    try:
        return "" if too_deep(value) else _decode(value).id[:_MOST_ID]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


class RuleBook:
    """The rule sets of a shard: a function of its control records and of the set it began with."""

    def __init__(self, text: str) -> None:
        """A book in which the set of this rule file is active. Raises RuleSetError."""
        rules = parse(text)
        self.active: Key = (rules.name, rules.version)
        self.shadow: Key | None = None
        self.sets: dict[Key, Kept] = {self.active: Kept(rules)}
        self.numbered: list[tuple[str, list[tuple[str, int]]]] = []
        """Version and rules (name, score) of the sets that have decided, by number from 1."""
        self._number(self.sets[self.active])

    def apply(self, value: bytes) -> Refusal | None:
        """Do what a control record says; returns why not if it cannot be done."""
        if too_deep(value):
            return Refusal(f"nested deeper than {MAX_DEPTH} levels", "write commands with `python -m jobs.rules`")
        try:
            command = _decode(value).rules
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Refusal(f"not a rules command: {error}", "write commands with `python -m jobs.rules`")
        if command.action == "load":
            return self._load(command)
        keys = [key for key in self.sets if key[0] == command.name and command.version in ("", key[1])]
        shown = f"{command.name[:60]}@{command.version[:20]}" if command.version else command.name[:60]
        if len(keys) != 1:
            known = ", ".join(f"{name}@{version}" for name, version in self.sets)
            return Refusal(
                f"{'several versions' if keys else 'no rule set'} of {shown!r} loaded", f"name one of {known}"
            )
        if command.rule:
            return self._change_rule(self.sets[keys[0]], command)
        if command.action == "activate":
            return self._activate(keys[0])
        if keys[0] == self.active:
            return Refusal(f"{shown!r} is the active rule set", "activate another one first")
        if command.action == "shadow":
            self.shadow = keys[0]
        else:
            del self.sets[keys[0]]
            self.shadow = None if self.shadow == keys[0] else self.shadow
        return None

    def _load(self, command: _Command) -> Refusal | None:
        try:
            rules = parse(command.text)
        except RuleSetError as error:
            return Refusal(f"the rule file has mistakes: {str(error)[:_SHOWN]}", "see `python -m jobs.rules check`")
        if (command.name, command.version or rules.version) != (rules.name, rules.version):
            return Refusal(
                f"the text is of {rules.name}@{rules.version}, not of {command.name[:60]}@{command.version[:20]}",
                "load files with `python -m jobs.rules load`",
            )
        if len(rules.rules) > MAX_RULE:
            return Refusal(f"{len(rules.rules)} rules; {MAX_RULE} at most", "make two sets of it")
        if len(self.sets) >= MAX_KEPT and (rules.name, rules.version) not in self.sets:
            return Refusal(f"{MAX_KEPT} rule sets are loaded, as many as may be", "retire those no longer needed")
        self.sets.setdefault((rules.name, rules.version), Kept(rules))
        return None

    def _activate(self, key: Key) -> Refusal | None:
        kept = self.sets[key]
        if kept.number == 0 and len(self.numbered) == MAX_SET:
            return Refusal(f"{MAX_SET} rule sets have decided in this log, as many as may", "start a new log")
        self._number(kept)
        self.active = key
        self.shadow = None if self.shadow == key else self.shadow
        return None

    def _change_rule(self, kept: Kept, command: _Command) -> Refusal | None:
        implied: dict[str, Mode] = {"activate": "live", "shadow": "shadow", "retire": "off"}
        if command.rule not in {rule.name for rule in kept.rules.rules}:
            return Refusal(f"{kept.rules.name!r} has no rule {command.rule[:60]!r}", "see `python -m jobs.rules list`")
        kept.modes[command.rule] = command.mode or implied[command.action]
        return None

    def _number(self, kept: Kept) -> None:
        if kept.number == 0:
            self.numbered.append((kept.rules.version, [(rule.name, rule.score) for rule in kept.rules.rules]))
            kept.number = len(self.numbered)

    # For the kernel.

    def live(self) -> tuple[Kept, Program, bool]:
        """The active set, compiled, and whether it has rules in shadow."""
        kept = self.sets[self.active]
        modes = {rule.name: rule.mode for rule in kept.rules.rules} | kept.modes
        return kept, compile_set(kept.rules, modes), "shadow" in modes.values()

    def shadowed(self) -> tuple[Kept | None, Program]:
        """The set in shadow, compiled so that none of its rules decides; without one, a program without rules."""
        if self.shadow is None:
            rules = replace(self.sets[self.active].rules, rules=())
            return None, compile_set(rules)
        kept = self.sets[self.shadow]
        return kept, compile_set(kept.rules, kept.modes, shadow=True)

    # Snapshots.

    def state(self) -> BookState:
        """The book for a snapshot."""
        keys = list(self.sets)
        return BookState(
            [KeptState(kept.rules.text, kept.number, dict(kept.modes)) for kept in self.sets.values()],
            keys.index(self.active),
            -1 if self.shadow is None else keys.index(self.shadow),
            list(self.numbered),
        )

    @classmethod
    def of(cls, state: BookState) -> RuleBook:
        """The book of a snapshot.

        Raises RuleSetError if a rule file can no longer be read, SnapshotError if the book contradicts itself.
        """
        sets, last = range(len(state.sets)), min(len(state.numbered), MAX_SET)
        if (
            state.active not in sets
            or state.shadow not in (-1, *sets)
            or not state.sets[state.active].number >= 1
            or not all(0 <= found.number <= last for found in state.sets)
        ):
            raise SnapshotError("cell 0: its rule book names sets that it does not have; restore another savepoint")
        book = cls.__new__(cls)
        kept = [Kept(parse(found.text), found.number, dict(found.modes)) for found in state.sets]
        keys = [(found.rules.name, found.rules.version) for found in kept]
        book.sets = dict(zip(keys, kept, strict=True))
        book.active = keys[state.active]
        book.shadow = None if state.shadow < 0 else keys[state.shadow]
        book.numbered = list(state.numbered)
        return book
