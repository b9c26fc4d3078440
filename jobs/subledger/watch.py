"""Progress of requests on a terminal: a bar for each; plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from florin_io.postgres import TRANSIENT, Connection, PostgresUnreachable
from transforms.subledger_db.model import FINAL
from transforms.subledger_db.schema import LedgerDatabase
from transforms.subledger_db.status import Status, requests_now

PLAIN_EVERY_S = 5.0
_LIVE_EVERY_S = 0.5
_RECENT_S = 10.0
_STYLES = {"RUNNING": "cyan", "PUBLISHED": "green", "FAILED": "red", "CANCELLED": "yellow", "REVERSED": "magenta"}


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_STYLES.get(state, ""))


def seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return ""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Pace:
    """How fast requests went over the last ten seconds, from how they stood each time somebody looked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, deque[tuple[float, int, int, int]]] = {}

    def told(self, row: Status) -> Status:
        """The request with its pace, if it has one."""
        if row.state != "RUNNING":
            return row
        seen = self._seen.setdefault(row.request, deque())
        now = self._clock()
        if seen and (seen[-1][1] != row.attempt or seen[-1][2:] > (row.rows_read, row.done)):
            seen.clear()
        seen.append((now, row.attempt, row.rows_read, row.done))
        while len(seen) > 2 and now - seen[1][0] >= _RECENT_S:
            seen.popleft()
        began, _, read, done = seen[0]
        if now - began < _LIVE_EVERY_S:
            return row
        return replace(row, recent=(row.rows_read - read, row.done - done, now - began))


def bars(rows: Sequence[Status]) -> RenderableType:
    """Two lines for each request: a bar, and what was counted."""
    names = [f"{row.tenant}/{row.entity}" for row in rows]
    widths = (max((len(str(row.request)) for row in rows), default=0), max(map(len, names), default=0), 9, 16, 4)
    shown: list[RenderableType] = []
    for row, name in zip(rows, names, strict=True):
        table = Table.grid(padding=(0, 1))
        for width in widths:
            table.add_column(min_width=width, no_wrap=True)
        share = row.share or 0.0
        rest = f"{seconds(row.remaining_s)} left" if row.remaining_s is not None else ""
        told = "  ".join(filter(None, (_pace(row), rest, row.stage)))
        table.add_row(
            Text(f"{row.request}", justify="right"), name, state_text(row.state),
            ProgressBar(100, share * 100, width=widths[3]), Text(f"{share:4.0%}"), Text(told),
        )  # fmt: skip
        shown += [table, Text(f"{'':{widths[0]}} {_counts(row)}", style="dim")]
    return Group(*shown)


def _counts(row: Status) -> str:
    total = f" of {row.rows_total:,}" if row.rows_total and row.state == "RUNNING" else ""
    told = f"{row.rows_read:,}{total} read, {row.rows_posted:,} posted, {row.rows_rejected:,} rejected"
    return told + (f", {row.rows_duplicate:,} duplicate" if row.rows_duplicate else "")


def _pace(row: Status) -> str:
    return f"{row.rate:,.0f}/s" if row.attempt and row.rate else ""


def line(row: Status) -> str:
    """One request as a plain line."""
    share = "" if row.share is None else f" {row.share:.0%}"
    rest = f", {seconds(row.remaining_s)} left" if row.remaining_s is not None else ""
    error = f": {row.error.splitlines()[0]}" if row.error and row.state in ("FAILED", "QUEUED") else ""
    pace = f", {_pace(row)}" if _pace(row) else ""
    told = f"request {row.request} {row.tenant}/{row.entity} {row.state}{share}: {_counts(row)}{pace}{rest}"
    return told + (f" ({row.stage})" if row.stage else "") + error


def watch(
    database: LedgerDatabase,
    console: Console,
    look: Callable[[Connection], list[Status]],
    until: Callable[[list[Status]], bool],
) -> list[Status]:
    """Show requests until it is time to stop; what they were last."""
    terminal = console.is_terminal
    pace = Pace()
    said: dict[int, str] = {}
    printed = 0.0
    rows: list[Status] = []
    connection: Connection | None = None
    with Live(console=console, auto_refresh=False, transient=False) if terminal else _nothing() as live:
        while True:
            try:
                connection = connection or database.connect(application="florin subledger watch")
                rows = [pace.told(row) for row in look(connection)]
            except (PostgresUnreachable, *TRANSIENT):
                connection = None
            if live is not None:
                live.update(bars(rows), refresh=True)
            elif time.monotonic() - printed >= PLAIN_EVERY_S or until(rows):
                printed = time.monotonic()
                for row in rows:
                    if said.get(row.request) != (text := line(row)):
                        said[row.request] = text
                        console.print(text, soft_wrap=True, markup=False)
            if connection is not None and until(rows):
                connection.close()
                return rows
            time.sleep(_LIVE_EVERY_S)


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def all_over(rows: list[Status]) -> bool:
    """Whether none waits or runs."""
    return all(row.state in FINAL for row in rows)


@contextmanager
def watching(database: LedgerDatabase, console: Console) -> Iterator[None]:
    """Show what a worker runs while it runs it."""
    done = threading.Event()
    seen: set[int] = set()

    def look(connection: Connection) -> list[Status]:
        running = {row.request for row in requests_now(connection, state="RUNNING")}
        seen.update(running)
        return requests_now(connection, sorted(seen)) if seen else []

    shower = threading.Thread(
        target=watch, args=(database, console, look, lambda rows: done.is_set()), name="watch", daemon=True
    )
    shower.start()
    try:
        yield
    finally:
        done.set()
        shower.join(5)


def current(
    tenant: str | None, entity: str | None, state: str | None, ids: Sequence[int], limit: int
) -> Callable[[Connection], list[Status]]:
    """How to look up the requests that the options of a command mean."""

    def look(connection: Connection) -> list[Status]:
        return requests_now(connection, list(ids) or None, tenant=tenant, entity=entity, state=state, limit=limit)

    return look
