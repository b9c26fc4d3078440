"""python -m jobs.subledger report: tables on a terminal, CSV, Parquet."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from florin_io.postgres import Connection
from jobs.hub.shell import shown
from jobs.subledger.shell import Guarded, the_database
from jobs.subledger.tables import print_table
from transforms.subledger_db import reports
from transforms.subledger_db.reports import Report

F = TypeVar("F", bound=Callable[..., Any])
_FIRST, _LAST = 190001, 999912
_ROWS_SHOWN = 1000


class Month(click.ParamType):
    """A calendar month as yyyymm."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        month = int(value) if str(value).isdigit() else 0
        if not _FIRST <= month <= _LAST or not 1 <= month % 100 <= 12:
            self.fail(f"{value!r}: a month as 202601", param, ctx)
        return month


MONTH = Month()


@click.group(cls=Guarded)
def report() -> None:
    """What the books say. Whoever asks needs the rights of a reader of the tenant only."""


def output_options(command: F) -> F:
    """--format, --out and --limit as one function `show(report, given)`; the command gets a reader's connection."""

    @click.option("--format", "form", type=click.Choice(["table", "csv", "parquet"]), default="table",
                  show_default=True, help="How it is written.")  # fmt: skip
    @click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write to. [standard output]")
    @click.option("--limit", type=click.IntRange(min=1), help=f"Rows at most. [{_ROWS_SHOWN} in a table, else all]")
    @functools.wraps(command)
    def wrapped(*args: Any, form: str, out: Path | None, limit: int | None, **named: Any) -> Any:
        if form == "parquet" and out is None and sys.stdout.isatty():
            raise click.UsageError("Parquet is no text: name a file with --out, or redirect the output")

        def show(connection: Connection, wanted: Report, given: dict[str, Any], title: str) -> None:
            # One row more than a table shows, to know whether there are more.
            most = limit or _ROWS_SHOWN
            batches = reports.read(connection, wanted, given, most + 1 if form == "table" else limit)
            if form == "table":
                _table(wanted, batches, title, most, out)
            else:
                _write(wanted, batches, form, out)

        with the_database().as_user("florin subledger report") as connection:
            # Reports of some months of some years look into many partitions; compiling costs more than it saves.
            connection.execute("SET jit = off")
            return command(connection, *args, show=show, **named)

    return wrapped  # type: ignore[return-value]


