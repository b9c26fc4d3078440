"""What all hub commands share: options, where servers are, errors as exit codes, tables or JSON."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import click
import psycopg
from confluent_kafka import KafkaException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from florin_io import endpoints
from florin_io.kafka.settings import KafkaUnreachable
from florin_io.kafka.topics import TopicError
from florin_io.postgres import Database, PostgresAddressError, PostgresUnreachable, checked_option, without_password
from jobs.hub.commands import BadCommand, Command
from jobs.hub.log import NoAnswer, Result, send
from jobs.hub.topics import TopicsMissing
from transforms.read_model.reader import ReadModel
from transforms.read_model.schema import DEFAULT_SCHEMA
from transforms.transfers.topics import Topics

REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130
WIDTH = 130
"""Columns that a table may take at least."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kafka:
    """Where Kafka is, and its topics."""

    bootstrap: str
    topics: Topics


def kafka_options(command: F) -> F:
    """--kafka and --topic-prefix as one argument `kafka`."""

    @click.option("--kafka", "bootstrap", metavar="HOST:PORT",
                  help="Bootstrap servers. [FLORIN_KAFKA, the local stack, localhost:9092]")  # fmt: skip
    @click.option("--topic-prefix", default="", help="Goes before every topic name; as given to the job.")
    @functools.wraps(command)
    def wrapped(*args: Any, bootstrap: str | None, topic_prefix: str, **named: Any) -> Any:
        found = endpoints.resolve(kafka=bootstrap).kafka
        return command(*args, kafka=Kafka(found, Topics(topic_prefix)), **named)

    return wrapped  # type: ignore[return-value]


def database_options(command: F) -> F:
    """--postgres and --schema as one argument `database`."""

    @click.option("--postgres", metavar="URL",
                  help="The read model, no password. [FLORIN_POSTGRES, the local stack, localhost:5432]")  # fmt: skip
    @click.option("--schema", default=DEFAULT_SCHEMA, show_default=True, help="Schema of the read model's tables.")
    @functools.wraps(command)
    def wrapped(*args: Any, postgres: str | None, schema: str, **named: Any) -> Any:
        found = endpoints.resolve(postgres=postgres)
        shown = checked_option if found.origin["postgres"] == "option" else without_password
        return command(*args, database=Database(shown(found.postgres), schema), **named)

    return wrapped  # type: ignore[return-value]


json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
wait_option = click.option(
    "--wait-s",
    type=click.FloatRange(min=0.1),
    default=30,
    show_default=True,
    help="Seconds to wait for the job's answer.",
)


class Guarded(click.Group):
    """A group whose commands end with a message and an exit code instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (BadCommand, PostgresAddressError) as error:
            _end(USAGE, str(error))
        except (KafkaUnreachable, TopicsMissing, TopicError, NoAnswer, PostgresUnreachable) as error:
            _end(UNREACHABLE, str(error))
        except KafkaException as error:
            _end(UNREACHABLE, f"Kafka: {error.args[0].str() if error.args else error}")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            _end(UNREACHABLE, "the database has no tables of the read model; start it with `python -m jobs.read_model`")
        except psycopg.Error as error:
            _end(UNREACHABLE, f"PostgreSQL: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def _end(code: int, message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def open_model(database: Database) -> ReadModel:
    """The read model. Raises PostgresUnreachable."""
    return ReadModel(database)


def execute(
    kafka: Kafka, commands: Sequence[Command], wait_s: float, as_json: bool, *, existing_ok: bool = False
) -> None:
    """Send commands, print their results, and exit with 1 if one was refused.

    With `existing_ok` a participant that exists already is as good as one that was added.
    """
    results = send(kafka.bootstrap, kafka.topics, commands, wait_s)
    if as_json:
        for result in results:
            print_json({"command": result.command.name, **result.command.arguments, "result": result.text,
                        "event": result.event})  # fmt: skip
    else:
        console = Console(highlight=False)
        for result in results:
            console.print(_line(result), soft_wrap=True)
    if not all(result.ok or (existing_ok and result.exists) for result in results):
        sys.exit(REFUSED)


def _line(result: Result) -> Text:
    style = "green" if result.ok else "yellow" if result.exists else "red"
    line = Text.assemble((f"{result.text:4}", style), f"  {result.command}")
    event = result.event
    if result.ok and "position" in event:
        line.append(
            f"  -> {event['account']}: position {event['position']}, cover {event['cover']}, NDC {event['ndc']}"
        )
    return line


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str], as_json: bool) -> None:
    """Rows as a table, or each as a JSON object on a line."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    names = list(columns)
    for name in names:
        number = any(isinstance(row.get(name), Decimal | int) and not isinstance(row.get(name), bool) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(name))) for name in names))
    # Wider than a narrow terminal rather than folded: ids are there to be copied.
    Console(highlight=False, width=max(Console().width, WIDTH)).print(table)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line; amounts as decimal strings."""
    click.echo(json.dumps(value, default=shown, separators=(",", ":"), ensure_ascii=False))


def shown(value: object) -> str:
    """A value as people read it: amounts without idle zeros, times in UTC with milliseconds."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)
