"""Who is answered what to GET /transfers/{id}."""

from __future__ import annotations

import json
from typing import Any

import pytest

from transforms.read_model.answers import Known, NotAQuestion, answer, question

pytestmark = pytest.mark.unit
AT = 1_780_000_000_000
COMMITTED = Known("dfsp1", "dfsp2", "COMMITTED", "2026-05-28T20:26:40.000Z", "abc", AT)


def get(transfer: object = "t1", source: str | None = "dfsp1", **event: object) -> bytes:
    headers = {"fspiop-source": source} if source is not None else {}
    return json.dumps(
        {
            "id": transfer,
            "content": {"uriParams": {"id": transfer}, "headers": headers, "payload": {}},
            "metadata": {"event": event or {"type": "get", "action": "get"}, "trace": {"spanId": "s"}},
        }
    ).encode()


def reply(found: list[Known], source: str = "dfsp1") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer(question(get(source=source)), found, AT))
    return content


@pytest.mark.parametrize("party", ["dfsp1", "dfsp2"])
def test_payer_and_payee_are_told_the_state(party: str) -> None:
    told = reply([COMMITTED], party)
    assert told["content"]["payload"] == {
        "transferState": "COMMITTED",
        "completedTimestamp": "2026-05-28T20:26:40.000Z",
        "fulfilment": "abc",
    }
    assert (told["to"], told["from"], told["metadata"]["http"]["method"]) == (party, "hub", "PUT")
    assert told["metadata"]["event"]["state"] == {"status": "success", "code": 0}
    assert told["metadata"]["trace"] == {"spanId": "s"}
    assert told["metadata"]["event"]["createdAt"] == "2026-05-28T20:26:40.000Z"


def test_a_reserved_transfer_has_no_completion() -> None:
    assert reply([Known("dfsp1", "dfsp2", "RESERVED", None, None, AT)])["content"]["payload"] == {
        "transferState": "RESERVED"
    }


@pytest.mark.parametrize("state", ["ABORTED", "INVALID"])
def test_a_failed_transfer_is_aborted_to_the_api(state: str) -> None:
    payload = reply([Known("dfsp1", "dfsp2", state, None, None, AT)])["content"]["payload"]
    assert payload == {"transferState": "ABORTED", "completedTimestamp": "2026-05-28T20:26:40.000Z"}


@pytest.mark.parametrize(("found", "code"), [([], "3208"), ([COMMITTED], "3000")])
def test_others_and_unknown_ids_get_an_error(found: list[Known], code: str) -> None:
    told = reply(found, "dfsp3")
    assert told["content"]["payload"]["errorInformation"]["errorCode"] == code
    assert told["metadata"]["http"]["method"] == "PUT error"
    assert told["metadata"]["event"]["state"] == {"status": "error", "code": int(code)}


def test_of_two_payers_with_the_same_id_each_is_told_its_own() -> None:
    other = Known("dfsp5", "dfsp6", "RESERVED", None, None, AT)
    assert reply([other, COMMITTED], "dfsp1")["content"]["payload"]["transferState"] == "COMMITTED"
    assert reply([other, COMMITTED], "dfsp6")["content"]["payload"]["transferState"] == "RESERVED"


def test_text_of_the_asker_cannot_break_the_answer() -> None:
    nasty = 'a"b\\c\n'
    told = json.loads(answer(question(get(transfer=nasty, source=nasty)), [], AT))
    assert (told["id"], told["to"]) == (nasty, nasty)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not a JSON object"),
        (b"\xff", "not UTF-8"),
        (get(type="prepare", action="prepare"), "not a GET"),
        (get(transfer=None), "content.uriParams.id"),
        (get(transfer=5), "content.uriParams.id"),
        (get(source=None), "fspiop-source"),
        (b"{}", "not a GET"),
    ],
)
def test_what_cannot_be_answered_says_why(value: bytes, reason: str) -> None:
    with pytest.raises(NotAQuestion, match=reason):
        question(value)
