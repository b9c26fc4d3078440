"""Posting rules say what they mean, or what is wrong with them and where."""

from __future__ import annotations

import pyarrow as pa
import pytest

from transforms.subledger.fields import COLUMNS
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.rules import PostingRules, RulesError, parse_rules
from transforms.subledger.rules.model import ONE
from transforms.subledger.rulesets import SHIPPED, shipped, text_of
from transforms.subledger.settings import Settings

pytestmark = pytest.mark.unit

_TEXT = """\
name: own
mapping:
  a: "1"
  b: {default: "2", "F-1": "3", "F-*": "4", "F-10*": "5"}
  rounding: "9"
rules:
  - name: income
    class: INCOME
    when: WHEN
    lines:
      - {account: a, side: debit, amount: AMOUNT}
      - {account: b, side: credit, amount: AMOUNT}
"""


def _with(when: str = "late or not late", amount: str = "gross") -> str:
    return _TEXT.replace("WHEN", when).replace("AMOUNT", amount)


def _mistakes(text: str) -> list[str]:
    with pytest.raises(RulesError) as found:
        parse_rules(text, "own.yaml")
    return [str(mistake) for mistake in found.value.mistakes]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_can_be_read(name: str) -> None:
    rules = shipped(name)
    assert {rule.event_class for rule in rules.rules} == set(range(1, 8))
    assert len(rules.version) == 64
    assert rules.text == text_of(name)


def test_an_unknown_set_is_named_with_those_that_ship() -> None:
    with pytest.raises(KeyError, match="no posting rules 'x' ship; there are standard"):
        text_of("x")


@pytest.mark.parametrize(("account_ref", "account"), [
    ("F-1", "3"), ("F-2", "4"), ("F-10", "5"), ("F-100", "5"), ("F-", "4"), ("G", "2"), ("default", "2"),
])  # fmt: skip
def test_an_account_is_the_exact_one_then_the_longest_beginning_then_the_default(
    account_ref: str, account: str
) -> None:
    rules = parse_rules(_with())
    assert rules.mapping["b"].account(account_ref) == account
    assert rules.accounts == {"1", "2", "3", "4", "5", "9"}


def test_without_a_default_there_may_be_none() -> None:
    assert shipped("standard").mapping["cash"].account("SUSPENSE") is None


