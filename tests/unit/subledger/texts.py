"""Entries, rejects and holdings as short texts, so that two ways to come to them can be compared and read.

An entry is its kind and date (`ENTRY 2026-01-05`, `late` if it is), then its lines: side, account, amount, currency,
accounted amount, and for a line that changes a lot the quantity and the event that bought it:
`D 1200 50 EUR = 55 | 10 of 7`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tests.unit.subledger.plain import Plain, Result


@dataclass
class Told:
    """A request in texts: entries (with their lines) by event, rejects as `file:line column kind`, what is held by
    instrument, balances as `period account currency debit D C accounted D C`."""

    entries: dict[str, list[list[str]]] = field(default_factory=dict)
    rejects: list[str] = field(default_factory=list)
    held: dict[str, dict[str, str]] = field(default_factory=dict)
    balances: list[str] = field(default_factory=list)


def number(value: Decimal | str | int) -> str:
    """A number in its shortest form."""
    text = f"{Decimal(value):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def event_text(source_id: str, version: int) -> str:
    """An event by its id, and its version if it is not the first."""
    return source_id if version == 1 else f"{source_id}/{version}"


def head_text(kind: str, day: date, late: bool) -> str:
    """The first text of an entry."""
    return f"{kind} {day}{' late' if late else ''}"


def line_text(
    side: str, account: str, amount: Decimal, currency: str, accounted: Decimal, quantity: Decimal, lot: str | None
) -> str:
    """One line of an entry."""
    text = f"{side} {account} {number(amount)} {currency} = {number(accounted)}"
    return text if lot is None else f"{text} | {number(quantity)} of {lot}"


def balance_text(period: int, account: str, currency: str, sums: Iterable[Decimal]) -> str:
    """One balance."""
    debit, credit, accounted_debit, accounted_credit = map(number, sums)
    return f"{period} {account} {currency} debit {debit} {credit} accounted {accounted_debit} {accounted_credit}"


def held_text(
    quantity: Decimal, cost: Decimal, accounted: Decimal, unrealised: Decimal, realised: Decimal
) -> dict[str, str]:
    """What is held of an instrument."""
    names = ("quantity", "cost", "accounted", "unrealised", "realised")
    return dict(zip(names, map(number, (quantity, cost, accounted, unrealised, realised)), strict=True))


def of_plain(books: Plain, result: Result) -> Told:
    """What the plain model says."""
    told = Told(rejects=sorted(f"{file + 1}:{line} {column} {kind}" for file, line, column, kind in result.rejects))
    for entry in result.entries:
        lines = [
            line_text(
                line.side, line.account, line.amount, line.currency, line.accounted, line.quantity,
                event_text(*line.lot) if line.lot else None,
            )
            for line in entry.lines
        ]  # fmt: skip
        head = head_text(entry.kind, entry.accounting_date, entry.late)
        told.entries.setdefault(event_text(*entry.event), []).append([head, *sorted(lines)])
    for name, place in books.instruments.items():
        sums = [
            sum((getattr(lot, part) for lot in place.lots), Decimal(0)) for part in ("quantity", "cost", "accounted")
        ]
        told.held[name] = held_text(*sums, place.unrealised, place.realised)
    told.balances = sorted(balance_text(*key, sums) for key, sums in books.balances(result.entries).items())
    return told
