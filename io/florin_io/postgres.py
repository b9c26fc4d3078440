"""PostgreSQL: addresses without passwords, connections that say what is wrong, and schemas with a version."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import tenacity
import yoyo
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri

from florin_io.tls import why_not_verified

_LOG = logging.getLogger(__name__)

ENVIRONMENT = "FLORIN_POSTGRES"
_LOCK = "florin migration"
_CONNECT_TIMEOUT_S = 5
# Those that libpq itself hides when it shows parameters, and the keys that stand for a password.
_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError)
"""What a connection that broke, or a server that is starting or stopping, raises."""


class PostgresAddressError(ValueError):
    """An address that cannot be used as given; the message names the remedy."""


class PostgresUnreachable(ConnectionError):
    """No server answers at the address, or it refuses us."""


class SchemaError(ValueError):
    """Tables of another version than this program's."""


def without_password(url: str) -> str:
    """The address as it may be shown in options, logs and job graphs."""
    return make_conninfo(**{name: value for name, value in _parameters(url).items() if name not in _SECRETS})


def checked_option(url: str) -> str:
    """An address given as an option, as a conninfo. Raises PostgresAddressError if it holds a password or is none.

    Options are seen in process lists, in Flink's web UI and in savepoints.
    """
    held = [name for name in _SECRETS if _parameters(url).get(name)]
    if held:
        raise PostgresAddressError(
            f"the PostgreSQL address holds a {' and a '.join(held)}, and options are visible to others; leave it out "
            f"and put it into the environment of the workers (PGPASSWORD, or the whole address in {ENVIRONMENT}) "
            "or into the file that PGPASSFILE names (~/.pgpass)"
        )
    return without_password(url)


def with_secret(conninfo: str) -> str:
    """The address with the secrets of this process's FLORIN_POSTGRES, if that means the same server.

    Without one, libpq looks at PGPASSWORD and the password file by itself.
    """
    secret = os.environ.get(ENVIRONMENT)
    if not secret:
        return conninfo
    wanted, known = _parameters(conninfo), _parameters(secret)
    same = all(wanted.get(name) == known.get(name) for name in ("host", "hostaddr", "port", "user", "dbname"))
    secrets = {name: known[name] for name in _SECRETS if known.get(name)} if same else {}
    return make_conninfo(conninfo, **secrets)


