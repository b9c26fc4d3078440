"""The commands that set up books: prepare, tenant, entity, period, rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from florin_io.postgres import Connection
from jobs.hub.shell import json_option, print_rows
from jobs.subledger.shell import REFUSED, Guarded, connected, entity_arguments, the_database
from transforms.subledger.currencies import ISO_4217
from transforms.subledger.rules import PostingRules, RulesError, parse_rules
from transforms.subledger.rulesets import SHIPPED, text_of
from transforms.subledger_db import books, load_state, reversal, schema
from transforms.subledger_db.books import Rule
from transforms.subledger_db.model import Entity, LedgerError


@click.command()
@click.option("--metrics-role", metavar="ROLE",
              help="A role that may count requests, their rows and ages: whom `jobs.exporter` logs in as.")  # fmt: skip
def prepare(metrics_role: str | None) -> None:
    """Make tables, roles and the queue, or bring them to this version. Needs a user that may create roles."""
    database = the_database()
    applied = schema.prepare(database)
    if metrics_role is not None:
        with database.connect(application="florin subledger cli") as connection:
            load_state.let_watch(connection, metrics_role)
    click.echo(f"{database}: {', '.join(applied) if applied else 'up to date'}")


@click.group(cls=Guarded)
def tenant() -> None:
    """Clients: each sees its own rows only."""


@tenant.command("add")
@click.argument("name")
@click.option("--reader-role", help="Role whose members may read this tenant's rows. [made: SCHEMA_reader_NAME]")
@click.option("--rules", default="standard", show_default=True, metavar="RULESET",
              help="Posting rules to start with: a file, or a set that ships.")  # fmt: skip
def add_tenant(name: str, reader_role: str | None, rules: str) -> None:
    """Make tenant NAME (and the tables, if there are none yet), with posting rules. Repeatable."""
    found = read_rules(rules)
    database = the_database()
    schema.prepare(database)
    _, role = books.add_tenant(database, name, reader_role)
    with database.connect(application="florin subledger cli") as connection:
        used = connection.execute("SELECT rule_set_id FROM tenant WHERE name = %s", (name,)).fetchone()
        if used == (None,):
            _keep(connection, name, found, use=True)
    click.echo(f"tenant {name}: readers are the members of {role}")


@tenant.command("list")
@json_option
@connected
def list_tenants(connection: Connection, as_json: bool) -> None:
    """Tenants, their reader roles and rules."""
    print_rows("tenants", books.list_tenants(connection), ("tenant", "reader_role", "rules", "version", "entities"),
               as_json)  # fmt: skip


@click.group(cls=Guarded)
def entity() -> None:
    """Sets of books of a tenant."""


class Periods(click.ParamType):
    """yyyymm, or yyyymm..yyyymm."""

    name = "periods"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        first, _, last = str(value).partition("..")
        try:
            return books.months(int(first), int(last or first))
        except (ValueError, LedgerError) as error:
            self.fail(f"{value!r}: a month as 202601, or a range as 202601..202612 ({error})", param, ctx)


PERIODS = Periods()


@entity.command("add")
@click.argument("tenant")
@click.argument("name")
@click.option("--currency", required=True, type=click.Choice(sorted(ISO_4217), case_sensitive=False), metavar="CODE",
              help="Base currency.")  # fmt: skip
@click.option("--lots", type=click.Choice(["FIFO", "AVERAGE"]), default="FIFO", show_default=True,
              help="Which lots a sale takes.")  # fmt: skip
@click.option("--reject-share", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              help="A request with a larger share of rejected rows fails.")  # fmt: skip
@click.option("--periods", type=PERIODS, default=[], metavar="FIRST..LAST", help="Open periods, as 202601..202612.")
@connected
def add_entity(
    connection: Connection, tenant: str, name: str, currency: str, lots: str, reject_share: float, periods: list[int]
) -> None:
    """Make entity NAME of TENANT. Repeatable; with other settings it is refused."""
    books.add_entity(connection, tenant, name, currency.upper(), lot_method=lots, reject_share=reject_share,
                     periods=periods)  # fmt: skip
    click.echo(f"entity {tenant}/{name}: {currency.upper()}, {lots}")


@entity.command("list")
@click.argument("tenant", required=False)
@json_option
@connected
def list_entities(connection: Connection, tenant: str | None, as_json: bool) -> None:
    """Entities (of TENANT), their settings and periods."""
    rows = books.list_entities(connection, tenant)
    columns = ("tenant", "entity", "currency", "lots", "reject_share", "open", "closed")
    print_rows("entities", rows, columns, as_json)


@click.group(cls=Guarded)
def period() -> None:
    """Months of an entity: what is late goes to the first open one, a closed one is never written."""


@period.command("open")
@connected
@entity_arguments
@click.argument("periods", type=PERIODS)
def open_period(connection: Connection, of: Entity, periods: list[int]) -> None:
    """Make months PERIODS (202601, or 202601..202612) of TENANT ENTITY, open."""
    books.open_periods(connection, of, periods)
    click.echo(f"{of.tenant}/{of.name}: open {' '.join(map(str, periods))}")


@period.command("close")
@connected
@entity_arguments
@click.argument("periods", type=PERIODS)
def close_period(connection: Connection, of: Entity, periods: list[int]) -> None:
    """Close PERIODS: nothing is posted to them from now on."""
    with connection.transaction():
        for number in periods:
            books.close_period(connection, of, number)
    click.echo(f"{of.tenant}/{of.name}: closed {' '.join(map(str, periods))}")


@period.command("reopen")
@connected
@entity_arguments
@click.argument("period", type=int)
def reopen_period(connection: Connection, of: Entity, period: int) -> None:
    """Open PERIOD and every later one again. `period rerun` then posts them anew."""
    opened = books.reopen_periods(connection, of, period)
    click.echo(f"{of.tenant}/{of.name}: opened {' '.join(map(str, opened)) or 'nothing: all were open'}")


@period.command("rerun")
@connected
@entity_arguments
@click.argument("period", type=int)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rerun_period(connection: Connection, of: Entity, period: int, yes: bool) -> None:
    """Reverse every request that posted to PERIOD or later, newest first, and queue the same files again in order."""
    if not yes:
        click.confirm(f"Reverse and load again all of {of.tenant}/{of.name} from {period} on?", abort=True)
    back, again = reversal.submit_rerun(connection, of, period)
    click.echo(f"{of.tenant}/{of.name}: reversals {' '.join(map(str, back))}, then loads {' '.join(map(str, again))} "
               "are queued")  # fmt: skip


@period.command("list")
@json_option
@connected
@entity_arguments
def list_periods(connection: Connection, of: Entity, as_json: bool) -> None:
    """The months of TENANT ENTITY."""
    rows = [{"period": number, "state": "open" if is_open else "closed"}
            for number, is_open in books.period_states(connection, of)]  # fmt: skip
    print_rows(f"periods of {of.tenant}/{of.name}", rows, ("period", "state"), as_json)


@click.group(cls=Guarded)
def rules() -> None:
    """Posting rules: data in YAML, versioned by the sha256 of their text."""


def read_rules(name_or_path: str) -> PostingRules:
    """A rule set that ships, by name, or one in a file. Raises RulesError, click.BadParameter."""
    if name_or_path in SHIPPED:
        return parse_rules(text_of(name_or_path), f"{name_or_path}.yaml")
    try:
        return parse_rules(Path(name_or_path).read_bytes().decode("utf-8-sig"), name_or_path)
    except OSError as error:
        known = ", ".join(SHIPPED)
        raise click.BadParameter(f"{name_or_path}: {error.strerror}; it is no file and none of {known}") from None
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{name_or_path}: no UTF-8 at byte {error.start}: {error.reason}") from None


def _keep(connection: Connection, tenant: str, found: PostingRules, *, use: bool) -> bool:
    """Whether it is new. The text was checked: it is plain YAML."""
    listed = [
        Rule(one["name"], one["class"], None if one.get("when") is None else str(one["when"]), one["lines"])
        for one in yaml.safe_load(found.text)["rules"]
    ]
    return books.load_rules(connection, tenant, found.name, found.text, found.basis, listed, use=use)[1]


@rules.command("check")
@click.argument("ruleset")
@json_option
def check_rules(ruleset: str, as_json: bool) -> None:
    """Read RULESET (a file, or a set that ships) and say what is wrong with it, and where."""
    try:
        found = read_rules(ruleset)
    except RulesError as error:
        if not as_json:
            raise
        mistakes = [{"line": one.line, "column": one.column, "message": one.message} for one in error.mistakes]
        click.echo(json.dumps({"ok": False, "mistakes": mistakes}))
        sys.exit(REFUSED)
    told = {"name": found.name, "version": found.version, "basis": found.basis, "rules": len(found.rules),
            "roles": len(found.roles), "accounts": len(found.accounts)}  # fmt: skip
    if as_json:
        click.echo(json.dumps({"ok": True, **told}))
        return
    click.echo(f"ok  {found.name}@{found.version[:16]}: {told['rules']} rules, {told['roles']} roles, "
               f"{told['accounts']} accounts, basis {found.basis}")  # fmt: skip


@rules.command("load")
@click.argument("tenant")
@click.argument("ruleset")
@click.option("--keep-current", is_flag=True, help="Only keep it; a request takes it with --rules VERSION.")
@connected
def load_rules(connection: Connection, tenant: str, ruleset: str, keep_current: bool) -> None:
    """Give RULESET to TENANT: requests submitted from now on take it."""
    found = read_rules(ruleset)
    is_new = _keep(connection, tenant, found, use=not keep_current)
    how = "kept" if keep_current else "in use"
    click.echo(f"{tenant}: {found.name}@{found.version[:16]} {how}{'' if is_new else ' (was there already)'}")


@rules.command("list")
@click.argument("tenant", required=False)
@json_option
@connected
def list_rules(connection: Connection, tenant: str | None, as_json: bool) -> None:
    """Rule sets (of TENANT): which one new requests take."""
    rows = books.list_rules(connection, tenant)
    for row in rows:
        row["version"] = row["version"] if as_json else row["version"][:16]
    columns = ("tenant", "name", "version", "basis", "used", "rules", "requests", "loaded_at")
    print_rows("posting rules", rows, columns, as_json)


COMMANDS = (prepare, tenant, entity, period, rules)
