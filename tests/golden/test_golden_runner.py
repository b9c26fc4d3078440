"""The golden runner itself: misses are readable, malformed cases name the file and the key."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transforms.transfers import golden

pytestmark = pytest.mark.golden

HAPPY = json.loads((Path(__file__).parent / "cases" / "happy-path-moves-both-positions.json").read_text())
Edit = Callable[[dict[str, Any]], Any]


def edited(edit: Edit) -> golden.Case:
    document = copy.deepcopy(HAPPY)
    edit(document)
    return golden.parse(document, "case.json")


@pytest.mark.parametrize(
    ("edit", "difference"),
    [
        (lambda case: case["expect"]["notifications"].pop(), "to dfsp2, notification 2: not expected"),
        (
            lambda case: case["expect"]["notifications"].append({"at": 1, "to": "dfsp1"}),
            "to dfsp1, notification 2: expected",
        ),
        (lambda case: case["expect"]["notifications"][1].update(code="3100"), "code: expected 3100, is None"),
        (lambda case: case["expect"]["notifications"][1].update(at=5), "at: expected 5, is 900"),
        (
            lambda case: case["expect"]["states"].update(unknown="COMMITTED"),
            "state of unknown: expected COMMITTED, is None",
        ),
        (lambda case: case["expect"]["accounts"]["dfsp1/USD"].update(position="11"), "position: expected 11, is 10"),
        (lambda case: case["expect"]["accounts"].update({"x/USD": {}}), "account x/USD: expected, does not exist"),
    ],
)
def test_misses_are_told(edit: Edit, difference: str) -> None:
    (found,) = golden.run(edited(edit))
    assert difference in found


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda case: case.pop("name"), "case.json: name: must be a str"),
        (lambda case: case.update(participants={}), "case.json: participants: must be a list"),
        (lambda case: case["participants"].append({}), r"participants\[2\].id"),
        (lambda case: case["steps"][0].pop("at"), r"steps\[0\].at"),
        (lambda case: case["steps"][0].update(at="1"), r"steps\[0\].at"),
        (lambda case: case["steps"][0].pop("from"), r"steps\[0\].from"),
        (lambda case: case["steps"][0].pop("prepare"), r"steps\[0\]: must have exactly one"),
        (lambda case: case["steps"][0].update(tick=True), r"steps\[0\]: must have exactly one"),
        (lambda case: case["steps"][0].update(prepare=[]), r"steps\[0\].prepare"),
        (
            lambda case: case["steps"][0]["prepare"].update(expiration={"plus": "x"}),
            r"steps\[0\].prepare.expiration.plus",
        ),
        (lambda case: case["steps"].append({"at": 0, "admin": {"bogus": {}}}), r"steps\[2\].admin.bogus"),
        (lambda case: case["expect"].update(state={}), "expect.state"),
        (lambda case: case["expect"]["notifications"][0].pop("to"), r"expect.notifications\[0\].to"),
        (lambda case: case["expect"]["notifications"][0].update(cod="1"), r"expect.notifications\[0\].cod"),
        (
            lambda case: case["expect"]["accounts"]["dfsp1/USD"].update(positions="1"),
            "expect.accounts.dfsp1/USD.positions",
        ),
        (lambda case: case["expect"]["accounts"]["dfsp1/USD"].update(position="ten"), "'ten' is no amount"),
    ],
)
def test_malformed_cases_name_the_key(edit: Edit, words: str) -> None:
    with pytest.raises(golden.CaseError, match=words):
        golden.run(edited(edit))


@pytest.mark.parametrize("content", [None, "", "[]", "{", "5"])
def test_unreadable_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(golden.CaseError, match="bad.json"):
        golden.run_file(path)


@pytest.mark.parametrize("spelling", ["action", "phase", "step", "state"])
def test_funds_out_is_read_in_several_spellings(spelling: str) -> None:
    funds = {"id": "dfsp1", "currency": "USD", "amount": "5", "transferId": "f"}

    def cover_after(*admins: dict[str, Any]) -> str:
        case = edited(lambda case: case["steps"].extend({"at": 1000, "admin": admin} for admin in admins))
        hub = golden.set_up(case)
        for number, step in enumerate(case.steps):
            golden.perform(case, hub, number, step)
        account = hub.account("dfsp1/USD")
        assert account is not None
        return str(account.cover // 10_000)

    assert cover_after({"fundsOut": {**funds, spelling: "reserve"}}) == "995"
    assert (
        cover_after({"fundsOut": {**funds, spelling: "reserve"}}, {"fundsOut": {**funds, spelling: "abort"}}) == "1000"
    )
    assert cover_after({"fundsOutReserve": funds}, {"fundsOutCommit": funds}) == "995"
    assert cover_after({"fundsOut": funds}) == "995"
