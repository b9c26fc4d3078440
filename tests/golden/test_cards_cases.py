"""Cases labelled by the certification's own engine: the seed set says the same of every one, and so does explain."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.unit.cards.rules.seed_model import first_rule, transactions_of
from transforms.cards.rules.cases import Case, read_cases, run
from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.explain import explain
from transforms.cards.rulesets import shipped

pytestmark = pytest.mark.golden

FILE = Path(__file__).parent / "cards" / "cases.jsonl.gz"


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    with gzip.open(FILE, "rt") as lines:
        return list(read_cases(lines))


def test_the_seed_set_agrees_with_every_case(cases: list[Case]) -> None:
    seed = shipped("seed")
    outcomes = list(run(compile_set(seed), cases, len(seed.rules)))
    assert len(outcomes) == 300
    assert [(one.case.id, one.case.group, one.case.rule, one.rule) for one in outcomes if not one.agrees] == []


def test_explain_names_the_deciding_rule_first(cases: list[Case]) -> None:
    for case in cases:
        hits = explain(shipped("seed"), case.items, case.items.shape[1])
        assert (hits[0].number if hits else 0) == case.rule, f"case {case.id} ({case.group}): {hits}"
        assert all(hit.facts for hit in hits)


def test_the_model_of_the_tests_agrees_with_every_case(cases: list[Case]) -> None:
    for case in cases:
        assert first_rule(transactions_of(case.items)) == case.rule, f"case {case.id} ({case.group})"