_AMOUNTS = [
    ("gross", (1, 0)), ("amount", (1, 0)), ("fee", (0, 1)), ("net", (1, -1)), ("-fee", (0, -1)),
    ("gross - 0.5 * fee", (1, -0.5)), ("2 * (gross + fee) / 4", (0.5, 0.5)), ("1_000 * gross / 1000", (1, 0)),
    ("(0.1 + 0.2) * gross", (0.3, 0)), ("gross * -1", (-1, 0)), ("gross / 8", (0.125, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "form"), _AMOUNTS)
def test_amounts_are_sums_of_parts(amount: str, form: tuple[float, float]) -> None:
    line = parse_rules(_with(amount=amount)).rules[0].lines[0]
    assert line.form == (round(form[0] * ONE), round(form[1] * ONE), 0, 0, 0)


@pytest.mark.parametrize(("amount", "told"), [
    ("gros", "no amount 'gros' for events of this class: did you mean 'gross'?"),
    ("cost", "no amount 'cost' for events of this class"),
    ("gross * fee", "an amount can be multiplied by numbers only"),
    ("gross / fee", "divided by numbers other than 0 only"),
    ("gross / 0", "divided by numbers other than 0 only"),
    ("gross / 3", "a factor has more than 8 decimals"),
    ("5", "a number alone is no amount"),
    ("gross + 5", "a number alone is no amount"),
    ("gross - gross", "this amount is always 0"),
    ("1001 * gross", "a factor is larger than 1000"),
    ("gross fee", "unexpected 'fee' after the amount"),
    ("(gross", "')' is missing"),
    ("gross +", "an amount is missing, found the end"),
    ("'gross'", "write an amount without quotes"),
    ("", "an amount is a text, as in gross + fee; this is empty"),
    ("(" * 20 + "gross" + ")" * 20, "nested deeper than 16 levels"),
])  # fmt: skip
def test_wrong_amounts_are_told_with_their_place(amount: str, told: str) -> None:
    mistakes = _mistakes(_with(amount=amount))
    assert told in mistakes[0]
    assert mistakes[0].startswith("line 11, column ")


_ROWS = b"""1,1,INCOME,e,2026-01-05,,F-1,I,,,EUR,10,,,,
2,2,INCOME,e,2026-01-05,,F-2,,5,,USD,20.5,1,,0.9,r
3,1,INCOME,e,2025-12-05,,G,J,-5,,USD,-30,1,EUR,0.9,
"""


def _holds(when: str) -> list[int]:
    settings = Settings("t", "e", "EUR", "", ((202512, False), (202601, True)), 1)
    rows: pa.RecordBatch = parse_block(_ROWS, read_header(",".join(COLUMNS).encode()), 0, 1, settings)[0]
    condition = parse_rules(_with(when)).rules[0].when
    assert condition is not None
    return [place + 1 for place, holds in enumerate(condition.holds(rows, "EUR").tolist()) if holds]


@pytest.mark.parametrize(("when", "rows"), [
    ('account_ref == "F-1"', [1]), ('account_ref != "F-1"', [2, 3]), ('account_ref in ["F-1", "G"]', [1, 3]),
    ('account_ref not in ["F-1", "G"]', [2]), ('account_ref like "F-*"', [1, 2]), ("currency == base", [1]),
    ("currency in [base]", [1]), ("fee_currency != currency", [3]), ('instrument == ""', [2]), ('reference != ""', [2]),
    ("amount > 10", [2]), ("amount >= 10", [1, 2]), ("amount < -29.9999", [3]), ("amount <= 10", [1, 3]),
    ("amount == 20.5", [2]), ("amount != 20.5", [1, 3]), ("quantity > -10", [2, 3]), ("quantity != 5", [3]),
    ("version == 2", [2]), ("late", [3]), ("not late", [1, 2]), ("late or amount == 10 and version == 1", [1, 3]),
    ("(late or amount == 10) and currency == base", [1]), ("not (late or version == 2)", [1]),
    ('source_id == "base"', []), ("\n      - amount > 0\n      - fee > 0", [2]),
])  # fmt: skip
def test_conditions_hold_for_the_rows_they_say(when: str, rows: list[int]) -> None:
    assert _holds(when) == rows


@pytest.mark.parametrize(("when", "told"), [
    ("acount == 1", "a condition starts with a column, found 'acount': did you mean 'amount'?"),
    ("amount = 1", "'=' means nothing here: write == to compare"),
    ("amount == \"1\"", "amount is compared with a number"),
    ("amount == 1.00001", "amount has at most 4 decimals and 18 digits"),
    ("amount in [1]", "amount is a number: compare it with =="),
    ("currency == USD", "currency is compared with a text in double quotes"),
    ("currency > base", "currency is a text: compare it with == or !="),
    ("currency", "currency is compared with ==, !=, >, >=, <, <=, in or like, found the end"),
    ('account_ref like "F*-1"', "like compares a text with its beginning"),
    ('account_ref like "F"', "like compares a text with its beginning"),
    ("account_ref in base", "in needs a list"),
    ('account_ref in ["a"', "']' is missing"),
    ("account_ref not like", "'in' is missing after 'not'"),
    ("late late", "unexpected 'late' after the condition"),
    ("(late", "')' is missing"),
    ("", "a condition is a text"),
    ("not " * 40 + "late", "nested deeper than 32 levels"),
])  # fmt: skip
def test_wrong_conditions_are_told_with_their_place(when: str, told: str) -> None:
    mistakes = _mistakes(_with(when))
    assert told in mistakes[0]
    assert mistakes[0].startswith("line 9, column ")


_RULE = """
  - name: other
    class: CLASS
    lines:
LINES
"""


def _rule(event_class: str, *lines: str) -> str:
    written = "\n".join(f"      - {{{line}}}" for line in lines)
    return _with() + _RULE.replace("CLASS", event_class).replace("LINES", written)


_DEBIT, _CREDIT = "account: a, side: debit, amount: ", "account: b, side: credit, amount: "


@pytest.mark.parametrize(("text", "told"), [
    ("", "the file is empty"),
    ("a", "a set of posting rules is a mapping"),
    ("name: x", "a set of posting rules needs 'mapping'"),
    ("a: [", "no YAML"),
    (_with() + "extra: 1\n", "unknown key 'extra'"),
    (_with().replace("own", "Own"), "name 'Own'"),
    ("basis: actual\n" + _with(), "basis 'actual'"),
    (_with().replace('rounding: "9"', 'other: "9"'), "mapping needs the role 'rounding'"),
    (_with().replace('a: "1"', 'a: "1 2"'), "account '1 2'"),
    (_with().replace('a: "1"', "a: []"), "role 'a' has an account, or accounts by account_ref"),
    (_with().replace('"F-10*"', '"F-*"'), "'F-*' is there twice"),
    (_with().replace('"F-10*"', '"F*0"'), "a * stands at the end only"),
    (_with().replace("account: a", "account: z"), "role 'z' has no accounts in the mapping"),
    (_with().replace("debit", "left"), "side 'left'"),
    (_with().replace("INCOME", "CANCEL"), "class 'CANCEL'"),
    (_with(amount="gross") + "  - {name: income, class: FEE, lines: [{account: a, side: debit, amount: fee}]}\n",
     "rule 'income' is there twice"),
    (_rule("FEE", _DEBIT + "gross"), "debits are 1 x gross more than credits"),
    (_rule("FEE", _DEBIT + "gross", _CREDIT + "gross + 0.5 * fee"), "credits are 1/2 x fee more than debits"),
    (_rule("FX", _DEBIT + "gross", _CREDIT + "counter"), "the other currency goes to an account of its own"),
    (_rule("FX", _DEBIT + "gross + counter", _CREDIT + "gross + counter"), "adds amounts in the base currency"),
    (_rule("FEE", _DEBIT + "gross, lot: true", _CREDIT + "gross"), "a FEE has no lots"),
    (_rule("BUY", _DEBIT + "gross", _CREDIT + "gross"), "one line of a BUY has lot: true; here 0 have"),
    (_rule("BUY", _DEBIT + "gross", _CREDIT + "gross, lot: true"), "the line of a BUY with lot: true is a debit"),
    (_rule("BUY", _DEBIT + "gross + 0.5 * fee, lot: true", _CREDIT + "gross + 0.5 * fee"), "takes the fee whole"),
    (_rule("SELL", _DEBIT + "gross", _CREDIT + "gross, lot: true"), "with lot: true is a credit of cost"),
    (_rule("SELL", _DEBIT + "cost, lot: true", _CREDIT + "cost"), "with lot: true is a credit of cost"),
])  # fmt: skip
def test_mistakes_of_a_set_are_told(text: str, told: str) -> None:
    assert any(told in mistake for mistake in _mistakes(text)), _mistakes(text)


def test_a_rule_that_is_never_reached_is_told() -> None:
    text = _rule("FEE", _DEBIT + "gross", _CREDIT + "gross")
    again = text + _RULE.replace("other", "more").replace("CLASS", "FEE").replace(
        "LINES", f"      - {{{_DEBIT}gross}}\n      - {{{_CREDIT}gross}}"
    )
    assert ["rule 'more' is never reached: 'other' takes every FEE" in mistake for mistake in _mistakes(again)] == [
        True
    ]


def test_every_mistake_is_told_at_once() -> None:
    text = _with("amont > 1", "gros").replace("debit", "left")
    assert [mistake.split(":")[0] for mistake in _mistakes(text)] == [
        "line 9, column 11", "line 11, column 28", "line 11, column 42", "line 12, column 44",
    ]  # fmt: skip


def test_the_version_is_that_of_the_text() -> None:
    one, two = parse_rules(_with()), parse_rules(_with() + "# a comment\n")
    assert isinstance(one, PostingRules)
    assert one.version != two.version
    assert one.basis == "ACTUAL"