def _parameters(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError as error:
        raise PostgresAddressError(
            f"not a PostgreSQL address ({str(error).strip()}); expected postgresql://user@host:port/database"
        ) from error


@dataclass(frozen=True)
class Database:
    """A database and the schema of one model in it."""

    conninfo: str
    schema: str

    def __str__(self) -> str:
        return f"{without_password(self.conninfo)} schema {self.schema}"

    def connect(self, *, application: str, settings: dict[str, str] | None = None) -> Connection:
        """A connection, autocommit, that finds the schema's tables by their plain names.

        Raises PostgresUnreachable.
        """
        options = {"search_path": f'"{self.schema}",pg_catalog', "timezone": "UTC", **(settings or {})}
        try:
            return psycopg.connect(
                with_secret(self.conninfo),
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name=application,
                options=" ".join(f"-c {name}={_escaped(value)}" for name, value in options.items()),
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
        except psycopg.OperationalError as error:
            raise PostgresUnreachable(
                f"no PostgreSQL answers at {without_password(self.conninfo)} ({_first_line(error)}). Remedy: "
                f"{_remedy(self.conninfo, _first_line(error))}"
            ) from error


def _remedy(conninfo: str, said: str) -> str:
    """What to do about what libpq said, which names neither what is wrong with a certificate nor where a setting is."""
    parameters = _parameters(conninfo)
    authority = parameters.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    named = f"sslrootcert of the address or PGSSLROOTCERT ({authority or 'not set: ~/.postgresql/root.crt'})"
    if "certificate verify failed" in said:
        host, port = parameters.get("host", "localhost"), int(parameters.get("port") or 5432)
        why = why_not_verified(host, port, authority, check_host=False, postgres=True)
        return f"{why or 'its certificate is not of this authority'}; look at {named}"
    if "root certificate file" in said:
        return f"put the PEM file of the authority there, on every machine that runs workers, or name another: {named}"
    if "does not match host name" in said:
        return "connect by a name that is in the server's certificate"
    if "does not support SSL" in said:
        return "switch ssl on at the server; sslmode=disable sends passwords and data in the clear"
    if "no pg_hba.conf entry" in said:
        return "the server's pg_hba.conf must let this user in; without TLS it may not: sslmode=verify-full"
    if "client certificate" in said or " alert " in said or "certificate authentication" in said:
        return "the server did not take our certificate: look at sslcert and sslkey of the address or the environment"
    if "password" in said:
        return (
            f"the user's password in PGPASSWORD, in the file of PGPASSFILE (~/.pgpass) or in {ENVIRONMENT}, of this "
            "process; of a job that is the environment of the TaskManagers"
        )
    return f"start the local stack with `python -m flink up`, or name yours with --postgres or {ENVIRONMENT}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def patiently(call: Callable[[], T], *, give_up_s: float) -> T:
    """`call()`, again and again with growing pauses while PostgreSQL is away; what it raised last after `give_up_s`."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((PostgresUnreachable, *TRANSIENT)),
        wait=tenacity.wait_exponential(multiplier=0.2, max=4) + tenacity.wait_random(0, 1),
        stop=tenacity.stop_after_delay(give_up_s),
        before_sleep=_log_retry,
        reraise=True,
    )(call)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    if error is not None:
        _LOG.warning("PostgreSQL: %s; again in %.1f s", _first_line(error.__cause__ or error), pause)


def migrate(database: Database, migrations: Path) -> list[str]:
    """Bring the schema to the version of the files in `migrations`, and return the names of those applied now.

    Two programs may start at once: one waits for the other. Raises SchemaError if the schema is newer than the files,
    PostgresUnreachable if no server answers.
    """
    with database.connect(application="florin migrate") as guard:
        guard.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"{_LOCK} {database.schema}",))
        guard.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(database.schema)))
        with _Backend(database) as backend:
            known = yoyo.read_migrations(str(migrations))
            backend.init_database()
            backend.break_lock()  # left by a program that was killed: the advisory lock is ours
            pending = backend.to_apply(known)
            _refuse_newer(guard, database, {migration.id for migration in known})
            with backend.transaction():
                backend.apply_migrations(pending)
            return [migration.id for migration in pending]


def drop(database: Database) -> None:
    """Remove the schema with everything in it."""
    with database.connect(application="florin migrate") as guard:
        guard.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"{_LOCK} {database.schema}",))
        guard.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(database.schema)))


def _refuse_newer(guard: Connection, database: Database, known: set[str]) -> None:
    # By its schema's name, not by the search path: a connection that looks the path up at the moment at which another
    # one makes the schema may hold for good that there is none (PostgreSQL 16: 93 of 2,500 such pairs).
    marks = sql.Identifier(database.schema, "_yoyo_migration")
    applied = {row[0] for row in guard.execute(sql.SQL("SELECT migration_id FROM {}").format(marks))}
    if unknown := sorted(applied - known):
        raise SchemaError(
            f"{database}: has changes that this program does not know ({', '.join(unknown)}): it was made by a newer "
            "version; run that version, or give --schema another name and build the tables anew there"
        )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo's own backend over a connection of ours, so that passwords and errors have one way.

    A migration and the mark that it was applied are one transaction: yoyo alone takes another connection for the steps.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        super().__init__(parse_uri("postgresql+psycopg://"), "_yoyo_migration")

    def connect(self, dburi: object) -> Connection:
        return self._database.connect(application="florin migrate")

    def copy(self) -> AbstractContextManager[_Backend]:
        return nullcontext(self)
