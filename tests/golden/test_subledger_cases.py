"""Worked accounting cases (subledger/*.yaml) against the subledger's core and against the plain model."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.subledger.plain import Plain
from tests.unit.subledger.real import Real
from tests.unit.subledger.texts import Told, number, of_plain

pytestmark = pytest.mark.golden

ENTITY = "ACME-EQ"
PERIODS = {"202512": "closed", "202601": "open", "202602": "open"}
_NUMBER = re.compile(r"(?<![\w./-])-?\d+\.\d+(?![\w./-])")


def cases() -> list[Any]:
    """All cases of all files; every scalar is a text, so that 1.10 stays what it is."""
    found = []
    for path in sorted((Path(__file__).parent / "subledger").glob("*.yaml")):
        # Safe: the base loader makes texts, lists and dictionaries only.
        for case in yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader):
            found.append(pytest.param(case, id=f"{path.stem}: {case['name']}"))
    return found


def plainly(text: str) -> str:
    """A text of a case with its numbers in their shortest form."""
    return _NUMBER.sub(lambda match: number(Decimal(match[0])), text)


def expected_entries(told: dict[str, list[str]]) -> dict[str, list[list[str]]]:
    """Lists of texts, cut before each entry."""
    found: dict[str, list[list[str]]] = {}
    for event, texts in told.items():
        entries = found.setdefault(event, [])
        for text in texts:
            if text.startswith(("ENTRY", "REVERSAL")):
                entries.append([text])
            else:
                entries[-1].append(plainly(text))
    return {event: [[head, *sorted(lines)] for head, *lines in entries] for event, entries in found.items()}


def check(expect: dict[str, Any], found: Told) -> None:
    """Compare what a case says with what came out."""
    assert found.entries == expected_entries(expect["entries"])
    assert found.rejects == sorted(expect.get("rejects", []))
    for instrument, numbers in expect.get("held", {}).items():
        wanted = {"unrealised": "0", "realised": "0"} | {name: number(value) for name, value in numbers.items()}
        assert found.held[instrument] == wanted, instrument
    if "balances" in expect:
        assert found.balances == sorted(plainly(text) for text in expect["balances"])


def periods_of(case: dict[str, Any]) -> dict[int, bool]:
    return {int(period): state == "open" for period, state in case.get("periods", PERIODS).items()}


def files_of(request: dict[str, Any]) -> list[list[dict[str, str]]]:
    return [[{"entity": ENTITY, "version": "1"} | row for row in file] for file in request["files"]]


@pytest.mark.parametrize("batch", [1000, 1], ids=["at-once", "row-by-row"])
@pytest.mark.parametrize("case", cases())
def test_the_core_does_as_the_case_says(case: dict[str, Any], batch: int) -> None:
    books = Real(ENTITY, case.get("base", "USD"), case.get("lots", "FIFO"), periods_of(case), case.get("rules"), batch)
    for request in case["requests"]:
        if "periods" in request:
            books.periods = periods_of(request)
        check(request["expect"], books.load(files_of(request)))


@pytest.mark.parametrize("case", [case for case in cases() if "rules" not in case.values[0]])
def test_the_plain_model_does_as_the_case_says(case: dict[str, Any]) -> None:
    books = Plain(ENTITY, case.get("base", "USD"), case.get("lots", "FIFO"), periods_of(case))
    for request in case["requests"]:
        if "periods" in request:
            books.periods = periods_of(request)
        check(request["expect"], of_plain(books, books.load(files_of(request))))
