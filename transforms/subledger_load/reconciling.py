"""What a load is checked by before it is published: counts, debits and credits, balances that the client supplied."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv

from florin_io.frames import InputError
from florin_io.objects import ObjectStore
from florin_io.postgres import Connection
from transforms.subledger import fields
from transforms.subledger_db import lookups, publish
from transforms.subledger_db.model import Check
from transforms.subledger_load.model import Load, PlanReport, PostReport

_KEYS = ("period", "account", "currency")
_SUMS = ("debit", "credit", "accounted_debit", "accounted_credit")
Key = tuple[str, str]
Amounts = tuple[Decimal, Decimal]


def sum_of(balances: Sequence[pa.Table]) -> pa.Table:
    """BALANCE of all tasks together, in order of its key."""
    if not balances:
        return fields.BALANCE.empty_table()
    summed = pa.concat_tables(balances).group_by(list(_KEYS)).aggregate([(name, "sum") for name in _SUMS])
    columns = [summed[name] for name in _KEYS] + [summed[f"{name}_sum"].cast(fields.TOTAL) for name in _SUMS]
    together = pa.table(columns, schema=fields.BALANCE)
    return together.sort_by([(name, "ascending") for name in _KEYS]).combine_chunks()


def checks_of(
    load: Load, connection: Connection, plan: PlanReport, posts: Sequence[PostReport], totals: publish.Totals,
    balances: pa.Table,
) -> list[Check]:  # fmt: skip
    """All checks of a request. Raises InputError if the supplied balances cannot be read."""
    checks = [*_counts(plan, posts, totals), *_sides(balances)]
    if load.request.supplied:
        checks += _supplied(load, connection, balances)
    return checks


def _check(name: str, subject: str | None, expected: object, found: object) -> Check:
    return Check(name, subject, expected, found, expected == found)


def _counts(plan: PlanReport, posts: Sequence[PostReport], totals: publish.Totals) -> Iterator[Check]:
    accounted_for = totals.rows_posted + totals.rows_rejected + totals.rows_duplicate
    yield _check("rows in = posted + rejected + duplicate", None, totals.rows_read, accounted_for)
    yield _check("duplicates found = left out", None, plan.duplicates, totals.rows_duplicate)
    for file in plan.files:
        if file.rows is not None:
            read = sum(scan.read for scan in plan.scans if scan.file == file.number)
            yield _check("rows of the file", file.url, file.rows, read)
    loaded = sum(post.loaded.get("je_line", (0, 0))[1] for post in posts)
    yield _check("lines posted = loaded", None, totals.lines_posted, loaded)


def _sides(balances: pa.Table) -> Iterator[Check]:
    """Debits are credits: in each currency, and in base currency, of each period."""
    entered: dict[tuple[int, str], Amounts] = defaultdict(lambda: (Decimal(0), Decimal(0)))
    accounted: dict[int, Amounts] = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for row in balances.to_pylist():
        place = (row["period"], row["currency"])
        entered[place] = (entered[place][0] + row["debit"], entered[place][1] + row["credit"])
        period = row["period"]
        accounted[period] = (
            accounted[period][0] + row["accounted_debit"], accounted[period][1] + row["accounted_credit"],
        )  # fmt: skip
    for (period, currency), (debit, credit) in sorted(entered.items()):
        yield _check("debits = credits", f"{period} {currency}", debit, credit)
    for period, (debit, credit) in sorted(accounted.items()):
        yield _check("accounted debits = credits", str(period), debit, credit)


def _supplied(load: Load, connection: Connection, balances: pa.Table) -> Iterator[Check]:
    """Closing balances against those that the client supplied, account by account."""
    zero = (Decimal(0), Decimal(0))
    ours: dict[Key, Amounts] = {}
    for row in lookups.opening_balances(connection, load.request).to_pylist():
        ours[row["account"], row["currency"]] = (row["amount"], row["accounted"])
    for row in balances.to_pylist():
        key = (row["account"], row["currency"])
        amount, accounted = ours.get(key, zero)
        ours[key] = (
            amount + row["debit"] - row["credit"], accounted + row["accounted_debit"] - row["accounted_credit"],
        )  # fmt: skip
    theirs = {(row["account"], row["currency"]): (row["amount"], row["accounted"]) for row in _read_supplied(load)}
    for key in sorted({*ours, *theirs}):
        subject = " ".join(key)
        for place, name in enumerate(("balance supplied", "accounted balance supplied")):
            yield Check(
                name, subject, theirs[key][place] if key in theirs else None, ours[key][place] if key in ours else None,
                key in ours and key in theirs and ours[key][place] == theirs[key][place],
            )  # fmt: skip


def _read_supplied(load: Load) -> list[dict[str, Any]]:
    url = str(load.request.supplied)
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(ObjectStore(load.objects).read(url)),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={field.name: field.type for field in fields.SUPPLIED}, strings_can_be_null=False
            ),
        )
        rows: list[dict[str, Any]] = table.select(fields.SUPPLIED.names).to_pylist()
    except (pa.ArrowException, KeyError, FileNotFoundError) as error:
        raise InputError(
            f"supplied balances {url}: {error}; a CSV with {','.join(fields.SUPPLIED.names)} is expected"
        ) from error
    return rows
