"""The subledger done plainly: a row at a time, with Decimal and lists. What it says, the real one must say.

It knows the standard rules only, and shares no code with what it checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tests.unit.subledger.plain_rows import D0, Reader, Refused, Row, gross_of, rounded

BEGINNINGS = {
    "securities": ("EQ", "BOND"), "valuation": ("EQ", "BOND"), "settlement": ("EQ", "BOND", "CASH"),
    "cash": ("EQ", "BOND", "CASH"),
}  # fmt: skip
"""By role: how an account_ref must begin that the standard rules have an account for; elsewhere any does."""
CODES = {
    "securities": "1200", "settlement": "1300", "fees": "5000", "gain": "4100", "income": "4000", "cash": "1000",
    "fx_position": "1900", "valuation": "1290", "unrealised": "4200", "rounding": "4900",
}  # fmt: skip


@dataclass
class Line:
    """A line; amounts are never negative. `lot` is the event that bought it."""

    account: str
    side: str
    quantity: Decimal
    currency: str
    amount: Decimal
    accounted: Decimal
    lot: tuple[str, int] | None = None


@dataclass
class Change:
    """What an entry did to a lot, or (`lot` None) to the unrealised gain of its instrument."""

    lot: Lot | None
    quantity: Decimal
    cost: Decimal
    accounted: Decimal


@dataclass(eq=False)
class Lot:
    """A lot; under AVERAGE an instrument has one."""

    opened: tuple[str, int]
    order: tuple[object, ...]
    currency: str
    quantity: Decimal = D0
    cost: Decimal = D0
    accounted: Decimal = D0


@dataclass
class Entry:
    """A journal entry. `gain` is accounted."""

    event: tuple[str, int]
    kind: str
    event_class: str
    effect: str
    accounting_date: date
    late: bool
    lines: list[Line]
    gain: Decimal | None = None


@dataclass
class Event:
    """A posted event: what it booked, and whether that was taken back."""

    row: Row
    effect: str
    lines: list[Line]
    changes: list[Change]
    gain: Decimal | None
    request: int
    taken_back: bool = False


@dataclass
class Instrument:
    """What is held of an instrument, oldest first."""

    lots: list[Lot] = field(default_factory=list)
    unrealised: Decimal = D0
    realised: Decimal = D0

    @property
    def held(self) -> list[Lot]:
        """Lots that are not sold out."""
        return sorted((lot for lot in self.lots if lot.quantity), key=lambda lot: lot.order)


@dataclass
class Result:
    """What a request came to. Rejects are (file, line, column, kind)."""

    entries: list[Entry]
    rejects: list[tuple[int, int, str, str]]
    rows: int
    posted: int


class Plain:
    """The books of an entity over its requests."""

    def __init__(
        self, entity: str, base: str, lots: str, periods: dict[int, bool], codes: dict[str, str] | None = None
    ) -> None:
        self.entity, self.base, self.average = entity, base, lots == "AVERAGE"
        self.periods = periods
        self.codes = CODES if codes is None else codes
        self.events: dict[tuple[str, int], Event] = {}
        self.instruments: dict[str, Instrument] = {}
        self.requests = 0

    @property
    def reader(self) -> Reader:
        """With the periods as they are now."""
        return Reader(self.entity, self.base, self.periods)

    def load(self, files: list[list[dict[str, str]]]) -> Result:
        """Post a request: files of rows, column by name."""
        self.requests += 1
        result = Result([], [], sum(map(len, files)), 0)
        rows: list[Row] = []
        seen: set[tuple[str, int]] = set()
        for instrument in self.instruments.values():
            instrument.realised = D0
        for file, raws in enumerate(files):
            for line, raw in enumerate(raws, 2):
                try:
                    row = self.reader.read(file, line, raw)
                except Refused as error:
                    result.rejects.append((file, line, error.column, "REJECT"))
                    continue
                if row.key in seen or row.key in self.events:
                    result.rejects.append((file, line, "source_id", "DUPLICATE"))
                    continue
                seen.add(row.key)
                rows.append(row)
        for row in sorted(rows, key=lambda row: row.order):
            try:
                result.entries += self._post(row)
                result.posted += 1
            except Refused as error:
                result.rejects.append((row.file, row.line, error.column, "REJECT"))
        return result

    def balances(self, entries: list[Entry]) -> dict[tuple[int, str, str], list[Decimal]]:
        """By period, account and currency: debit, credit, accounted debit, accounted credit."""
        found: dict[tuple[int, str, str], list[Decimal]] = {}
        for entry in entries:
            period = entry.accounting_date.year * 100 + entry.accounting_date.month
            for line in entry.lines:
                sums = found.setdefault((period, line.account, line.currency), [D0] * 4)
                side = 0 if line.side == "D" else 1
                sums[side] += line.amount
                sums[2 + side] += line.accounted
        return found

    def _post(self, row: Row) -> list[Entry]:
        place = self.instruments.get(row.instrument or "", Instrument())
        before = [(lot, lot.quantity, lot.cost, lot.accounted, lot.currency) for lot in place.lots]
        gains = place.unrealised, place.realised
        try:
            if row.event_class == "CANCEL":
                return self._cancel(row)
            if row.event_class == "CORRECT":
                return self._correct(row)
            return [self._book(row, row.event_class)]
        except Refused:
            if row.instrument:
                self.instruments[row.instrument] = place
            place.unrealised, place.realised = gains
            place.lots = [lot for lot, *_ in before]
            for lot, quantity, cost, accounted, currency in before:
                lot.quantity, lot.cost, lot.accounted, lot.currency = quantity, cost, accounted, currency
            raise

    def _target(self, row: Row) -> Event:
        source_id, _, version = (row.reference or "").partition("/")
        target = self.events.get((source_id, int(version or 1)))
        if target is None or (target.request == self.requests and not target.row.order < row.order):
            raise Refused("reference", "is not known")
        if target.taken_back:
            raise Refused("reference", "is taken back already")
        if target.row.domain != row.domain:
            raise Refused("reference", "is of another instrument or account")
        return target

    def _cancel(self, row: Row) -> list[Entry]:
        target = self._target(row)
        lines, changes, gain = self._take_back(row, target)
        self.events[row.key] = Event(row, target.effect, lines, changes, gain, self.requests)
        target.taken_back = True
        return [Entry(row.key, "REVERSAL", "CANCEL", target.effect, row.accounting_date, row.late, lines, gain)]

    def _correct(self, row: Row) -> list[Entry]:
        target = self._target(row)
        if target.row.event_class == "CANCEL":
            raise Refused("reference", "is a cancel")
        self.reader.check_class(row, target.effect)
        lines, _, gain = self._take_back(row, target)
        entry = self._book(row, target.effect)
        target.taken_back = True
        back = Entry(row.key, "REVERSAL", "CORRECT", target.effect, row.accounting_date, row.late, lines, gain)
        return [back, entry]

    def _take_back(self, row: Row, target: Event) -> tuple[list[Line], list[Change], Decimal | None]:
        changes = [Change(change.lot, -change.quantity, -change.cost, -change.accounted) for change in target.changes]
        self._change(row.instrument, changes)
        lines = [
            Line(
                line.account,
                "C" if line.side == "D" else "D",
                line.quantity,
                line.currency,
                line.amount,
                line.accounted,
                line.lot,
            )
            for line in target.lines
        ]
        gain = None if target.gain is None else -target.gain
        if target.effect == "SELL" and gain is not None:
            self.instruments[str(row.instrument)].realised += gain
        return lines, changes, gain

    def _change(self, instrument: str | None, changes: list[Change]) -> None:
        if instrument is None:
            return
        place = self.instruments.setdefault(instrument, Instrument())
        for change in changes:
            lot = change.lot
            if lot is None:
                place.unrealised += change.accounted
                continue
            lot.quantity += change.quantity
            lot.cost += change.cost
            lot.accounted += change.accounted
            left = lot.cost or lot.accounted
            if lot.quantity < 0 or lot.cost < 0 or lot.accounted < 0 or (not lot.quantity and left):
                raise Refused("reference", "lot partly sold")

    def _book(self, row: Row, effect: str) -> Entry:
        lines, changes, gain = getattr(self, f"_{effect.lower()}")(row)
        if row.fee:
            if effect not in ("BUY", "SELL", "INCOME"):
                raise Refused("fee", "has no place in the rule")
            assert row.fee_currency is not None
            rate = row.fx_rate if row.fee_currency == row.currency else Decimal(1)
            assert rate is not None
            accounted = self._base(row.fee * rate)
            lines += self._pair(row, "fees", "settlement", row.fee_currency, row.fee, accounted)
        residue = sum((line.accounted if line.side == "D" else -line.accounted for line in lines), D0)
        assert residue == 0, "the standard rules leave no residue"
        lines = [line for line in lines if line.amount or line.accounted or line.lot]
        self.events[row.key] = Event(row, effect, lines, changes, gain, self.requests)
        return Entry(row.key, "ENTRY", row.event_class, effect, row.accounting_date, row.late, lines, gain)

    def _buy(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        assert row.instrument
        assert row.quantity
        assert row.currency
        place = self.instruments.setdefault(row.instrument, Instrument())
        gross, accounted = gross_of(row), self._accounted(row, gross_of(row))
        self._same_currency(place, row.currency)
        lot = Lot(row.key, row.order, row.currency)
        if self.average and place.lots:
            lot = place.lots[0]
            lot.currency = row.currency
        else:
            place.lots.append(lot)
        changes = [Change(lot, row.quantity, gross, accounted)]
        self._change(row.instrument, changes)
        lines = self._pair(row, "securities", "settlement", row.currency, gross, accounted)
        lines[0].quantity, lines[0].lot = row.quantity, lot.opened
        return lines, changes, None

    def _sell(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        assert row.instrument
        assert row.quantity
        assert row.currency
        place = self.instruments.setdefault(row.instrument, Instrument())
        if sum((lot.quantity for lot in place.held), D0) < row.quantity:
            raise Refused("quantity", "is more than is held")
        self._same_currency(place, row.currency)
        gross, accounted = gross_of(row), self._accounted(row, gross_of(row))
        lines = [self._line(row, "settlement", "D", row.currency, gross, accounted)]
        changes, left = [], row.quantity
        for lot in place.held:
            taken = min(left, lot.quantity)
            if not taken:
                break
            left -= taken
            cost, cost_accounted = lot.cost, lot.accounted
            if taken < lot.quantity:
                cost = rounded(lot.cost * taken / lot.quantity, row.currency)
                cost_accounted = self._base(lot.accounted * taken / lot.quantity)
            changes.append(Change(lot, -taken, -cost, -cost_accounted))
            line = self._line(row, "securities", "C", row.currency, cost, cost_accounted)
            line.quantity, line.lot = taken, lot.opened
            lines.append(line)
        gain = gross + sum(change.cost for change in changes)
        gain_accounted = accounted + sum(change.accounted for change in changes)
        if gain * gain_accounted < 0:
            lines.append(self._signed(row, "gain", row.currency, -gain, D0))
            lines.append(self._signed(row, "gain", row.currency, D0, -gain_accounted))
        else:
            lines.append(self._signed(row, "gain", row.currency, -gain, -gain_accounted))
        self._change(row.instrument, changes)
        place.realised += gain_accounted
        return lines, changes, gain_accounted

    def _income(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        return self._amount_pair(row, "settlement", "income"), [], None

    def _fee(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        return self._amount_pair(row, "fees", "settlement"), [], None

    def _settle(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        return self._amount_pair(row, "settlement", "cash"), [], None

    def _fx(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        assert row.amount
        assert row.fx_rate
        counter = self._base(row.amount * (row.fx_rate if row.price is None else row.price))
        lines = self._amount_pair(row, "cash", "fx_position")
        return lines + self._pair(row, "fx_position", "cash", self.base, counter, counter), [], None

    def _revalue(self, row: Row) -> tuple[list[Line], list[Change], Decimal | None]:
        assert row.instrument
        assert row.currency
        assert row.price is not None
        place = self.instruments.setdefault(row.instrument, Instrument())
        self._same_currency(place, row.currency)
        held = sum((lot.quantity for lot in place.held), D0)
        value = self._accounted(row, rounded(held * row.price, row.currency))
        change = value - sum((lot.accounted for lot in place.held), D0) - place.unrealised
        changes = [Change(None, D0, D0, change)]
        self._change(row.instrument, changes)
        return self._pair(row, "valuation", "unrealised", self.base, change, change), changes, change

    def _same_currency(self, place: Instrument, currency: str) -> None:
        if any(lot.currency != currency for lot in place.held):
            raise Refused("currency", "is not that of the lots")

    def _amount_pair(self, row: Row, debit: str, credit: str) -> list[Line]:
        assert row.amount is not None
        assert row.currency is not None
        return self._pair(row, debit, credit, row.currency, row.amount, self._accounted(row, row.amount))

    def _pair(
        self, row: Row, debit: str, credit: str, currency: str, amount: Decimal, accounted: Decimal
    ) -> list[Line]:
        return [
            self._signed(row, debit, currency, amount, accounted),
            self._signed(row, credit, currency, -amount, -accounted),
        ]

    def _signed(self, row: Row, role: str, currency: str, amount: Decimal, accounted: Decimal) -> Line:
        side = "D" if (amount or accounted) >= 0 else "C"
        return self._line(row, role, side, currency, abs(amount), abs(accounted))

    def _line(self, row: Row, role: str, side: str, currency: str, amount: Decimal, accounted: Decimal) -> Line:
        if not row.account_ref.startswith(BEGINNINGS.get(role, "")):
            raise Refused("account_ref", "has no account")
        account = self.codes[role]
        if role == "securities" and row.account_ref.startswith("BOND"):
            account = "1210"
        return Line(account, side, D0, currency, amount, accounted)

    def _accounted(self, row: Row, amount: Decimal) -> Decimal:
        assert row.fx_rate is not None
        return self._base(amount * row.fx_rate)

    def _base(self, amount: Decimal) -> Decimal:
        return rounded(amount, self.base)
