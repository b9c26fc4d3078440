"""Every kind of mistake in a rule file is told with its line and column, and none hides another."""

from __future__ import annotations

import pytest

from transforms.cards.rules.compile import compile_set
from transforms.cards.rules.language import MAX_RULES, parse
from transforms.rule_text.places import RuleSetError
from transforms.rule_text.yaml_reader import MAX_BYTES

pytestmark = pytest.mark.unit

HEAD = "name: tried\nrules:\n  - name: R1\n    when: "
"""Conditions appended to this start at line 4, column 11."""


def mistakes_of(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(RuleSetError) as caught:
        parse(text, "tried.yaml")
    assert str(caught.value).startswith("tried.yaml: line ")
    return [(one.line, one.column, one.message) for one in caught.value.mistakes]


def the_mistake(text: str) -> tuple[int, int, str]:
    found = mistakes_of(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("condition", "column", "told"),
    [
        # Tokens.
        ("amount = 5", 8, "write == to compare"),
        ("amount > 5 && amount < 9", 12, "write and"),
        ("amount > 5 || amount < 9", 12, "write or"),
        ("country == '001'", 12, "double quotes"),
        ('country == "001', 12, "does not end"),
        ("amount ≥ 5", 8, "write >="),
        ("amount > 5 ; 6", 12, "means nothing"),
        ("amount > 5€", 11, "means nothing"),
        ("sum(amount within 1hour) > 5", 19, "unknown unit 'hour'"),
        ("sum(amount within 0.0001s) > 5", 19, "no whole number of milliseconds"),
        ("amount > 99999999999999999999", 10, "too large"),
        ("amount > 9000000000000000 * 9", 27, "too large"),
        # Structure.
        ("amount", 1, "is no condition: compare it, as in amount > ..."),
        ("country", 1, "as in country == ..."),
        ("count(within 1h)", 1, "is no condition"),
        ("not amount", 5, "is no condition"),
        ("amount > 5 and country", 16, "is no condition"),
        ("amount > 5 or amount", 15, "is no condition"),
        ("amount >", 9, "expected a field, a number, a text or a function, found the end"),
        ("+ 5 > 1", 1, "expected a field"),
        ("amount > 5 and", 15, "found the end"),
        ("(amount > 5", 12, "')' is missing to close the one at column 11"),
        ("amount > 5)", 11, "unexpected ')'"),
        ("1 < amount < 5", 12, "cannot be chained"),
        ("amount > 5 amount < 9", 12, "unexpected 'amount'"),
        ("(amount > 5) > 3", 1, "is a condition, not a value"),
        ("(amount > 5) + 3 > 1", 1, "is a condition, not a value"),
        ("amount > 3 + (amount > 5)", 14, "is a condition, not a value"),
        ("amount == true", 11, "there is no true"),
        ("(" * 40 + "amount > 5" + ")" * 40, 33, "nested deeper"),
        ("not " * 40 + "amount > 5", 129, "nested deeper"),
        ("amount > " + "-" * 40 + "5", 42, "nested deeper"),
        # Names.
        ("amonut > 5", 1, "unknown field 'amonut': did you mean 'amount'?"),
        ("total(amount) > 5", 1, "unknown function 'total'"),
        ("counts(within 1h) > 5", 1, "did you mean 'count'?"),
        ("sum > 5", 1, "needs brackets, as in sum(amount within 1h)"),
        ("within > 5", 1, "cannot stand here"),
        ("this > 5", 6, "'.' is missing after this"),
        ("this.amonut > 5", 6, "did you mean 'amount'?"),
        ("moving_window_sum > 5", 1, "needs brackets"),
        ("moving_window_sum(1) > 5", 19, "')' is missing"),
        # Types.
        ("country == 111", 12, 'write texts in double quotes as in "111"'),
        ("country == 1", 12, 'as in "001"'),
        ('country > "111"', 9, "texts have no order"),
        ('("111" < country)', 8, "texts have no order"),
        ('amount > "500"', 10, "write numbers without quotes"),
        ('("500" < amount)', 2, "write numbers without quotes"),
        ('("111" == "111")', 2, "both sides are texts"),
        ("country == city", 9, "never equal"),
        ("country == amount", 12, "country is a text"),
        ("country + 1 > 5", 1, "is a text: it can be compared"),
        ('amount + "1" > 5', 10, "is a text"),
        ('country == "ä11"', 12, "printable ASCII"),
        ("amount / 0 > 5", 10, "division by zero"),
        ("amount % 0 == 5", 10, "division by zero"),
        # Lists.
        ("amount in 5", 11, "in needs a list"),
        ("amount in []", 12, "a list has texts"),
        ("amount in [1, 2", 16, "',' is missing between"),
        ("amount in [1.5]", 12, "whole numbers"),
        ("amount in nowhere", 11, "unknown list 'nowhere', there are none"),
        ('amount in ["001"]', 12, 'is a number, "001" is a text'),
        ("country in [1]", 13, 'as in "001"'),
        ("5 in [1]", 1, "must be a field"),
        # Aggregates.
        ("sum() > 5", 5, "sum needs a field"),
        ("count(amount) > 5", 7, "count takes no field"),
        ("sum(country) > 5", 5, "sum needs a number"),
        ("mean(amonut) > 5", 6, "did you mean 'amount'?"),
        ("sum(5) > 5", 5, "sum needs a field"),
        ("sum(amount 5) > 5", 12, "')' is missing to close sum("),
        ("sum(amount within) > 5", 18, "needs a duration with a unit"),
        ("sum(amount within 30) > 5", 19, "needs a duration with a unit"),
        ("sum(amount within 0d) > 5", 19, "above 0"),
        ("sum(amount within 4000d) > 5", 19, "at most 3650d"),
        ("sum(amount within 1d within 2d) > 5", 22, "given twice"),
        ("sum(amount ladder 1d within 2d) > 5", 29, "stands alone"),
        ("sum(amount within 1d before 2d) > 5", 29, "shorter than within"),
        ("sum(amount within 1d > 5", 22, "')' is missing to close sum("),
        ("sum(amount where) > 5", 12, "where without a condition"),
        ("sum(amount where amount) > 5", 18, "is no condition"),
        ("count(where this.amount > 5) > 1", 25, "neither side is of the item"),
        ("count(where amount > time) > 1", 20, "both sides are of the item"),
        ("count(where amount + 1 > 5) > 1", 20, "calculates nothing"),
        ("count(where this.amount in [5]) > 1", 13, "must test a field of the item"),
        ("at(amount, 1) > 5", 4, "at needs a position"),
        ("at(1) > 5", 5, "between position and field"),
        ("at(20, amount) > 5", 4, "positions are -20 to 19"),
        ("at(1, 5) > 5", 7, "a field is missing"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_condition(condition: str, column: int, told: str) -> None:
    line, found, message = the_mistake(HEAD + condition)
    assert told in message
    assert (line, found) == (4, 10 + column), message


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        ("", 1, 1, "the file is empty"),
        ("# nothing\n", 1, 1, "the file is empty"),
        ("rules", 1, 1, "a rule set is a mapping"),
        ("- a\n- b", 1, 1, "this is a list"),
        ("name: a\nrules: [", 2, 9, "no YAML"),
        ("name: a\nrules:\n\t- name: b", 3, 1, "spaces, not tabs"),
        ("name: a\nname: b\nrules:\n- {name: R1, when: amount > 1}", 2, 1, "given twice, first on line 1"),
        ("name: a\ncolour: red\nrules:\n- {name: R1, when: amount > 1}", 2, 1, "unknown key 'colour'"),
        ("name: a\nruels:\nrules:\n- {name: R1, when: amount > 1}", 2, 1, "did you mean 'rules'?"),
        ("rules:\n- {name: R1, when: amount > 1}", 1, 1, "a rule set needs 'name'"),
        ("name: a", 1, 1, "a rule set needs 'rules'"),
        ("name: A b\nrules:\n- {name: R1, when: amount > 1}", 1, 7, "lower-case letters"),
        ("name:\nrules:\n- {name: R1, when: amount > 1}", 1, 6, "name must be a text; this is empty"),
        ("name: a\nzone: Mars/Base\nrules:\n- {name: R1, when: amount > 1}", 2, 7, "unknown zone 'Mars/Base'"),
        ("name: a\nzone: ../x\nrules:\n- {name: R1, when: amount > 1}", 2, 7, "unknown zone"),
        ("name: a\nrules: []", 2, 8, "one at least"),
        ("name: a\nrules: {}", 2, 8, "this is an empty mapping"),
        ("name: a\nrules:\n  - R1", 3, 5, "a rule is a mapping"),
        ("name: a\nrules:\n  - name: R1", 3, 5, "a rule needs 'when'"),
        ("name: a\nrules:\n  - when: amount > 1", 3, 5, "a rule needs 'name'"),
        ("name: a\nrules:\n  - {name: R 1, when: amount > 1}", 3, 12, "letters, digits, dashes"),
        ("name: a\nrules:\n  - {name: R1, when: }", 3, 21, "a condition is missing"),
        ("name: a\nrules:\n  - {name: R1, when: []}", 3, 22, "this is an empty list"),
        ("name: a\nrules:\n  - name: R1\n    when: {amount: 5}", 4, 11, "this is a mapping"),
        ("name: a\nrules:\n  - name: R1\n    when:\n      - [amount > 5]", 5, 9, "a condition is a text"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, mode: on}", 3, 40, "YAML reads off"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, mode: liv}", 3, 40, "did you mean 'live'?"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, severity: bad}", 3, 44, "severity 'bad'"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, score: 1001}", 3, 41, "0 to 1000"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, score: 0x1}", 3, 41, "0 to 1000"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, score: [1]}", 3, 41, "score must be a text"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1, then: x}", 3, 34, "unknown key 'then'"),
        ("name: a\nrules:\n  - {name: R1, when: amount > 1}\n  - {name: R1, when: amount > 2}", 4, 12, "on line 3"),
        ("name: a\nlists: [a]\nrules:\n- {name: R1, when: amount > 1}", 2, 8, "lists is a mapping"),
        ("name: a\nlists: {x: []}\nrules:\n- {name: R1, when: amount > 1}", 2, 12, "not empty"),
        ("name: a\nlists: {X: [1]}\nrules:\n- {name: R1, when: amount > 1}", 2, 9, "name of a list"),
        ("name: a\nlists: {x: [0022]}\nrules:\n- {name: R1, when: amount > 1}", 2, 13, "'0022': write texts in quotes"),
        ("name: a\nlists: {x: [[1]]}\nrules:\n- {name: R1, when: amount > 1}", 2, 13, "this is a list"),
        ('name: a\nlists: {x: [1, "1"]}\nrules:\n- {name: R1, when: amount > 1}', 2, 12, "mixes"),
        ("name: a\nrules: &all\n- {name: R1, when: amount > 1}", 2, 8, "anchors and aliases"),
        ("name: *x\nrules:\n- {name: R1, when: amount > 1}", 1, 7, "anchors and aliases"),
        ("name: !!str a\nrules:\n- {name: R1, when: amount > 1}", 1, 7, "tags"),
        ("name: a\nrules:\n- {name: R1, when: amount > 1}\n---\nname: b", 4, 1, "no YAML"),
        ("name: a\nrules:\n- {name: \x07R1, when: amount > 1}", 3, 10, "no YAML"),
        ('name: a\nrules:\n- name: R1\n  when: "country == \\"001\\""', 4, 21, "without quotes around it"),
        ("name: a\nrules:\n- name: R1\n  when: '''amount'' > 5'", 4, 10, "without quotes around it"),
        ('name: a\nrules:\n- name: R1\n  when: "001" == country', 4, 15, "must not start with a quote"),
        ("name: a\nrules:\n- name: R1\n  when: [amount > 1, hour in [1, 2]]", 4, 30, "a line of its own"),
        ("name: a\nrules:\n- name: R1\n  when:\n  - amount > 1\n  -\n    amonut > 5", 7, 5, "unknown field"),
        ("name: a\nrules:\n- name: R1\n  when:\n  - amount > 1\n    and amonut > 5", 6, 9, "unknown field"),
        ("name: a\nrules:\n- name: R1\n  when: |\n    amount > 1\n    and amonut > 5", 6, 9, "unknown field"),
        ("name: a\nrules:\n- name: R1\n  when: >-\n    amount > 1\n    and amonut > 5", 6, 9, "unknown field"),
        ("name: a\r\nrules:\r\n- name: R1\r\n  when: amonut > 5", 4, 9, "unknown field"),
        ("name: a\nrules:\n" + "- {name: R1, when: amount > 1}\n" * (MAX_RULES + 1), MAX_RULES + 3, 3, "at most"),
        ("#" * (MAX_BYTES + 1), 1, 1, "at most are taken"),
        ("name: \ud800", 1, 7, "lone surrogate"),
        ("[" * 200_000, 1, 17, "nested deeper than 16 levels"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file(text: str, line: int, column: int, told: str) -> None:
    found_line, found_column, message = the_mistake(text)
    assert told in message
    assert (found_line, found_column) == (line, column), message


def test_all_mistakes_are_told_at_once_by_place() -> None:
    text = "name: A\nrules:\n- name: R1\n  when:\n  - amonut > 1\n  - amount >\n  mode: x\n- {name: R2, wen: 1}"
    assert [(line, column) for line, column, _ in mistakes_of(text)] == [
        (1, 7),
        (5, 5),
        (6, 13),
        (7, 9),
        (8, 3),
        (8, 14),
    ]


@pytest.mark.parametrize(
    ("condition", "column", "told"),
    [
        ('code == "0004"', 9, '"0004" has 4 characters, code has 5: it never matches'),
        ('merchant in ["0001", "2"]', 22, "merchant has 4"),
        ('count(where country == "1") > 0', 24, "country has 3"),
        ('last(country) != "0001"', 18, "country has 3"),
        ('card == "0000400022last"', 9, '"0000400022last" has characters other than digits, card has not'),
    ],
)
def test_a_text_that_its_field_cannot_hold_is_warned_of(condition: str, column: int, told: str) -> None:
    found = parse(HEAD + condition)
    assert [(one.line, one.column) for one in found.warnings if told in one.message] == [(4, 10 + column)]
    compile_set(found)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("count() > 100", "never fires: count() > 100"),
        ("count() >= 21", "never fires"),
        ("count(past) > 19", "never fires"),
        ("hour == 24", "never fires"),
        ("amount > 3000000000", "never fires"),
        ("amount >= 0", "fires on every transaction"),
        ("not hour > 23", "fires on every transaction"),
        ('code == "0004" and amount > 5', 'never fires: code == "0004"'),
        ('code in ["0004"]', "never fires"),
        ('code != "0004"', "fires on every transaction"),
        ("1 > 2 or weekday == 0", "never fires: 1 > 2, weekday == 0"),
        ("5 < 3", "never fires"),
    ],
)
def test_a_rule_of_which_the_outcome_is_known_is_warned_of(condition: str, told: str) -> None:
    found = [one for one in parse(HEAD + condition).warnings if told in one.message]
    assert [(one.line, one.column) for one in found] == [(3, 11)], parse(HEAD + condition).warnings


@pytest.mark.parametrize(
    "condition",
    ["count() >= 20", "count() > 19", "count(past) >= 19", "amount <= 2147483646", "hour != 23", "last(hour) < 24"],
)
def test_what_can_go_either_way_is_not_warned_of(condition: str) -> None:
    assert parse(HEAD + condition).warnings == ()
