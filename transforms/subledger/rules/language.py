"""Posting rules: YAML in, checked `PostingRules` out, or every mistake with its line and column."""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from typing import Final

import yaml

from transforms.rule_text.places import RuleSetError
from transforms.rule_text.yaml_reader import Node, YamlReader, kind
from transforms.subledger.fields import BUY, CLASSES, CREDIT, DEBIT, FX, REVALUE, SELL
from transforms.subledger.rules.amounts import parse_amount
from transforms.subledger.rules.conditions import Condition, Every, parse_condition
from transforms.subledger.rules.model import (
    AMOUNTS,
    COST,
    ENTERED,
    FEE_AMOUNT,
    ONE,
    ROUNDING,
    Accounts,
    PostingRule,
    PostingRules,
    RuleLine,
)

MAX_RULES: Final = 200
MAX_LINES: Final = 32
MAX_ACCOUNTS: Final = 100_000
_SET_KEYS: Final = ("name", "description", "basis", "mapping", "rules")
_RULE_KEYS: Final = ("name", "description", "class", "when", "lines")
_LINE_KEYS: Final = ("account", "side", "amount", "lot")
_BOOKED: Final = CLASSES[:REVALUE]
"""CANCEL and CORRECT have no rules: they take back and book as the class of their event."""
_SIDES: Final = {"debit": DEBIT, "credit": CREDIT}
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_BASIS: Final = re.compile(r"[A-Z][A-Z0-9_]{0,15}")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,31}")
_DEFAULT: Final = "default"
_PARTS: Final = ("gross", "fee", "cost", "counter", "unrealised")


def parse_rules(text: str, source: str = "") -> PostingRules:
    """The posting rules that a file's text describes. `source` names the file in errors.

    Raises RulesError (`RuleSetError`) with all mistakes.
    """
    reader = _Reader(text)
    try:
        found = reader.read()
    except RuleSetError as error:
        reader.mistakes.extend(error.mistakes)
        found = None
    if reader.mistakes or found is None:
        raise RuleSetError(reader.mistakes, source)
    return found


