"""What a run of the load generator found, as a dataclass, as JSON and as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from transforms.load.scenarios import PAYEE, PAYER, SCENARIOS, Token


@dataclass(frozen=True)
class Second:
    """What arrived in one second of a run; `second` counts from the start of sending, percentiles are of `reserved`."""

    second: int
    sent: int
    posts: int
    puts: int
    completed: int
    p50_ms: int | None
    p99_ms: int | None


@dataclass(frozen=True)
class Report:
    """Result of a run.

    `reserved` is the latency from the append of the prepare to the POST seen by the payee, `committed` to the COMMITTED
    PUT seen by the payer (count, p50_ms, p95_ms, p99_ms, max_ms), both without the warm-up. `per_s` is the rate of
    finished transfers while sending, after the warm-up. `longest_silence_s` is the longest time without any
    notification while transfers were being sent. `cpu_us_per_transfer` is the generator's own.
    """

    seed: int
    via: str
    rate: float
    seconds: float
    sent: int
    completed: int
    per_s: float
    outcomes: dict[str, dict[str, int]]
    notifications: dict[str, int]
    reserved: dict[str, int | None]
    committed: dict[str, int | None]
    mismatches: int
    missing: int
    left_in_flight: int
    foreign: int
    skipped: int
    held_back_s: float
    longest_silence_s: float
    cpu_us_per_transfer: float
    interrupted: bool
    examples: list[str]
    hints: list[str]
    timeline: list[Second]

    @property
    def ok(self) -> bool:
        """Everything that was sent came to the end that was expected, and nothing else came."""
        return self.mismatches == 0 and self.missing == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for json.dumps."""
        return {"ok": self.ok, **asdict(self)}


def show(report: Report, console: Console) -> None:
    """The tables at the end of a run."""
    console.print(_outcomes(report))
    console.print(_latency(report))
    console.print(
        f"{report.sent:,} sent, {report.completed:,} finished in {report.seconds:.1f} s of sending: "
        f"{report.per_s:,.0f} transfers/s after warm-up; longest silence {report.longest_silence_s:.1f} s; "
        f"generator {report.cpu_us_per_transfer:.0f} us CPU a transfer; seed {report.seed}"
    )
    if report.skipped or report.held_back_s >= 1:
        console.print(
            f"the rate was not held: {report.skipped:,} transfers not sent after stalls, "
            f"{report.held_back_s:.0f} s at the limit of transfers in flight",
            style="yellow",
        )
    for example in report.examples:
        console.print(f"  {example}", style="red", soft_wrap=True, markup=False)
    if report.mismatches > len(report.examples):
        console.print(f"  ... and {report.mismatches - len(report.examples):,} more", style="red")
    for hint in report.hints:
        console.print(hint, style="yellow", soft_wrap=True, markup=False)
    verdict = f"mismatches {report.mismatches:,}, missing {report.missing:,}"
    if report.interrupted:
        verdict += f"; interrupted, {report.left_in_flight:,} left in flight"
    console.print(verdict, style="bold green" if report.ok else "bold red")


def _outcomes(report: Report) -> Table:
    table = Table(title="Outcomes")
    table.add_column("scenario", no_wrap=True)
    for name in ("to payer", "to payee"):
        table.add_column(name)
    for name in ("expected", "observed", "differ", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, counts in report.outcomes.items():
        table.add_row(
            name,
            _told(PAYER, SCENARIOS[name].expect),
            _told(PAYEE, SCENARIOS[name].expect),
            *(f"{counts[column]:,}" for column in ("expected", "observed", "differing", "missing")),
        )
    return table


def _latency(report: Report) -> Table:
    table = Table(title="Latency from the append of the prepare, ms")
    table.add_column("until")
    for name in ("transfers", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="right")
    for name, found in (
        ("reserved: POST seen by the payee", report.reserved),
        ("COMMITTED: PUT seen by the payer", report.committed),
    ):
        values = (found["p50_ms"], found["p95_ms"], found["p99_ms"], found["max_ms"])
        table.add_row(name, f"{found['count']:,}", *("-" if value is None else f"{value:,}" for value in values))
    return table


def _told(role: int, expected: tuple[Token, ...]) -> str:
    """What one side must be told, as POST, PUT, PATCH or the code of an error."""
    return ", ".join(code if method == "PUT error" else method for who, method, code in expected if who == role)
