"""Rule files: YAML in, a checked `RuleSet` out, or every mistake with its line and column."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

import yaml

from transforms.cards.rules.expressions import NamedList, parse_condition
from transforms.cards.rules.folding import warn_of_constants
from transforms.cards.rules.model import MODES, SEVERITIES, And, Mode, Rule, RuleSet, Truth
from transforms.rule_text.places import Mistake, RuleSetError
from transforms.rule_text.yaml_reader import Node, YamlReader, kind

MAX_RULES: Final = 1_000
_SET_KEYS: Final = ("name", "description", "zone", "lists", "rules")
_RULE_KEYS: Final = ("name", "description", "mode", "severity", "score", "when")
_SET_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_RULE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_LIST_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def parse(text: str, source: str = "") -> RuleSet:
    """The rule set that a file's text describes. `source` names the file in errors.

    Raises RuleSetError with all mistakes.
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


def version_of(text: str) -> str:
    """How a rule set's text is named in verdicts: the first 12 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _Reader(YamlReader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._warnings = list[Mistake]()

    def read(self) -> RuleSet | None:
        """The rule set, or None if there are `mistakes`. Raises RuleSetError where nothing can be read on."""
        root = self._root("a rule set has a name and rules")
        keys = self._mapping(root, _SET_KEYS, "a rule set")
        if keys is None:
            return None
        self._require(root, keys, ("name", "rules"), "a rule set")
        name = self._name(keys.get("name"), _SET_NAME, "lower-case letters, digits and dashes")
        description = self._text(keys.get("description"), "description")
        zone = self._zone(keys.get("zone"))
        lists = self._lists(keys.get("lists"))
        rules = self._rules(keys.get("rules"), lists)
        if self.mistakes:
            return None
        text = self._source.text
        warn_of_constants(rules, self._warnings)
        self._warnings.sort(key=lambda warning: (warning.line, warning.column))
        return RuleSet(name, description, zone, tuple(rules), text, version_of(text), tuple(self._warnings))

    def _name(self, node: Node | None, pattern: re.Pattern[str], allowed: str) -> str:
        name = self._scalar(node, "name")
        if node is not None and name is not None and not pattern.fullmatch(name):
            self._wrong(node, f"name {name!r}: {allowed}, a letter first, 32 at most")
        return name or ""

    def _zone(self, node: Node | None) -> str:
        name = self._scalar(node, "zone")
        if node is None or name is None:
            return "UTC"
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self._wrong(node, f"unknown zone {name!r}: a name of the time zone database, as Europe/Berlin, or UTC")
        return name

    def _lists(self, node: Node | None) -> dict[str, NamedList]:
        found = dict[str, NamedList]()
        if node is None:
            return found
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"lists is a mapping of names to lists; this is {kind(node)}")
            return found
        for key, value in node.value:
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or not _LIST_NAME.fullmatch(name):
                self._wrong(key, f"name of a list {name!r}: lower-case letters, digits and underscores, a letter first")
            elif name in found:
                self._wrong(key, f"list {name!r} is given twice")
            else:
                found[name] = self._list(name, value)
        return found

    def _list(self, name: str, node: Node) -> NamedList:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._wrong(node, f"list {name!r} is a list of texts or numbers, not empty; this is {kind(node)}")
            return NamedList(())
        values = list[str | int]()
        for each in node.value:
            if not isinstance(each, yaml.ScalarNode):
                self._wrong(each, f"list {name!r} has texts or numbers; this is {kind(each)}")
            elif each.style in ("'", '"'):
                values.append(each.value)
            elif re.fullmatch(r"[1-9][0-9_]{0,14}|0", each.value):
                values.append(int(each.value))
            else:
                self._wrong(
                    each, f"{each.value!r}: write texts in quotes, numbers as whole numbers without leading zero"
                )
        if len({type(value) for value in values}) > 1:
            self._wrong(node, f"list {name!r} mixes texts and numbers")
        return NamedList(tuple(values))

    def _rules(self, node: Node | None, lists: dict[str, NamedList]) -> list[Rule]:
        found = list[Rule]()
        lines = dict[str, int]()
        for each in self._items(node, "rules", MAX_RULES):
            rule = self._rule(each, lists)
            if rule is None:
                continue
            if rule.name in lines:
                message = f"rule {rule.name!r} is there already, on line {lines[rule.name]}"
                self.mistakes.append(Mistake(rule.line, rule.column, message))
            lines.setdefault(rule.name, rule.line)
            found.append(rule)
        return found

    def _rule(self, node: Node, lists: dict[str, NamedList]) -> Rule | None:
        keys = self._mapping(node, _RULE_KEYS, "a rule")
        if keys is None:
            return None
        self._require(node, keys, ("name", "when"), "a rule")
        name = self._name(keys.get("name"), _RULE_NAME, "letters, digits, dashes and underscores")
        description = self._text(keys.get("description"), "description")
        mode = self._choice(keys.get("mode"), "mode", MODES, "live")
        severity = self._choice(keys.get("severity"), "severity", tuple(SEVERITIES), "medium")
        score = self._score(keys.get("score"), SEVERITIES.get(severity, 0))
        when = self._when(keys["when"], lists) if "when" in keys else None
        if when is None or "name" not in keys:
            return None
        place = self._source.mistake(keys["name"].start_mark.index, "")
        found: Mode = mode  # type: ignore[assignment]
        return Rule(name, description, when, found, severity, score, place.line, place.column)

    def _score(self, node: Node | None, default: int) -> int:
        text = self._scalar(node, "score")
        if node is None or text is None:
            return default
        if not re.fullmatch(r"0|[1-9][0-9]{0,3}", text) or int(text) > 1_000:
            self._wrong(node, f"score {text!r}: a whole number from 0 to 1000")
            return default
        return int(text)

    def _when(self, node: Node, lists: dict[str, NamedList]) -> Truth | None:
        """All conditions of a list, or one; None and mistakes if one cannot be read."""
        if isinstance(node, yaml.MappingNode) or (isinstance(node, yaml.SequenceNode) and not node.value):
            self._wrong(node, f"when is a condition or a list of conditions that must all hold; this is {kind(node)}")
            return None
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        parts = list[Truth]()
        for each in nodes:
            try:
                parts.append(self._condition(each, lists))
            except RuleSetError as error:
                cut = bool(getattr(node, "flow_style", False)) and error.mistakes[0].message.endswith("the end")
                hint = "; between [ and ] a comma ends a condition: give each a line of its own, after a dash"
                self.mistakes += [replace(one, message=one.message + hint * cut) for one in error.mistakes]
        if len(parts) < len(nodes):
            return None
        return parts[0] if len(parts) == 1 else And(tuple(parts), " and ".join(part.text for part in parts))

    def _condition(self, node: Node, lists: dict[str, NamedList]) -> Truth:
        start, stop = node.start_mark.index, node.end_mark.index
        if not isinstance(node, yaml.ScalarNode):
            raise self._source.error(start, f"a condition is a text, as in amount > 1000; this is {kind(node)}")
        text = self._source.text
        if node.style in ("'", '"'):
            start, stop = start + 1, stop - 1
            inner = text.find("\\" if node.style == '"' else "''", start, stop)
            if inner >= 0:
                raise self._source.error(inner, "write the condition without quotes around it; texts in it need none "
                                                "but double quotes")  # fmt: skip
        elif node.style in ("|", ">"):
            start = min(text.find("\n", start) + 1 or stop, stop)
        return parse_condition(self._source, start, stop, lists, self._warnings)
