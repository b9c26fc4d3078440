"""Rule files: YAML in, a checked `RuleSet` out, or every mistake with its line and column."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from transforms.cards.rules.expressions import NamedList, parse_condition, suggestion
from transforms.cards.rules.folding import warn_of_constants
from transforms.cards.rules.lexer import Source
from transforms.cards.rules.model import MODES, SEVERITIES, And, Mistake, Mode, Rule, RuleSet, RuleSetError, Truth

MAX_BYTES: Final = 262_144
"""Of a rule file, so that it fits into a control record."""
MAX_RULES: Final = 1_000
_MAX_DEPTH: Final = 16
_SET_KEYS: Final = ("name", "description", "zone", "lists", "rules")
_RULE_KEYS: Final = ("name", "description", "mode", "severity", "score", "when")
_SET_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_RULE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_LIST_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

Node = Any
"""A node of PyYAML, which has no types."""


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


class _Loader(yaml.SafeLoader):
    """Refuses what would let a reader mistake one rule for another, or a small file take long."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.text)
        self._source = source
        self._depth = 0

    def compose_node(self, parent: Node, index: Any) -> Node:
        """The next node. Raises RuleSetError."""
        untyped: Any = self
        event = untyped.peek_event()
        at = event.start_mark.index
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._source.error(at, "anchors and aliases are not taken: write it out, or use lists")
        if getattr(event, "tag", None):
            raise self._source.error(at, f"tags ({event.tag}) are not taken")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._source.error(at, f"nested deeper than {_MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._source = Source(text)
        self.mistakes = list[Mistake]()
        self._warnings = list[Mistake]()

    def read(self) -> RuleSet | None:
        """The rule set, or None if there are `mistakes`. Raises RuleSetError where nothing can be read on."""
        text = self._source.text
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise self._source.error(error.start, "a lone surrogate is no character") from None
        if size > MAX_BYTES:
            raise self._source.error(0, f"the file has {size:,} bytes, {MAX_BYTES:,} at most are taken")
        root = self._compose()
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
        warn_of_constants(rules, self._warnings)
        self._warnings.sort(key=lambda warning: (warning.line, warning.column))
        return RuleSet(name, description, zone, tuple(rules), text, version_of(text), tuple(self._warnings))

    def _compose(self) -> Node:
        try:
            loader = _Loader(self._source)
            try:
                root = loader.get_single_node()
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = mark.index if mark is not None else 0
            problem = error.problem or error.context or "cannot be read"
            hint = _yaml_hint(self._source.text, at)
            raise self._source.error(at, f"no YAML: {problem}{hint}") from None
        except yaml.reader.ReaderError as error:
            raise self._source.error(
                error.position, f"no YAML: {error.reason}, character {error.character!r}"
            ) from None
        if root is None:
            raise self._source.error(0, "the file is empty: a rule set has a name and rules")
        return root

    def _wrong(self, node: Node, message: str) -> None:
        self.mistakes.append(self._source.mistake(node.start_mark.index, message))

    def _mapping(self, node: Node, known: tuple[str, ...], what: str) -> dict[str, Node] | None:
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"{what} is a mapping of {', '.join(known)}; this is {_kind(node)}")
            return None
        found = dict[str, Node]()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value not in known:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else _kind(key)
                self._wrong(key, f"unknown key {name!r} of {what}: {suggestion(name, known)}")
            elif key.value in found:
                line = self._source.mistake(found[key.value].start_mark.index, "").line
                self._wrong(key, f"{key.value!r} is given twice, first on line {line}")
            else:
                found[key.value] = value
        return found

    def _require(self, node: Node, keys: dict[str, Node], needed: tuple[str, ...], what: str) -> None:
        for name in needed:
            if name not in keys:
                self._wrong(node, f"{what} needs {name!r}")

    def _scalar(self, node: Node | None, what: str) -> str | None:
        """A scalar as it was written; None and a mistake for anything else, None for a missing one."""
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode) or (node.tag.endswith(":null") and node.style is None):
            self._wrong(node, f"{what} must be a text; this is {_kind(node)}")
            return None
        return str(node.value)

    def _text(self, node: Node | None, what: str) -> str:
        return " ".join((self._scalar(node, what) or "").split())

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

    def _choice(self, node: Node | None, what: str, choices: tuple[str, ...], default: str) -> str:
        value = self._scalar(node, what)
        if node is None or value is None:
            return default
        if value not in choices:
            hint = "; YAML reads off without quotes, too" if value.lower() in ("on", "yes", "true") else ""
            self._wrong(node, f"{what} {value!r}: {suggestion(value, choices)}{hint}")
        return value

    def _lists(self, node: Node | None) -> dict[str, NamedList]:
        found = dict[str, NamedList]()
        if node is None:
            return found
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"lists is a mapping of names to lists; this is {_kind(node)}")
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
            self._wrong(node, f"list {name!r} is a list of texts or numbers, not empty; this is {_kind(node)}")
            return NamedList(())
        values = list[str | int]()
        for each in node.value:
            if not isinstance(each, yaml.ScalarNode):
                self._wrong(each, f"list {name!r} has texts or numbers; this is {_kind(each)}")
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
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._wrong(node, f"rules is a list of rules, one at least; this is {_kind(node)}")
            return []
        if len(node.value) > MAX_RULES:
            self._wrong(node.value[MAX_RULES], f"{len(node.value)} rules, {MAX_RULES} at most are taken")
            return []
        found = list[Rule]()
        lines = dict[str, int]()
        for each in node.value:
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
            self._wrong(node, f"when is a condition or a list of conditions that must all hold; this is {_kind(node)}")
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
            raise self._source.error(start, f"a condition is a text, as in amount > 1000; this is {_kind(node)}")
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


def _kind(node: Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping" if node.value else "an empty mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list" if node.value else "an empty list"
    return "empty" if node.tag.endswith(":null") else f"the text {node.value!r}"


def _yaml_hint(text: str, at: int) -> str:
    """Why a correct condition may be no YAML."""
    line = text[text.rfind("\n", 0, at) + 1 :].split("\n", 1)[0]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; YAML is indented with spaces, not tabs"
    if re.search(r"when:\s*\[.*\bin\s*\[", line):
        return "; a condition with a list of values needs a line of its own, after a dash"
    if re.search(r'(?:-|when:)\s+["\'].*["\']\s*\S', line):
        return "; a condition must not start with a quote: put the field first"
    return ""
