"""A run on a terminal: a live line, Ctrl-C as a request to stop, and exit codes for what cannot be."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol, TypeVar

import click
from confluent_kafka import KafkaException

from florin_io.kafka.settings import KafkaUnreachable
from jobs.hub.topics import TopicsMissing

_PLAIN_EVERY_S = 5.0
_Result = TypeVar("_Result")


class Line(Protocol):
    """Progress of some kind."""

    def line(self) -> str:
        """One line for people."""


def guarded(work: Callable[[Callable[[Line], None], threading.Event], _Result]) -> _Result:
    """Do the work, with a live line, and Ctrl-C as a request to stop. A second Ctrl-C ends it at once.

    Exits with 3 if Kafka or its topics are not there, with 2 for what cannot be, with 130 at the second Ctrl-C.
    """
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("\nstopping: waiting for what is in flight (Ctrl-C again: at once)", err=True)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    progress = _Progress()
    try:
        return work(progress, stop)
    except (KafkaUnreachable, KafkaException, TopicsMissing) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(3)
    except (ValueError, FileNotFoundError, PermissionError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        progress.close()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """Prints progress: one line kept up to date on a terminal, else a plain line every few seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._printed = 0.0

    def __call__(self, progress: Line) -> None:
        if self._terminal:
            # What is wider would leave its first rows behind.
            text = progress.line()[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._printed = time.monotonic()
        elif time.monotonic() - self._printed >= _PLAIN_EVERY_S:
            self._printed = time.monotonic()
            click.echo(progress.line(), err=True)

    def close(self) -> None:
        """What follows begins on a line of its own."""
        if self._terminal and self._printed:
            sys.stderr.write("\n")
