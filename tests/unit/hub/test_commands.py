"""Admin commands: the records, and what is refused before it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from jobs.hub import commands
from jobs.hub.commands import AccountTerms, BadCommand, Command
from transforms.transfers.local import LocalHub

pytestmark = pytest.mark.unit

USD = AccountTerms("USD", "1000", "500")


def applied(*sent: Command) -> list[str]:
    """Results of commands on a hub in memory, in order."""
    hub = LocalHub()
    for command in sent:
        for partition in range(hub.partitions):
            hub.append(partition, command.value(), 1_000, command.key())
        hub.run(1_000)
    events = [json.loads(value) for value in hub.of(hub.topics.events)]
    return [next(event["result"] for event in events if event.get("commandId") == command.id) for command in sent]


def test_a_participant_record_is_the_contract() -> None:
    command = commands.add_participant("dfsp1", [USD, AccountTerms("EUR", "0", "0.50")])
    assert json.loads(command.value()) == {
        "admin": {
            "addParticipant": {
                "id": "dfsp1",
                "accounts": [
                    {"currency": "USD", "cover": "1000", "ndc": "500"},
                    {"currency": "EUR", "cover": "0", "ndc": "0.5"},
                ],
            }
        },
        "id": command.id,
    }
    assert command.key() == b"dfsp1"


def test_every_command_is_understood_by_the_core() -> None:
    assert (
        applied(
            commands.add_participant("dfsp1", [USD]),
            commands.set_active("dfsp1", False, None),
            commands.set_active("dfsp1", True, "USD"),
            commands.set_ndc("dfsp1", "USD", "7.25"),
            commands.funds_in("dfsp1", "USD", "10", "in-1"),
            commands.funds_out("dfsp1", "USD", "10", "out-1", "reserve"),
            commands.funds_out("dfsp1", "USD", "10", "out-1", "commit"),
            commands.funds_out("dfsp1", "USD", "4", "out-2", "reserve"),
            commands.funds_out("dfsp1", "USD", "4", "out-2", "abort"),
            commands.configure(True, 60),
        )
        == ["ok"] * 10
    )


def test_ids_of_commands_differ() -> None:
    assert commands.set_active("dfsp1", True, None).id != commands.set_active("dfsp1", True, None).id


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: commands.add_participant("dfsp1", []), "at least one account"),
        (lambda: commands.add_participant("dfsp1", [USD, USD]), "named twice"),
        (lambda: commands.add_participant("df sp", [USD]), "participant id"),
        (lambda: commands.add_participant("dfsp1", [AccountTerms("usd", "1", "1")]), "three capital letters"),
        (lambda: commands.set_ndc("dfsp1", "USD", "1.00001"), "more than 4 decimals"),
        (lambda: commands.set_ndc("dfsp1", "USD", "-1"), "not a plain decimal"),
        (lambda: commands.set_ndc("dfsp1", "USD", "1e3"), "not a plain decimal"),
        (lambda: commands.set_ndc("dfsp1", "USD", "1" * 19), "more than 18 digits"),
        (lambda: commands.funds_in("dfsp1", "USD", "0", "t"), "not positive"),
        (lambda: commands.funds_in("dfsp1", "USD", "NaN", "t"), "not a plain decimal"),
        (lambda: commands.funds_in("dfsp1", "USD", "1", "a b"), "transfer id"),
        (lambda: commands.configure(None, None), "nothing to set"),
    ],
)
def test_what_the_core_would_refuse_is_not_sent(make: Callable[[], Command], said: str) -> None:
    with pytest.raises(BadCommand, match=said):
        make()
