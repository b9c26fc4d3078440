"""python -m jobs.card_log: which alerts and dead letters are shown, and what of a card."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from jobs import card_log
from jobs.rules.log import Log
from transforms.dead_letters import dead_letter

pytestmark = pytest.mark.unit

HITS = [
    {"name": "big", "mode": "live", "description": "Too much.", "facts": [{"text": "amount", "value": 700}]},
    {"name": "odd", "mode": "shadow", "description": "Odd.", "facts": []},
    {"name": "late", "mode": "live", "description": "At night.", "facts": [{"text": "hour", "value": 3}]},
]


def alert(scored: int, name: str, hits: str = "") -> bytes:
    return f"00004000222333,1600000000000,001,00,700,011,0022,00001,00000,{scored},1,1,{name},v,5,1{hits}".encode()


def invoke(monkeypatch: pytest.MonkeyPatch, values: list[bytes], *arguments: str) -> Result:
    def given(log: Log, topic: str, follow: bool) -> Iterator[bytes]:
        return iter(values)

    monkeypatch.setattr(card_log, "_values", given)
    ran = CliRunner().invoke(card_log.card_log, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran


def test_the_last_alerts_are_shown_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [alert(5, "e"), alert(1, "a"), alert(4, "d"), alert(3, "c")]
    lines = invoke(monkeypatch, values, "alerts", "--last=2").output.splitlines()
    assert lines == [f"card 0000******2333 at 2020-09-13 12:26:40, amount 700: {name}, score 5" for name in ("d", "e")]
    assert invoke(monkeypatch, values, "alerts", "--rule=a").output.count("amount 700: a,") == 1
    followed = invoke(monkeypatch, values, "alerts", "--follow").output.splitlines()
    assert [line.split(": ")[1][0] for line in followed] == ["e", "a", "d", "c"]


def test_an_explained_alert_tells_of_every_rule_and_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [alert(5, "big", f",{json.dumps(HITS)}")]
    assert invoke(monkeypatch, values, "alerts").output.splitlines()[1:] == [
        "  big (decided): Too much.", "    amount = 700", "  odd (in shadow): Odd.", "    ",
        "  late (would have, too): At night.", "    hour = 3",
    ]  # fmt: skip
    [told] = [json.loads(line) for line in invoke(monkeypatch, values, "alerts", "--json").output.splitlines()]
    assert (told["card"], told["name"], told["hits"]) == (4000222333, "big", HITS)


def test_dead_letters_are_shown_without_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [dead_letter("t", 1, at, "not a packet", "send one", at, b"00004000222333,?") for at in (7, 8)]
    shown = invoke(monkeypatch, values, "dead-letters", "--last=1").output
    assert shown == "t/1 offset 8: not a packet. Remedy: send one\n"
    told = [json.loads(line) for line in invoke(monkeypatch, values, "dead-letters", "--json").output.splitlines()]
    assert [one["offset"] for one in told] == [7, 8]
