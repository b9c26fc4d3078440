"""The hub's commands that change something: participants, funds, limits, settings, and the demonstration set-up."""

from __future__ import annotations

import uuid

import click

from florin_io.postgres import Database
from jobs.hub import commands
from jobs.hub.commands import AccountTerms, BadCommand
from jobs.hub.shell import (
    Kafka,
    database_options,
    execute,
    json_option,
    kafka_options,
    open_model,
    print_rows,
    wait_option,
)
from transforms.load.scenarios import COVER_PAYER, NDC_PAYER, TIGHT_LIMIT

AMPLE = "1000000000"


def add_commands(hub: click.Group) -> None:
    """Add the groups and commands of this module."""
    for command in (participants, funds, limits, settings, setup):
        hub.add_command(command)


@click.group()
def participants() -> None:
    """DFSPs and their accounts."""


@participants.command("list")
@database_options
@json_option
def list_participants(database: Database, as_json: bool) -> None:
    """All participants the read model knows."""
    with open_model(database) as model:
        rows = model.participants()
    print_rows("Participants", rows, ("id", "active", "accounts", "created_at", "updated_at"), as_json)


@participants.command("add")
@click.argument("id")
@click.option("--currency", "currencies", multiple=True, required=True, help="Repeat all three for more accounts.")
@click.option("--cover", "covers", multiple=True, required=True, help="Liquidity paid in.")
@click.option("--ndc", "ndcs", multiple=True, required=True, help="Net debit cap.")
@kafka_options
@wait_option
@json_option
def add_participant(
    id: str, currencies: tuple[str, ...], covers: tuple[str, ...], ndcs: tuple[str, ...], kafka: Kafka, wait_s: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Add participant ID with one or more accounts; one that exists gets the accounts it lacks."""
    if not len(currencies) == len(covers) == len(ndcs):
        raise BadCommand("give --currency, --cover and --ndc equally often: one of each for an account")
    accounts = [AccountTerms(*terms) for terms in zip(currencies, covers, ndcs, strict=True)]
    execute(kafka, [commands.add_participant(id, accounts)], wait_s, as_json)


def _switch(name: str, active: bool, help: str) -> None:
    @participants.command(name, help=help)
    @click.argument("id")
    @click.option("--currency", help="Only the account in this currency.")
    @kafka_options
    @wait_option
    @json_option
    def switch(id: str, currency: str | None, kafka: Kafka, wait_s: float, as_json: bool) -> None:
        execute(kafka, [commands.set_active(id, active, currency)], wait_s, as_json)


_switch("activate", True, "Let participant ID, or one of its accounts, take part again.")
_switch("deactivate", False, "Keep participant ID, or one of its accounts, out of new transfers.")


@click.group()
def funds() -> None:
    """Liquidity paid in and out: an account's cover."""


def _movement(name: str, action: str | None, help: str) -> None:
    needs_id = action in ("commit", "abort")
    about_id = "Id of the movement." if needs_id else "Id of the movement; applied once. [a new one]"

    @funds.command(name, help=help)
    @click.argument("id")
    @click.argument("currency")
    @click.argument("amount")
    @click.option("--transfer-id", required=needs_id, help=about_id)
    @kafka_options
    @wait_option
    @json_option
    def move(
        id: str, currency: str, amount: str, transfer_id: str | None, kafka: Kafka, wait_s: float, as_json: bool
    ) -> None:
        movement = transfer_id or str(uuid.uuid4())
        command = (
            commands.funds_in(id, currency, amount, movement)
            if action is None
            else commands.funds_out(id, currency, amount, movement, action)
        )
        execute(kafka, [command], wait_s, as_json)


_movement("in", None, "Raise the cover of ID in CURRENCY by AMOUNT.")
_movement("out-reserve", "reserve", "Set AMOUNT of the cover of ID in CURRENCY aside to be paid out.")
_movement("out-commit", "commit", "What was set aside under --transfer-id has been paid out.")
_movement("out-abort", "abort", "What was set aside under --transfer-id is cover again.")


@click.group()
def limits() -> None:
    """Net debit caps."""


@limits.command("set")
@click.argument("id")
@click.argument("currency")
@click.argument("ndc")
@kafka_options
@wait_option
@json_option
def set_limit(id: str, currency: str, ndc: str, kafka: Kafka, wait_s: float, as_json: bool) -> None:
    """Set the net debit cap of ID in CURRENCY to NDC."""
    execute(kafka, [commands.set_ndc(id, currency, ndc)], wait_s, as_json)


@click.group()
def settings() -> None:
    """Settings that decisions depend on; they change through the log."""


@settings.command("set")
@click.option("--on-us/--no-on-us", default=None, help="Whether payer and payee may be the same.")
@click.option("--expiration-horizon-s", type=click.IntRange(1, 7 * 86_400),
              help="How far ahead an expiration may lie, seconds.")  # fmt: skip
@kafka_options
@wait_option
@json_option
def set_settings(
    on_us: bool | None, expiration_horizon_s: int | None, kafka: Kafka, wait_s: float, as_json: bool
) -> None:
    """Change settings; what is not given stays."""
    execute(kafka, [commands.configure(on_us, expiration_horizon_s)], wait_s, as_json)


@click.command()
@click.option("--dfsps", type=click.IntRange(min=1), default=8, show_default=True, help="DFSPs dfsp1 to dfspN.")
@click.option("--currency", default="USD", show_default=True, help="Currency of their accounts.")
@click.option("--cover", default=AMPLE, show_default=True, help="Liquidity of each.")
@click.option("--ndc", default=AMPLE, show_default=True, help="Net debit cap of each.")
@kafka_options
@wait_option
@json_option
def setup(dfsps: int, currency: str, cover: str, ndc: str, kafka: Kafka, wait_s: float, as_json: bool) -> None:
    """Create the DFSPs of a demonstration, and two that can pay nothing, for the load generator's blocks.

    Those that exist stay as they are.
    """
    ample = [AccountTerms(currency, cover, ndc)]
    wanted = [commands.add_participant(f"dfsp{number}", ample) for number in range(1, dfsps + 1)]
    wanted.append(commands.add_participant(NDC_PAYER, [AccountTerms(currency, AMPLE, TIGHT_LIMIT)]))
    wanted.append(commands.add_participant(COVER_PAYER, [AccountTerms(currency, TIGHT_LIMIT, AMPLE)]))
    execute(kafka, wanted, wait_s, as_json, existing_ok=True)
