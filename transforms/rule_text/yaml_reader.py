"""YAML of rule files, node by node; what is wrong is collected with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from transforms.rule_text.places import Mistake, Source

MAX_BYTES: Final = 262_144
"""Of a rule file, so that it fits into a control record."""
_MAX_DEPTH: Final = 16

Node = Any
"""A node of PyYAML, which has no types."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """What was probably meant, and all there is."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(names)}"


class Loader(yaml.SafeLoader):
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


class YamlReader:
    """Reads a rule file; a domain's reader derives from it. `mistakes` gets what is wrong."""

    def __init__(self, text: str) -> None:
        self._source = Source(text)
        self.mistakes = list[Mistake]()

    def _root(self, what: str) -> Node:
        """The file's root node. Raises RuleSetError where nothing can be read on."""
        text = self._source.text
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise self._source.error(error.start, "a lone surrogate is no character") from None
        if size > MAX_BYTES:
            raise self._source.error(0, f"the file has {size:,} bytes, {MAX_BYTES:,} at most are taken")
        return self._compose(what)

    def _compose(self, what: str) -> Node:
        try:
            loader = Loader(self._source)
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
            raise self._source.error(0, f"the file is empty: {what}")
        return root

    def _wrong(self, node: Node, message: str) -> None:
        self.mistakes.append(self._source.mistake(node.start_mark.index, message))

    def _mapping(self, node: Node, known: tuple[str, ...], what: str) -> dict[str, Node] | None:
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"{what} is a mapping of {', '.join(known)}; this is {kind(node)}")
            return None
        found = dict[str, Node]()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value not in known:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else kind(key)
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
            self._wrong(node, f"{what} must be a text; this is {kind(node)}")
            return None
        return str(node.value)

    def _text(self, node: Node | None, what: str) -> str:
        return " ".join((self._scalar(node, what) or "").split())

    def _items(self, node: Node | None, what: str, most: int) -> list[Node]:
        """What a list holds; nothing and a mistake where there is none of 1 to `most`, nothing where it is missing."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._wrong(node, f"{what} is a list of {what}, one at least; this is {kind(node)}")
            return []
        if len(node.value) > most:
            self._wrong(node.value[most], f"{len(node.value)} {what}, {most} at most are taken")
            return []
        return list(node.value)

    def _choice(self, node: Node | None, what: str, choices: tuple[str, ...], default: str) -> str:
        value = self._scalar(node, what)
        if node is None or value is None:
            return default
        if value not in choices:
            hint = "; YAML reads off without quotes, too" if value.lower() in ("on", "yes", "true") else ""
            self._wrong(node, f"{what} {value!r}: {suggestion(value, choices)}{hint}")
        return value


def kind(node: Node) -> str:
    """What a node is, in words."""
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
