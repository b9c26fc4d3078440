"""Simulated ledger files of an entity, and what they must come to: counts, closing balances, columns of rejects.

Rows come in the order of the source; instruments are as skewed as asked for, and orders are filled in many like rows,
as real ones are, which is why the files compress well. Pure and seeded: the same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np

from transforms import subledger_simulate_kernel as kernel
from transforms import subledger_simulate_model as model
from transforms.subledger_simulate_model import Ints
from transforms.subledger_simulate_text import HEADER, LONGEST, put_lines, texts

__all__ = ["ACCOUNTS", "DIGITS", "HEADER", "Balance", "Mix", "Simulator", "Totals", "World"]

BLOCK: Final = 65_536
"""Rows that are made at once."""
DIGITS: Final = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3}
_IN_USD: Final = {"USD": 1.0, "EUR": 1.0832, "GBP": 1.2714, "JPY": 0.006712, "KWD": 3.2461}
_HELD_IN: Final = (0.5, 0.25, 0.15, 0.07, 0.03)
"""Shares of the instruments by currency; the base currency comes first."""
_QUANTITIES: Final = (10, 20, 50, 100, 100, 100, 200, 250, 500, 1000)
_CLASSES: Final = {"buy": 0.16, "sell": 0.12, "income": 0.10, "fee": 0.10, "fx": 0.01, "settle": 0.51}
_EQUITY, _BOND, _CASH = 40, 10, 50
ACCOUNTS: Final = {
    role: {"EQ": code, "BOND": "1210" if role == "securities" else code, "CASH": code}
    for role, code in {
        "securities": "1200", "settlement": "1300", "fees": "5000", "gain": "4100", "income": "4000", "cash": "1000",
        "fx_position": "1900", "valuation": "1290", "unrealised": "4200",
    }.items()
}  # fmt: skip
"""Accounts by role and the letters that a row's account_ref begins with, as in the standard rules."""
_GROUPS: Final = ("EQ", "BOND", "CASH")
_FIRST_ID: Final = 1_000_000_001
_SETTLE_DAYS: Final = 2
# Of the rows of a period's last day, at most one in so many is a revaluation.
_REVALUED: Final = 8
# Late rows are all out before the revaluations at the end of a request.
_LATE: Final = 0.9
# With these every kind of row comes once.
_WARM_ROWS: Final = 20_000


@dataclass(frozen=True)
class Mix:
    """Shares of all rows: `errors` (to be rejected), `duplicates`, `late` (of a closed period), `cancels` (CANCEL and
    CORRECT); `fees`: share of orders with a fee; `fills`: like rows of an average order."""

    errors: float = 0.002
    duplicates: float = 0.001
    late: float = 0.005
    cancels: float = 0.003
    fees: float = 0.1
    fills: float = 16.0

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if name == "fills":
                if not 1 <= share <= 10_000:
                    raise ValueError(f"fills of an average order are 1 to 10,000, got {share}")
            elif not 0 <= share <= (1.0 if name == "fees" else 0.25):
                raise ValueError(f"the share of {name} must be 0 to {1 if name == 'fees' else 0.25}, got {share}")


@dataclass(frozen=True)
class World:
    """An entity and its market. The month before `start` is closed, that of `start` and the `months` - 1 after it are
    open; `start` is a month as 2026-01. `skew` is Zipf's exponent over `instruments`."""

    entity: str = "ACME-EQ"
    base: str = "USD"
    lots: str = "FIFO"
    start: str = "2026-01"
    months: int = 2
    instruments: int = 5_000
    skew: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.base not in DIGITS or DIGITS[self.base] != 2:
            raise ValueError(f"the base currency is one of USD, EUR, GBP, got {self.base}")
        if self.lots not in ("FIFO", "AVERAGE"):
            raise ValueError(f"lots are FIFO or AVERAGE, got {self.lots}")
        if not 1 <= self.instruments <= 1_000_000:
            raise ValueError(f"instruments are 1 to 1,000,000, got {self.instruments}")
        if not 1 <= self.months <= 24:
            raise ValueError(f"months are 1 to 24, got {self.months}")
        try:
            np.datetime64(self.start, "M")
        except ValueError as error:
            raise ValueError(f"the first month is written as 2026-01, got {self.start!r}") from error

    def periods(self) -> list[tuple[int, bool]]:
        """Accounting periods (yyyymm) and whether each is open."""
        first = np.datetime64(self.start, "M")
        months = [first + n for n in range(-1, self.months)]
        return [(int(str(month).replace("-", "")), bool(month >= first)) for month in months]


