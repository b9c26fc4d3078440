"""The subledger's schema: its version, its roles, and connections that work as the loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from procrastinate import App, SyncPsycopgConnector
from psycopg import sql

from florin_io.postgres import Connection, Database, PostgresUnreachable, SchemaError, drop, migrate, with_secret
from transforms.subledger_db.model import LedgerError

DEFAULT_SCHEMA = "subledger"
LOADER = "subledger_loader"
MIGRATIONS = Path(__file__).parent / "migrations"

READABLE = (
    "tenant", "rule_set", "rule", "entity", "period", "account", "schedule", "request", "progress", "manifest",
    "input_file", "reconciliation", "reject", "je_header", "je_line", "lot", "position", "balance",
)  # fmt: skip
"""Tables that a tenant's readers may read, of their tenant's rows."""
VIEWS = ("event", "journal", "trial_balance", "current_position", "current_lot")
"""Views over them, with the reader's own rights."""


@dataclass(frozen=True)
class LedgerDatabase(Database):
    """A database whose connections act as the loader role, which owns the tables, and find the queue as well."""

    schema: str = DEFAULT_SCHEMA

    @property
    def queue_schema(self) -> str:
        """Where Procrastinate's tables are."""
        return f"{self.schema}_queue"

    def connect(self, *, application: str, settings: dict[str, str] | None = None) -> Connection:
        """A connection, autocommit.

        Raises PostgresUnreachable; SchemaError if the tables were never made; LedgerError if the user is no loader.
        """
        found = {"role": LOADER, "search_path": self.search_path, **(settings or {})}
        try:
            return super().connect(application=application, settings=found)
        except PostgresUnreachable as error:
            if f'role "{LOADER}" does not exist' in str(error):
                raise self._missing() from None
            if "permission denied to set role" in str(error):
                raise LedgerError(
                    f"this user is no loader: `GRANT {LOADER} TO` it makes it one (docs/subledger.md, Roles); members "
                    "of a tenant's reader role read reports, and no more"
                ) from None
            raise

    def ready(self, *, application: str) -> Connection:
        """As `connect`, but raises SchemaError where the role is there and the tables are not."""
        connection = self.connect(application=application)
        if connection.execute("SELECT to_regclass('request')").fetchone() != (None,):
            return connection
        connection.close()
        raise self._missing()

    def _missing(self) -> SchemaError:
        return SchemaError(f"{self}: has no subledger yet; make it with `python -m jobs.subledger prepare`")

    @property
    def search_path(self) -> str:
        """Our tables, then the queue's."""
        return f'"{self.schema}","{self.queue_schema}",pg_catalog'

    def as_user(self, application: str) -> Connection:
        """A connection with the rights of the user in the address: for roles and for readers."""
        return super().connect(application=application)


def connect(conninfo: str, application: str, schema: str = DEFAULT_SCHEMA, *, staging: bool = False) -> Connection:
    """A loader's connection; `staging`: commits do not wait for the disk, since publication checks what is there.

    Raises PostgresUnreachable, SchemaError.
    """
    settings = {"synchronous_commit": "off"} if staging else None
    return LedgerDatabase(conninfo, schema).connect(application=application, settings=settings)


def prepare(database: LedgerDatabase) -> list[str]:
    """Make roles, tables and queue or bring them to this version; returns the changes applied.

    Raises SchemaError, also where the user may not make the loader role; PostgresUnreachable.
    """
    with database.as_user("florin subledger") as admin:
        _make_loader(admin, database)
    applied = migrate(database, MIGRATIONS)
    with database.connect(application="florin subledger") as connection:
        made = connection.execute("SELECT to_regclass(%s)", (f"{database.queue_schema}.procrastinate_jobs",)).fetchone()
    if made == (None,):
        _make_queue(database)
        applied.append("queue")
    return applied


def remove(database: LedgerDatabase) -> None:
    """Throw away the schema and the queue with everything in them. Roles stay: other schemas may use them."""
    drop(Database(database.conninfo, database.schema))
    drop(Database(database.conninfo, database.queue_schema))


def _make_loader(admin: Connection, database: LedgerDatabase) -> None:
    try:
        with admin.transaction():
            admin.execute("SELECT pg_advisory_xact_lock(hashtextextended('florin subledger roles', 0))")
            if not is_role(admin, LOADER):
                admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(LOADER)))
                admin.execute(sql.SQL("GRANT {} TO current_user").format(sql.Identifier(LOADER)))
            admin.execute(
                sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                    sql.Identifier(admin.info.dbname), sql.Identifier(LOADER)
                )
            )
            for name in (database.schema, database.queue_schema):
                admin.execute(
                    sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
                        sql.Identifier(name), sql.Identifier(LOADER)
                    )
                )
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"{database}: this user may not make the role {LOADER} and its schemas ({_first_line(error)}); run "
            "`python -m jobs.subledger prepare` once as one that may (CREATEROLE, CREATE on the database), and then "
            f"`GRANT {LOADER} TO` the user that loads"
        ) from error


def _make_queue(database: LedgerDatabase) -> None:
    connector = SyncPsycopgConnector(
        conninfo=with_secret(database.conninfo),
        kwargs={"options": f'-c role={LOADER} -c search_path="{database.queue_schema}",pg_catalog'},
        min_size=1,
        max_size=1,
    )
    with App(connector=connector).open() as app:
        app.schema_manager.apply_schema()


def make_role(admin: Connection, role: str) -> None:
    """Make a role of readers if it is missing. Raises SchemaError if this user may not."""
    if is_role(admin, role):
        return
    try:
        admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"the role {role} is missing and this user may not make it ({_first_line(error)}); have it made "
            f'(CREATE ROLE "{role}" NOLOGIN), or name one that is there with --reader-role'
        ) from error


def let_read(connection: Connection, tenant_id: int, role: str) -> None:
    """Let members of `role` read one tenant's rows of every table, and nothing else."""
    name = sql.Identifier(role)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(current_schema(connection), name))
    tables = sql.SQL(", ").join(sql.Identifier(table) for table in (*READABLE, "event_class", *VIEWS))
    connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(tables, name))
    for table in READABLE:
        # A constant condition lets the planner leave out the other tenants' partitions.
        connection.execute(
            sql.SQL("CREATE POLICY {} ON {} FOR SELECT TO {} USING (tenant_id = {})").format(
                sql.Identifier(f"tenant_{tenant_id}"), sql.Identifier(table), name, sql.Literal(tenant_id)
            )
        )


def current_schema(connection: Connection) -> sql.Identifier:
    """The schema that a loader's connection works in."""
    (name,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
    return sql.Identifier(name)


def is_role(connection: Connection, name: str) -> bool:
    """Whether the server knows a role."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
