"""Options that say which simulated cardholders there are: histories and traffic must be told the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from transforms.cards.simulate import START_MS, Population

PeopleOf = Callable[[int], Population]
"""The population of so many cards. Raises ValueError for options that cannot be."""
F = TypeVar("F", bound=Callable[..., Any])
_START = datetime.fromtimestamp(START_MS / 1000, UTC).date().isoformat()


def population_options(*, start: str) -> Callable[[F], F]:
    """--seed, --start (described by `start`), --per-day and --skew as one argument `people_of`."""

    def decorate(command: F) -> F:
        @click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
                      help="Seed of the simulation: same seed, same bytes.")  # fmt: skip
        @click.option("--start", default=_START, show_default=True, metavar="DATE", help=start)
        @click.option("--per-day", type=float, default=1.0, show_default=True,
                      help="Simulated transactions of an average card in a day.")  # fmt: skip
        @click.option("--skew", type=float, default=1.0, show_default=True,
                      help="How unevenly simulated cards are used; 0: all alike.")  # fmt: skip
        @functools.wraps(command)
        def wrapped(*args: Any, seed: int, start: str, per_day: float, skew: float, **named: Any) -> Any:
            def people_of(cards: int) -> Population:
                return Population(cards, seed, _midnight(start), per_day, skew)

            return command(*args, people_of=people_of, **named)

        return wrapped  # type: ignore[return-value]

    return decorate


def _midnight(date: str) -> int:
    try:
        return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise ValueError(f"--start takes a date as 2022-01-01, got {date!r}") from error
