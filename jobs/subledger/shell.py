"""What the subledger's commands share: where the servers are, options of the load, errors as exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import psycopg

from flink.errors import StackError
from florin_io import endpoints
from florin_io.objects import ObjectStoreError
from florin_io.postgres import (
    Connection,
    PostgresAddressError,
    PostgresUnreachable,
    SchemaError,
    checked_option,
    without_password,
)
from transforms.subledger.errors import SubledgerError
from transforms.subledger.rules import RulesError
from transforms.subledger_db.model import Entity, LedgerError
from transforms.subledger_db.requests import entity as find_entity
from transforms.subledger_db.schema import DEFAULT_SCHEMA, LedgerDatabase

REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130
F = TypeVar("F", bound=Callable[..., Any])


class Guarded(click.Group):
    """A group whose commands end with a message and an exit code instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RulesError as error:
            count = len(error.mistakes)
            end(REFUSED, f"{error}\n{count} mistake{'s' * (count != 1)}", "")
        except (LedgerError, SubledgerError) as error:
            end(REFUSED, str(error), "refused: ")
        except (PostgresAddressError, FileNotFoundError) as error:
            end(USAGE, str(error))
        except (PostgresUnreachable, SchemaError, ObjectStoreError, StackError) as error:
            end(UNREACHABLE, str(error))
        except psycopg.errors.InsufficientPrivilege as error:
            end(REFUSED, f"{first_line(error)}; members of a tenant's reader role read reports, loaders do the rest")
        except psycopg.Error as error:
            end(UNREACHABLE, f"PostgreSQL: {first_line(error)}")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def end(code: int, message: str, prefix: str = "error: ") -> None:
    """Say why and exit."""
    click.echo(f"{prefix}{message}", err=True)
    sys.exit(code)


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def database_of(postgres: str | None, schema: str) -> LedgerDatabase:
    """The database that the option, the environment or the local stack names. Raises PostgresAddressError."""
    found = endpoints.resolve(postgres=postgres)
    shown = checked_option if found.origin["postgres"] == "option" else without_password
    return LedgerDatabase(shown(found.postgres), schema)


def the_database() -> LedgerDatabase:
    """What --postgres and --schema of the command line name."""
    found = click.get_current_context().find_object(LedgerDatabase)
    assert found is not None
    return found


def connected(command: F) -> F:
    """The command's first argument is a loader's connection."""

    @functools.wraps(command)
    def wrapped(*args: Any, **named: Any) -> Any:
        with the_database().ready(application="florin subledger cli") as connection:
            return command(connection, *args, **named)

    return wrapped  # type: ignore[return-value]


def entity_arguments(command: F) -> F:
    """Arguments TENANT ENTITY; the command gets connection and entity."""

    @click.argument("tenant")
    @click.argument("entity")
    @functools.wraps(command)
    def wrapped(connection: Connection, *args: Any, tenant: str, entity: str, **named: Any) -> Any:
        found: Entity = find_entity(connection, tenant, entity)
        return command(connection, found, *args, **named)

    return wrapped  # type: ignore[return-value]


def database_options(command: F) -> F:
    """--postgres and --schema."""
    for option in (
        click.option("--schema", default=DEFAULT_SCHEMA, show_default=True, help="Schema of the tables."),
        click.option("--postgres", metavar="URL",
                     help="Address, no password. [FLORIN_POSTGRES, the local stack, localhost:5432]"),
    ):  # fmt: skip
        command = option(command)
    return command


def load_options(command: F) -> F:
    """Options of the load job, as one argument `load` (a dictionary)."""

    @click.option("--runner", default="FlinkRunner", show_default=True,
                  help="FlinkRunner, or DirectRunner: in this process, without a cluster.")  # fmt: skip
    @click.option(
        "--parallelism", type=click.IntRange(min=1), default=2, show_default=True, help="Workers of a request."
    )
    @click.option("--connections", type=click.IntRange(1, 64), default=4, show_default=True,
                  help="PostgreSQL connections that load a request, over all workers.")  # fmt: skip
    @click.option("--scratch", metavar="DIR",
                  help="Folder for what lies between the steps; all TaskManagers must reach it. [in /tmp]")  # fmt: skip
    @click.option("--audit", metavar="URL",
                  help="Where each input file is copied once, as gs://bucket/prefix or a folder. [none]")  # fmt: skip
    @click.option("--flink_master", "--flink-master", "flink", metavar="HOST:PORT",
                  help="Flink's REST address. [FLORIN_FLINK, the local stack, localhost:8081]")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any, runner: str, parallelism: int, connections: int, scratch: str | None, audit: str | None,
        flink: str | None, **named: Any,
    ) -> Any:  # fmt: skip
        load = {"runner": runner, "parallelism": parallelism, "connections": connections, "scratch": scratch,
                "audit": audit, "flink": flink}  # fmt: skip
        return command(*args, load={name: value for name, value in load.items() if value is not None}, **named)

    return wrapped  # type: ignore[return-value]


def as_arguments(load: dict[str, Any]) -> list[str]:
    """Load options as another process takes them."""
    names = {"flink": "flink_master"}
    return [f"--{names.get(name, name)}={value}" for name, value in load.items()]
