"""The command line: `python -m jobs.subledger COMMAND`, and the load job itself with --request."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import click

from florin_io.postgres import without_password
from jobs.subledger import books_cli, endings, queue, requests_cli
from jobs.subledger.reports_cli import report
from jobs.subledger.shell import REFUSED, Guarded, database_of, database_options, end, load_options
from transforms.subledger_db.schema import LedgerDatabase

_STALE_S = 30.0


@click.group(
    cls=Guarded, invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong options or files, 3 a server does not answer or has no "
    "tables; with --request also 5 cancelled or taken over meanwhile, 6 not its turn yet, 75 failed for now.",
)  # fmt: skip
@database_options
@load_options
@click.option("--request", type=int, metavar="NUMBER",
              help="Run this request now, in this process, instead of a command.")  # fmt: skip
@click.option("--stale-after", type=click.FloatRange(min=0), default=_STALE_S, show_default=True,
              help="With --request: take it over if its runner showed no sign of life for so long.")  # fmt: skip
@click.option("--indexes-later", is_flag=True,
              help="With --request: leave indexes and statistics to a worker (`run`).")  # fmt: skip
@click.pass_context
def subledger(
    ctx: click.Context, postgres: str | None, schema: str, load: dict[str, Any], request: int | None,
    stale_after: float, indexes_later: bool,
) -> None:  # fmt: skip
    """The subledger: ledger files to accounting entries in PostgreSQL, for many tenants.

    \b
    python -m jobs.subledger tenant add acme
    python -m jobs.subledger entity add acme fund --currency EUR --periods 202601..202612
    python -m jobs.subledger submit --tenant acme --entity fund gs://bucket/january.csv.zst
    python -m jobs.subledger run --until-idle
    python -m jobs.subledger report trial-balance acme fund
    """
    database = database_of(postgres, schema)
    ctx.obj = database
    if (request is None) == (ctx.invoked_subcommand is None):
        if request is not None:
            raise click.UsageError("--request runs a request by itself: give no command with it")
        click.echo(ctx.get_help())
        return
    if request is None:
        return
    code = _run_one(database, request, load, stale_after)
    if code == endings.REFUSED:
        with database.connect(application="florin subledger cli") as connection:
            row = connection.execute("SELECT error FROM request WHERE request_id = %s", (request,)).fetchone()
        end(REFUSED, f"request {request}: {row[0] if row else 'failed'}", "failed: ")
    if code == endings.PUBLISHED and not indexes_later:
        asyncio.run(queue.index_now(database, stale_after))
    sys.exit(code)


def _run_one(database: LedgerDatabase, request: int, load: dict[str, Any], stale_after: float) -> int:
    # Beam takes seconds to import, and no other command needs it.
    from jobs.subledger import attempt
    from jobs.subledger.load import LoadOptions

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = LoadOptions(postgres=without_password(database.conninfo), schema=database.schema, **load)
    return attempt.run(database, request, options, stale_after)


for command in (*books_cli.COMMANDS, *requests_cli.COMMANDS, report):
    subledger.add_command(command)
