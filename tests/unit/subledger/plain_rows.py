"""Ledger rows read plainly, for the plain model: from texts to what can be posted, or refused by a column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

D0 = Decimal(0)
CLASSES = ("BUY", "SELL", "INCOME", "FEE", "FX", "SETTLE", "REVALUE", "CANCEL", "CORRECT")
DIGITS = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3, "CLF": 4}


class Refused(Exception):
    """A row that is not posted, by the column at fault."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


@dataclass
class Row:
    """A row that can be read; None where it is empty."""

    file: int
    line: int
    source_id: str
    version: int
    event_class: str
    trade_date: date
    accounting_date: date
    account_ref: str
    instrument: str | None
    quantity: Decimal | None
    price: Decimal | None
    currency: str | None
    amount: Decimal | None
    fee: Decimal
    fee_currency: str | None
    fx_rate: Decimal | None
    reference: str | None

    @property
    def key(self) -> tuple[str, int]:
        """What makes the event."""
        return self.source_id, self.version

    @property
    def domain(self) -> tuple[bool, str]:
        """What orders it among others: its instrument, or else its account."""
        return self.instrument is not None, self.instrument or self.account_ref

    @property
    def order(self) -> tuple[object, ...]:
        """When it comes among those of its instrument."""
        return self.trade_date, sequence(self.source_id), self.version

    @property
    def late(self) -> bool:
        """Whether it is not booked when it happened."""
        return self.accounting_date != self.trade_date


def sequence(source_id: str) -> tuple[int, int, bytes]:
    """Numbers come first, by their value; texts after them."""
    if source_id.isdigit() and len(source_id) <= 18:
        return 0, int(source_id), source_id.encode()
    return 1, 0, source_id.encode()


@dataclass(frozen=True)
class Reader:
    """Reads rows for an entity with its periods (yyyymm, and whether each is open)."""

    entity: str
    base: str
    periods: dict[int, bool]

    def read(self, file: int, line: int, raw: dict[str, str]) -> Row:
        """A row of texts. Raises Refused."""
        text = {name: value for name, value in raw.items() if value != ""}

        def need(name: str) -> str:
            if name not in text:
                raise Refused(name, "is missing")
            return text[name]

        source_id = need("source_id")
        try:
            version = int(need("version"))
        except ValueError as error:
            raise Refused("version", "is no number") from error
        if version < 1:
            raise Refused("version", "is below 1")
        event_class = need("event_class")
        if event_class not in CLASSES:
            raise Refused("event_class", "is none")
        if need("entity") != self.entity:
            raise Refused("entity", "is another")
        trade_date = self._date(need("trade_date"), "trade_date")
        if "settle_date" in text:
            self._date(text["settle_date"], "settle_date")
        account_ref = need("account_ref")
        if event_class in ("CANCEL", "CORRECT"):
            need("reference")
        if event_class in ("BUY", "SELL", "REVALUE"):
            need("instrument")
        row = Row(
            file, line, source_id, version, event_class, trade_date, self._accounting_date(trade_date), account_ref,
            text.get("instrument"), self._number(text, "quantity", 8), self._number(text, "price", 8), None, None, D0,
            None, None, text.get("reference"),
        )  # fmt: skip
        if event_class != "CANCEL":
            currency = row.currency = need("currency")
            if currency not in DIGITS:
                raise Refused("currency", "is none")
            row.amount = self._number(text, "amount", DIGITS[currency])
            row.fee_currency = text.get("fee_currency", currency)
            if row.fee_currency not in (currency, self.base):
                raise Refused("fee_currency", "is neither the row's nor the base")
            row.fee = self._number(text, "fee", DIGITS[row.fee_currency]) or D0
            if row.fee < 0:
                raise Refused("fee", "is negative")
            row.fx_rate = self._number(text, "fx_rate", 8)
            if currency == self.base:
                if row.fx_rate not in (None, Decimal(1)):
                    raise Refused("fx_rate", "of the base currency is 1")
                row.fx_rate = Decimal(1)
            elif row.fx_rate is None or row.fx_rate <= 0:
                raise Refused("fx_rate", "is needed")
        if event_class not in ("CANCEL", "CORRECT"):
            self.check_class(row, event_class)
        return row

    def check_class(self, row: Row, event_class: str) -> None:
        """What a row of this class must have; a CORRECT is of its original's. Raises Refused."""
        if event_class in ("BUY", "SELL"):
            if row.quantity is None or row.quantity <= 0:
                raise Refused("quantity", "is needed")
            if row.amount is None and row.price is None:
                raise Refused("amount", "is needed")
            if gross_of(row) < 0:
                raise Refused("amount", "is negative")
        elif event_class == "REVALUE":
            if row.price is None or row.price < 0:
                raise Refused("price", "is needed")
        elif not row.amount:
            raise Refused("amount", "is needed")
        if event_class == "FX" and row.currency == self.base:
            raise Refused("currency", "is the base currency")

    def _accounting_date(self, day: date) -> date:
        period = day.year * 100 + day.month
        if self.periods.get(period):
            return day
        later = [number for number, is_open in sorted(self.periods.items()) if is_open and number > period]
        if not later:
            raise Refused("trade_date", "no open period after it")
        return date(later[0] // 100, later[0] % 100, 1)

    @staticmethod
    def _date(text: str, name: str) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise Refused(name, "is no date") from error

    @staticmethod
    def _number(text: dict[str, str], name: str, digits: int) -> Decimal | None:
        if name not in text:
            return None
        try:
            number = Decimal(text[name])
        except InvalidOperation as error:
            raise Refused(name, "is no number") from error
        if number != number.quantize(Decimal(1).scaleb(-digits)):
            raise Refused(name, "has too many decimals")
        return number


def gross_of(row: Row) -> Decimal:
    """The amount of a BUY or SELL."""
    if row.amount is not None:
        return row.amount
    assert row.quantity is not None
    assert row.price is not None
    assert row.currency is not None
    return rounded(row.quantity * row.price, row.currency)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the digits of a currency, half to even."""
    return amount.quantize(Decimal(1).scaleb(-DIGITS[currency]), ROUND_HALF_EVEN)