@dataclass(frozen=True)
class Totals:
    """What the rows so far must come to; `rejected` by the column at fault."""

    rows: int
    posted: int
    duplicates: int
    entries: int
    lines: int
    rejected: dict[str, int]


@dataclass(frozen=True)
class Balance:
    """Debits less credits of an account in a currency, as exact decimal texts; accounted in the base currency."""

    account: str
    currency: str
    amount: str
    accounted: str


@dataclass
class Simulator:
    """The rows of an entity, request after request: what a later one sells, an earlier one may have bought."""

    world: World
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        world, mix = self.world, self.mix
        rng = np.random.default_rng([world.seed, *world.entity.encode()])
        codes = list(DIGITS)
        base = codes.index(world.base)
        self._days = _business_days(world.start, world.months)
        self._closed_days = _business_days(str(np.datetime64(world.start, "M") - 1), 1)
        accounts = [f"EQ{n:03d}" for n in range(_EQUITY)] + [f"BOND{n:02d}" for n in range(_BOND)]
        accounts += [f"CASH{n:02d}" for n in range(_CASH)]
        of_account = [0] * _EQUITY + [1] * _BOND + [2] * _CASH
        count = world.instruments
        by_preference = np.array([base, *(n for n in range(len(codes)) if n != base)])
        popularity = np.arange(1, count + 1) ** -world.skew
        self._world = model.World(
            popularity=np.cumsum(popularity) / popularity.sum(),
            classes=np.cumsum(list(_CLASSES.values())),
            currencies=by_preference[rng.choice(len(codes), count, p=_HELD_IN)],
            accounts=rng.integers(0, _EQUITY + _BOND, count),
            groups=np.array(of_account, np.int64),
            digits=np.array(list(DIGITS.values()), np.int64),
            rates=_rates(world.base, len(self._days), rng),
            quantities=np.array(_QUANTITIES, np.int64),
            shares=np.array([mix.errors, mix.duplicates, mix.late, mix.cancels, mix.fees, mix.fills - 1]),
            cash=np.array([_EQUITY + _BOND, _CASH], np.int64),
        )
        self._books = _books(count, len(_GROUPS), len(codes), rng)
        self._books.state[model.S_NEXT_ID] = _FIRST_ID
        self._books.state[model.S_BASE] = base
        self._books.state[model.S_AVERAGE] = world.lots == "AVERAGE"
        instruments = [f"US{n:09d}{n % 10}" for n in rng.permutation(count) + 100_000_000]
        first = int(self._closed_days[0])
        days = int(self._days[-1]) + _SETTLE_DAYS + 1 - first
        self._texts = texts(world.entity, first, days, accounts, instruments, DIGITS)

    def rows(self, count: int, part: int = 1, parts: int = 1) -> Iterator[Ints]:
        """A request's blocks, of `count` rows in all, on the `part`-th of `parts` of the days."""
        days = len(self._days)
        first, last = (part - 1) * days // parts, part * days // parts
        if count < 1 or not 1 <= part <= parts or first == last:
            raise ValueError(
                f"{count} rows in part {part} of {parts} of {days} days: at least a row and a day are needed"
            )
        self._begin(count, with_buys=part == 1)
        made = 0
        for day in range(first, last):
            quota = count * (day + 1 - first) // (last - first) - made
            room = quota // _REVALUED if self._ends_period(day) else 0
            yield from self._filled(quota - room, day)
            if room:
                found = np.zeros((room, model.ROW_COLUMNS), np.int64)
                many = int(kernel.revalue(self._books, self._world, found, 0, room, self._days[day], day))
                yield from self._appended(found[:many])
                yield from self._filled(room - many, day)
            made += quota
        assert self._books.state[model.S_LATE_OUT] == len(self._books.late), "late rows were left over"
        if self._at:
            yield self._block[: self._at]

    def lines(self, rows: Ints) -> memoryview:
        """Rows as CSV, each line with its newline."""
        out = np.empty(len(rows) * LONGEST, np.uint8)
        return memoryview(out.data)[: put_lines(out, rows, self._texts)]

    def totals(self) -> Totals:
        """What the rows of the last request must come to."""
        state = self._books.state
        rejected: dict[str, int] = {}
        for column, many in zip(model.DEFECTS, self._books.rejected, strict=True):
            if many:
                rejected[column] = rejected.get(column, 0) + int(many)
        return Totals(
            int(state[model.S_ROWS]), int(state[model.S_POSTED]), int(state[model.S_DUPLICATES]),
            int(state[model.S_ENTRIES]), int(state[model.S_LINES]), rejected,
        )  # fmt: skip

    def balances(self, accounts: Mapping[str, Mapping[str, str]] = ACCOUNTS) -> list[Balance]:
        """Closing balances of all requests so far, by account and currency."""
        codes, base = list(DIGITS), DIGITS[self.world.base]
        sums: dict[tuple[str, str], list[int]] = {}
        for role, group, currency in zip(*np.nonzero(self._books.touched), strict=True):
            account = accounts[model.ROLES[role]][_GROUPS[group]]
            found = sums.setdefault((account, codes[currency]), [0, 0])
            found[0] += int(self._books.balances[role, group, currency, 0])
            found[1] += int(self._books.balances[role, group, currency, 1])
        return [
            Balance(account, currency, _decimal(amount, DIGITS[currency]), _decimal(accounted, base))
            for (account, currency), (amount, accounted) in sorted(sums.items())
        ]

    def _begin(self, count: int, with_buys: bool) -> None:
        books, state = self._books, self._books.state
        late = np.zeros((int(count * self.mix.late * _LATE), model.ROW_COLUMNS), np.int64)
        self._books = books = books._replace(late=late)
        for place in (
            model.S_ROWS,
            model.S_POSTED,
            model.S_ENTRIES,
            model.S_LINES,
            model.S_DUPLICATES,
            model.S_LATE_OUT,
        ):
            state[place] = 0
        books.rejected[:] = 0
        self._block, self._at = np.zeros((min(BLOCK, count), model.ROW_COLUMNS), np.int64), 0
        if len(late):
            kernel.make_late(books, self._world, self._closed_days, with_buys)

    def _ends_period(self, day: int) -> bool:
        days = self._days.astype("datetime64[D]").astype("datetime64[M]")
        return day + 1 == len(days) or bool(days[day] != days[day + 1])

    def _filled(self, many: int, day: int) -> Iterator[Ints]:
        """Make rows of a day; the blocks that become full."""
        date = int(self._days[day])
        while many > 0:
            now = min(many, len(self._block) - self._at)
            kernel.fill_rows(
                self._books, self._world, self._block, self._at, self._at + now, date, date + _SETTLE_DAYS, day
            )
            many -= now
            yield from self._grown(now)

    def _appended(self, rows: Ints) -> Iterator[Ints]:
        while len(rows):
            now = min(len(rows), len(self._block) - self._at)
            self._block[self._at : self._at + now] = rows[:now]
            rows = rows[now:]
            yield from self._grown(now)

    def _grown(self, many: int) -> Iterator[Ints]:
        self._at += many
        if self._at == len(self._block):
            yield self._block
            self._block, self._at = np.zeros_like(self._block), 0