class _Reader(YamlReader):
    def read(self) -> PostingRules | None:
        """The rules, or None if there are `mistakes`. Raises RuleSetError where nothing can be read on."""
        root = self._root("posting rules have a name, a mapping and rules")
        keys = self._mapping(root, _SET_KEYS, "a set of posting rules")
        if keys is None:
            return None
        self._require(root, keys, ("name", "mapping", "rules"), "a set of posting rules")
        name = self._named(keys.get("name"), "name", _NAME, "lower-case letters, digits, _ and -, a letter first")
        basis = self._named(
            keys.get("basis"), "basis", _BASIS, "capital letters, digits, _, a letter first, 16 at most"
        )
        description = self._text(keys.get("description"), "description")
        mapping = self._roles(keys.get("mapping"))
        rules = self._rules(keys.get("rules"), mapping)
        if self.mistakes:
            return None
        text = self._source.text
        version = hashlib.sha256(text.encode()).hexdigest()
        return PostingRules(name, basis or "ACTUAL", description, tuple(rules), mapping, text, version)

    def _named(self, node: Node | None, what: str, pattern: re.Pattern[str], allowed: str) -> str:
        name = self._scalar(node, what)
        if node is not None and name is not None and not pattern.fullmatch(name):
            self._wrong(node, f"{what} {name!r}: {allowed}")
        return name or ""

    def _roles(self, node: Node | None) -> dict[str, Accounts]:
        found = dict[str, Accounts]()
        if node is None:
            return found
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"mapping has a role's accounts by account_ref, for each role; this is {kind(node)}")
            return found
        count = 0
        for key, value in node.value:
            role = self._named(key, "role", _NAME, "lower-case letters, digits, _ and -, a letter first")
            if role in found:
                self._wrong(key, f"role {role!r} is there twice")
            found[role] = self._accounts(role, value)
            count += len(value.value) if isinstance(value, yaml.MappingNode) else 1
        if ROUNDING not in found:
            self._wrong(node, f"mapping needs the role {ROUNDING!r}: it gets what rounding leaves")
        if count > MAX_ACCOUNTS:
            self._wrong(node, f"{count:,} accounts, {MAX_ACCOUNTS:,} at most are taken")
        return found

    def _accounts(self, role: str, node: Node) -> Accounts:
        if isinstance(node, yaml.ScalarNode):
            return Accounts({}, (), self._account(node))
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._wrong(node, f"role {role!r} has an account, or accounts by account_ref; this is {kind(node)}")
            return Accounts({}, (), None)
        exact, prefixes, default = dict[str, str](), dict[str, str](), None
        for key, value in node.value:
            name = self._scalar(key, "account_ref")
            account = self._account(value)
            if name is None:
                continue
            if default is not None if name == _DEFAULT else (name in exact or name in prefixes):
                self._wrong(key, f"{name!r} is there twice")
            if name == _DEFAULT:
                default = account
            elif name.endswith("*"):
                prefixes[name] = account
            else:
                exact[name] = account
            if "*" in name[:-1]:
                self._wrong(key, f"{name!r}: a * stands at the end only")
        ordered = sorted(((name[:-1], account) for name, account in prefixes.items()), key=lambda item: -len(item[0]))
        return Accounts(exact, tuple(ordered), default)

    def _account(self, node: Node) -> str:
        code = self._scalar(node, "account")
        if code is not None and not _ACCOUNT.fullmatch(code):
            self._wrong(node, f"account {code!r}: letters, digits and _ . : / -, a letter or digit first, 32 at most")
        return code or ""

    def _rules(self, node: Node | None, mapping: dict[str, Accounts]) -> list[PostingRule]:
        found = list[PostingRule]()
        always = dict[int, str]()
        for each in self._items(node, "rules", MAX_RULES):
            rule = self._rule(each, mapping)
            if rule is None:
                continue
            if any(rule.name == other.name for other in found):
                self._wrong(each, f"rule {rule.name!r} is there twice")
            if rule.event_class in always:
                before = always[rule.event_class]
                self._wrong(each, f"rule {rule.name!r} is never reached: {before!r} takes every {self._class(rule)}")
            if rule.when is None:
                always.setdefault(rule.event_class, rule.name)
            found.append(rule)
        return found

    @staticmethod
    def _class(rule: PostingRule) -> str:
        return CLASSES[rule.event_class - 1]

    def _rule(self, node: Node, mapping: dict[str, Accounts]) -> PostingRule | None:
        keys = self._mapping(node, _RULE_KEYS, "a rule")
        if keys is None:
            return None
        self._require(node, keys, ("name", "class", "lines"), "a rule")
        name = self._named(keys.get("name"), "name", _NAME, "lower-case letters, digits, _ and -, a letter first")
        description = self._text(keys.get("description"), "description")
        before = len(self.mistakes)
        class_name = self._choice(keys.get("class"), "class", _BOOKED, "")
        when = self._when(keys["when"]) if "when" in keys else None
        if class_name not in _BOOKED or "lines" not in keys:
            return None
        event_class = CLASSES.index(class_name) + 1
        lines = self._lines(keys["lines"], event_class, mapping)
        if len(self.mistakes) == before:
            self._check_lines(keys["lines"], event_class, lines)
        return PostingRule(name, description, event_class, when, tuple(lines))

    def _when(self, node: Node) -> Condition | None:
        nodes = node.value if isinstance(node, yaml.SequenceNode) and node.value else [node]
        parts = list[Condition]()
        for each in nodes:
            place = self._expression(each, "a condition", 'currency != base, or account_ref like "FUND-*"')
            if place is None:
                continue
            try:
                parts.append(parse_condition(self._source, *place))
            except RuleSetError as error:
                self.mistakes.extend(error.mistakes)
        return parts[0] if len(parts) == 1 else Every(tuple(parts)) if parts else None

    def _expression(self, node: Node, what: str, example: str) -> tuple[int, int] | None:
        """Where an expression stands in the file."""
        start, stop = node.start_mark.index, node.end_mark.index
        if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
            self._wrong(node, f"{what} is a text, as in {example}; this is {kind(node)}")
            return None
        if node.style in ("'", '"'):
            self._wrong(node, f"write {what} without quotes around it")
            return None
        if node.style in ("|", ">"):
            start = min(self._source.text.find("\n", start) + 1 or stop, stop)
        return start, stop

    def _lines(self, node: Node, event_class: int, mapping: dict[str, Accounts]) -> list[RuleLine]:
        found = list[RuleLine]()
        for each in self._items(node, "lines", MAX_LINES):
            keys = self._mapping(each, _LINE_KEYS, "a line")
            if keys is None:
                continue
            self._require(each, keys, ("account", "side", "amount"), "a line")
            role = self._scalar(keys.get("account"), "account") or ""
            if role and role not in mapping:
                roles = ", ".join(mapping) or "none"
                self._wrong(keys["account"], f"role {role!r} has no accounts in the mapping; there are {roles}")
            side = self._choice(keys.get("side"), "side", tuple(_SIDES), "debit")
            lot = self._choice(keys.get("lot"), "lot", ("true", "false"), "false") == "true"
            form = self._amount(keys["amount"], event_class) if "amount" in keys else None
            if form is not None and side in _SIDES:
                found.append(RuleLine(role, _SIDES[side], form, lot, str(keys["amount"].value)))
        return found

    def _amount(self, node: Node, event_class: int) -> tuple[int, ...] | None:
        place = self._expression(node, "an amount", "gross + fee")
        if place is None:
            return None
        try:
            return parse_amount(self._source, *place, event_class)
        except RuleSetError as error:
            self.mistakes.extend(error.mistakes)
            return None

    def _check_lines(self, node: Node, event_class: int, lines: list[RuleLine]) -> None:
        """Debits are credits, whatever the amounts; the line of the lot is there and says what the lot costs."""
        for place in range(AMOUNTS):
            total = Fraction(sum(line.side * line.form[place] for line in lines), ONE)
            if total:
                more, less = ("debits", "credits") if total > 0 else ("credits", "debits")
                hint = "; the other currency goes to an account of its own, as fx_position" if event_class == FX else ""
                self._wrong(node, f"{more} are {abs(total)} x {_PARTS[place]} more than {less}{hint}")
        lots = [line for line in lines if line.lot]
        if event_class not in (BUY, SELL):
            if lots:
                self._wrong(node, f"a {CLASSES[event_class - 1]} has no lots: leave out lot")
        elif len(lots) != 1:
            self._wrong(node, f"one line of a {CLASSES[event_class - 1]} has lot: true; here {len(lots)} have")
        elif event_class == BUY:
            self._check_opening(node, lots[0])
        elif lots[0].side != CREDIT or lots[0].form != tuple(ONE * (place == COST) for place in range(AMOUNTS)):
            self._wrong(node, "the line of a SELL with lot: true is a credit of cost")

    def _check_opening(self, node: Node, line: RuleLine) -> None:
        if line.side != DEBIT or line.unit != ENTERED or min(line.form) < 0:
            self._wrong(node, "the line of a BUY with lot: true is a debit of gross or net, which is the lot's cost")
        if line.form[FEE_AMOUNT] % ONE:
            self._wrong(node, "the line with lot: true takes the fee whole or not at all")