def _write(wanted: Report, batches: Iterator[pa.RecordBatch], form: str, out: Path | None) -> None:
    with _target(out) as file:
        if form == "csv":
            with pyarrow.csv.CSVWriter(file, wanted.schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            return
        with pyarrow.parquet.ParquetWriter(file, wanted.schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)


def _target(out: Path | None) -> BinaryIO:
    return out.open("wb") if out is not None else open(sys.stdout.fileno(), "wb", closefd=False)


def _table(wanted: Report, batches: Iterator[pa.RecordBatch], title: str, most: int, out: Path | None) -> None:
    rows = list(chain.from_iterable(batch.to_pylist() for batch in batches))
    more = len(rows) > most
    right = [name for name, kind in wanted.columns.items() if pa.types.is_decimal(kind) or pa.types.is_integer(kind)]
    shown_rows = [[_shown(row[name], kind) for name, kind in wanted.columns.items()] for row in rows[:most]]
    total = _totals(rows) if wanted is reports.TRIAL_BALANCE and rows and not more else None
    note = "... and more: --limit, or --format csv" if more else ""
    print_table(title, list(wanted.columns), shown_rows, right=right, total=total, note=note, out=out)


def _totals(rows: list[dict[str, Any]]) -> list[str]:
    """In base currency, where debits must equal credits."""
    cells = []
    for name, kind in reports.TRIAL_BALANCE.columns.items():
        of_all = _shown(sum((row[name] for row in rows), Decimal(0)), kind) if name.startswith("accounted_") else ""
        cells.append("total" if name == "account" else of_all)
    return cells


def _shown(value: Any, kind: pa.DataType) -> str:
    """Amounts with two decimals at least, so that they stand one under the other."""
    text = shown(value)
    if value is None or not pa.types.is_decimal(kind):
        return text
    whole, _, digits = text.partition(".")
    grouped = f"{int(whole):,}" if int(whole) else whole
    if kind.equals(reports.AMOUNT):
        return f"{grouped}.{digits:0<2}"
    return f"{grouped}.{digits}" if digits else grouped


@report.command("trial-balance")
@click.argument("tenant")
@click.argument("entity")
@click.option("--from", "first", type=MONTH, default=_FIRST, metavar="YYYYMM", help="First period. [the first of all]")
@click.option("--to", "last", type=MONTH, default=_LAST, metavar="YYYYMM", help="Last period. [the last of all]")
@output_options
def trial_balance(connection: Connection, tenant: str, entity: str, first: int, last: int, show: Any) -> None:
    """Opening balance, turnover and closing balance of every account of TENANT ENTITY, by currency."""
    given = {**reports.find_entity(connection, tenant, entity), "first": first, "last": last}
    show(connection, reports.TRIAL_BALANCE, given, f"trial balance of {tenant}/{entity}{_months(first, last)}")


@report.command("statement")
@click.argument("tenant")
@click.argument("entity")
@click.argument("account")
@click.option("--from", "first", type=MONTH, default=_FIRST, metavar="YYYYMM", help="First period. [the first of all]")
@click.option("--to", "last", type=MONTH, default=_LAST, metavar="YYYYMM", help="Last period. [the last of all]")
@output_options
def statement(connection: Connection, tenant: str, entity: str, account: str, first: int, last: int, show: Any) -> None:
    """Every line of ACCOUNT with its running balance."""
    given = {**reports.find_entity(connection, tenant, entity), "account": account, "first": first, "last": last}
    show(connection, reports.STATEMENT, given, f"account {account} of {tenant}/{entity}{_months(first, last)}")


def _months(first: int, last: int) -> str:
    return (f" from {first}" if first != _FIRST else "") + (f" to {last}" if last != _LAST else "")


@report.command("lots")
@click.argument("tenant")
@click.argument("entity")
@click.option("--instrument", help="Of this one only.")
@output_options
def lots(connection: Connection, tenant: str, entity: str, instrument: str | None, show: Any) -> None:
    """Open lots: what is left of each purchase, and its cost."""
    given = {**reports.find_entity(connection, tenant, entity), "instrument": instrument}
    show(connection, reports.LOTS, given, f"open lots of {tenant}/{entity}")


@report.command("gains")
@click.argument("tenant")
@click.argument("entity")
@click.option("--instrument", help="Of this one only.")
@output_options
def gains(connection: Connection, tenant: str, entity: str, instrument: str | None, show: Any) -> None:
    """Position, realised and unrealised gain of each instrument."""
    given = {**reports.find_entity(connection, tenant, entity), "instrument": instrument}
    show(connection, reports.GAINS, given, f"{reports.GAINS.title}, of {tenant}/{entity}")


@report.command("reconciliation")
@click.argument("request", type=int)
@click.option("--all", "every", is_flag=True, help="Each comparison, also of those of a kind that all agree.")
@output_options
def reconciliation(connection: Connection, request: int, every: bool, show: Any) -> None:
    """What was compared before REQUEST was published, or why it was not: a row of each kind, and what differs."""
    wanted = reports.RECONCILIATION if every else reports.RECONCILIATION_SUMMARY
    show(connection, wanted, reports.find_request(connection, request), f"reconciliation of request {request}")


@report.command("rejects")
@click.argument("request", type=int)
@output_options
def rejects(connection: Connection, request: int, show: Any) -> None:
    """Rows of REQUEST that were not posted: file, line, column and reason."""
    show(connection, reports.REJECTS, reports.find_request(connection, request), f"not posted of request {request}")