def warm_up() -> None:
    """Compile what rows and lines are made with, or find that it is done."""
    simulator = Simulator(World(instruments=100))
    for block in simulator.rows(_WARM_ROWS):
        simulator.lines(block)


def _business_days(first: str, months: int) -> Ints:
    """Monday to Friday of some months, in days since 1970."""
    start = np.datetime64(first, "M")
    days = np.arange(start.astype("datetime64[D]"), (start + months).astype("datetime64[D]"))
    found: Ints = days[np.is_busday(days)].astype(np.int64)
    return found


def _rates(base: str, days: int, rng: np.random.Generator) -> Ints:
    """Base units per unit of each currency, by day, in 10^-6; 0 (left empty) for the base currency itself."""
    start = np.array([value / _IN_USD[base] for value in _IN_USD.values()])
    walk = np.exp(np.cumsum(rng.normal(0, 0.003, (days, len(start))), axis=0))
    rates: Ints = np.rint(start * walk * 1e6).astype(np.int64)
    rates[:, list(DIGITS).index(base)] = 0
    return rates


def _books(instruments: int, groups: int, currencies: int, rng: np.random.Generator) -> model.Books:
    def empty(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    roles = len(model.ROLES)
    return model.Books(
        random=rng.integers(0, 2**63, 1, dtype=np.uint64),
        state=empty(model.STATE_COLUMNS),
        ring=empty(instruments, model.LOTS, 3),
        span=empty(instruments, 2),
        totals=empty(instruments, 4),
        cut=empty(instruments, 3),
        last=empty(instruments, model.LAST_COLUMNS),
        # From 5 to 500, in whole hundredths, so that walks end far from zero.
        prices=rng.integers(500, 50_000, instruments) * 100,
        balances=empty(roles, groups, currencies, 2),
        touched=np.zeros((roles, groups, currencies), np.bool_),
        rejected=empty(len(model.DEFECTS)),
        late=empty(0, model.ROW_COLUMNS),
        scratch=empty(model.ROW_COLUMNS),
    )


def _decimal(number: int, digits: int) -> str:
    return str(Decimal(number).scaleb(-digits))
