"""Leaves of one attempt: made empty, filled file by file, sealed, and attached to the books in one transaction.

A leaf is a plain table that nobody reads until it is attached; it is named after table, request, attempt and period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from florin_io.pgcopy import Encoded
from florin_io.postgres import Connection
from transforms.subledger_db.model import Fenced, Request

_PIECE = 1 << 20
# Sorts the keys of four million rows at once, for two thirds of the CPU time that half of it takes.
_SORTING = sql.Literal("256MB")
BY_PERIOD = ("je_header", "je_line")
BY_REQUEST = ("lot", "position", "balance", "reject")
PARENTS = (*BY_PERIOD, *BY_REQUEST)

COPY_COLUMNS: dict[str, tuple[str, ...]] = {
    "je_header": (
        "je_no", "trade_date", "accounting_date", "version", "file", "line", "je_id", "event_id", "reference_id",
        "kind", "event_class", "effect", "late", "source_id", "instrument", "account_ref", "gain", "reference",
    ),
    "je_line": (
        "je_no", "lot", "accounting_date", "line_no", "side", "account", "currency", "quantity", "amount", "fx_rate",
        "accounted", "instrument",
    ),
    "lot": (
        "lot", "sequence", "opened", "instrument", "currency", "quantity", "original", "cost", "accounted",
    ),
    "position": ("instrument", "quantity", "cost", "accounted", "currency", "unrealised", "realised"),
    "balance": (
        "period", "account", "currency", "debit", "credit", "accounted_debit", "accounted_credit",
    ),
    "reject": ("file", "line", "column", "reason", "kind", "text"),
}  # fmt: skip
"""What a file holds, in this order; the other columns of a leaf are constants that it fills in itself."""

_CONSTANTS: dict[str, tuple[str, ...]] = {
    "je_header": ("tenant_id", "entity_id", "period", "request_id", "source", "basis"),
    "je_line": ("tenant_id", "entity_id", "period", "request_id"),
    "lot": ("tenant_id", "entity_id", "entity_seq", "request_id"),
    "position": ("tenant_id", "entity_id", "entity_seq", "request_id"),
    "balance": ("tenant_id", "entity_id", "request_id"),
    "reject": ("tenant_id", "entity_id", "request_id"),
}
# Of those the partition bounds: a CHECK on them lets a leaf be attached without reading it.
_BOUNDS = ("tenant_id", "period", "request_id")

_INDEXES: dict[str, tuple[str, ...]] = {
    "je_header": ("PRIMARY KEY (event_id, kind)",),
    "je_line": (),
    "lot": ("PRIMARY KEY (instrument, lot)",),
    "position": ("PRIMARY KEY (instrument)",),
    "balance": ("PRIMARY KEY (period, account, currency)",),
    "reject": (),
}

# For look-ups and people's queries. Each reads all rows once more and costs about as much as loading them did, and the
# books are right without them: made after publication.
_LATER: dict[str, tuple[str, ...]] = {
    "je_header": ("(je_no)", "(reference_id) WHERE reference_id IS NOT NULL", "(instrument, accounting_date)"),
    "je_line": ("(je_no)", "(account, accounting_date)"),
}


@dataclass(frozen=True)
class ManifestKey:
    """Which result file of an attempt this is: stage, task within the stage, file within the task."""

    request_id: int
    attempt: int
    stage: str
    task: int
    file_no: int


def leaf(parent: str, request_id: int, attempt: int, period: int | None = None) -> str:
    """Name of a leaf: of a table by period with the period, of another one without."""
    assert (period is not None) == (parent in BY_PERIOD), (parent, period)
    return f"{parent}_r{request_id}_a{attempt}" + (f"_p{period}" if period is not None else "")


def leaves(connection: Connection, request_id: int, attempt: int | None = None) -> dict[str, str]:
    """Leaves of a request (of one attempt) that exist and are attached to nothing: name -> parent."""
    found = connection.execute(
        """
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
            AND c.relname ~ %s ORDER BY 1""",
        (f"^({'|'.join(PARENTS)})_r{request_id}_a{attempt if attempt is not None else '[0-9]+'}(_p[0-9]+)?$",),
    )
    return {name: name.rpartition("_r")[0] for (name,) in found}


def create_staging(connection: Connection, request: Request, attempt: int, periods: Iterable[int]) -> None:
    """Make the leaves of an attempt for these accounting periods, and the partitions above them. Repeatable.

    Raises Fenced if the attempt is not the current one.
    """
    wanted = [(parent, period) for parent in BY_PERIOD for period in sorted(set(periods))]
    with connection.transaction():
        guard(connection, request.request_id, attempt)
        for parent, period in [*wanted, *((parent, None) for parent in BY_REQUEST)]:
            _make_leaf(connection, request, attempt, parent, period)
    for parent in PARENTS:
        _make_branch(connection, parent, request.entity.tenant_id, None)
    for parent, period in wanted:
        _make_branch(connection, parent, request.entity.tenant_id, period)


def _make_leaf(connection: Connection, request: Request, attempt: int, parent: str, period: int | None) -> None:
    values = {
        "tenant_id": request.entity.tenant_id, "entity_id": request.entity.entity_id, "period": period,
        "entity_seq": request.entity_seq, "request_id": request.request_id, "source": request.source,
        "basis": request.basis,
    }  # fmt: skip
    constants = {name: values[name] for name in _CONSTANTS[parent]}
    bounds = [name for name in _BOUNDS if name in constants]
    name = leaf(parent, request.request_id, attempt, period)
    # Checked as rows come in: cheaper than reading the leaf again before it is attached.
    check = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(bound), sql.Literal(constants[bound])) for bound in bounds
    )
    found = connection.execute("SELECT to_regclass(quote_ident(current_schema()) || '.' || quote_ident(%s))", (name,))
    if found.fetchone() != (None,):
        return
    # Nothing in it is ever dead; an autovacuum would read it while it is filled, and publication would wait for that.
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE {}, CONSTRAINT bounds CHECK ({})) WITH (autovacuum_enabled = false)").format(
            sql.Identifier(name), sql.Identifier(parent), check
        )
    )
    for column, value in constants.items():
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}").format(
                sql.Identifier(name), sql.Identifier(column), sql.Literal(value)
            )
        )


def branch(parent: str, tenant_id: int, period: int | None) -> str:
    return f"{parent}_t{tenant_id}" + (f"_p{period}" if period is not None else "")


def _make_branch(connection: Connection, parent: str, tenant_id: int, period: int | None) -> None:
    """The partition of a tenant, or of one of its periods, if it is not there."""
    name = branch(parent, tenant_id, period)
    above = parent if period is None else branch(parent, tenant_id, None)
    below = "period" if parent in BY_PERIOD and period is None else "request_id"
    value = tenant_id if period is None else period
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('florin branch ' || %s, 0))", (name,))
        if connection.execute("SELECT 1 FROM pg_class WHERE relname = %s AND relnamespace = "
                              "current_schema()::regnamespace", (name,)).fetchone():  # fmt: skip
            return
        # Made apart and attached: PARTITION OF would shut out readers of the whole table.
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {}) PARTITION BY LIST ({})").format(
                sql.Identifier(name), sql.Identifier(parent), sql.Identifier(below)
            )
        )
        attach(connection, above, name, value)


def attach(connection: Connection, above: str, name: str, value: int) -> None:
    """Make a table a partition for one value of the key of `above`."""
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
            sql.Identifier(above), sql.Identifier(name), sql.Literal(value)
        )
    )


def drop_old_rejects(connection: Connection, request_id: int) -> None:
    """Drop the rejects that an earlier, refused attempt left to be looked at."""
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relispartition "
        "AND relname ~ %s",
        (f"^reject_r{request_id}_a[0-9]+$",),
    ).fetchall()
    for (name,) in found:
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))


def copy_file(connection: Connection, table: str, encoded: Encoded, key: ManifestKey) -> bool:
    """Load one file into a leaf, with its manifest row in the same transaction.

    False if it was there already, with the same rows and content. Raises Fenced if a later attempt dropped the leaf,
    ValueError if the file is there with other content.
    """
    if is_loaded(connection, key, encoded):
        return False
    try:
        with connection.transaction():
            size = _copy(connection, table, encoded)
            connection.execute(
                """
                INSERT INTO manifest (tenant_id, request_id, attempt, stage, task, file_no, relation, rows, bytes,
                    sha256)
                SELECT tenant_id, request_id, %(attempt)s, %(stage)s, %(task)s, %(file_no)s, %(table)s, %(rows)s,
                    %(size)s, %(sha)s FROM request WHERE request_id = %(request_id)s""",
                {**vars(key), "table": table, "rows": encoded.rows, "size": size, "sha": bytes.fromhex(encoded.sha256)},
            )
    except psycopg.errors.UniqueViolation:
        # Another run of the same bundle was quicker; ours is rolled back.
        if is_loaded(connection, key, encoded):
            return False
        raise
    except psycopg.errors.UndefinedTable as error:
        raise Fenced(f"{table} is gone: a later attempt of request {key.request_id} took over") from error
    return True


def is_loaded(connection: Connection, key: ManifestKey, encoded: Encoded) -> bool:
    """Whether the file is there already. Raises ValueError if it is, with other rows or content."""
    found = connection.execute(
        """
        SELECT rows, sha256 FROM manifest WHERE request_id = %(request_id)s AND attempt = %(attempt)s
            AND stage = %(stage)s AND task = %(task)s AND file_no = %(file_no)s""",
        vars(key),
    ).fetchone()
    if found is not None and (found[0], bytes(found[1])) != (encoded.rows, bytes.fromhex(encoded.sha256)):
        raise ValueError(
            f"{key} was loaded with {found[0]} rows, sha256 {bytes(found[1]).hex()[:12]}; made again it has "
            f"{encoded.rows} rows, {encoded.sha256[:12]}: the stage that makes it is not deterministic"
        )
    return found is not None


def _copy(connection: Connection, table: str, encoded: Encoded) -> int:
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, encoded.columns))
    )
    data = memoryview(encoded.data)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            # A piece at a time: libpq keeps what the server has not taken yet.
            for start in range(0, data.nbytes, _PIECE):
                copy.write(data[start : start + _PIECE])
        taken = cursor.rowcount
    if taken != encoded.rows:
        raise ValueError(f"{table}: {taken} rows were taken where the file was said to hold {encoded.rows}")
    return data.nbytes


def guard(connection: Connection, request_id: int, attempt: int) -> None:
    """Lock the request until the end of the transaction. Raises Fenced unless it runs, in this attempt."""
    found = connection.execute(
        "SELECT state, attempt FROM request WHERE request_id = %s FOR NO KEY UPDATE", (request_id,)
    ).fetchone()
    if found != ("RUNNING", attempt):
        now = f"is {found[0]} in attempt {found[1]}" if found else "does not exist"
        raise Fenced(f"request {request_id} {now}: attempt {attempt} must not go on")


def seal(connection: Connection, name: str) -> None:
    """The keys of one filled leaf. Repeatable; leaves may be sealed side by side.

    Raises psycopg.errors.UniqueViolation if the leaf holds a row twice.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL maintenance_work_mem = {}").format(_SORTING))
        for number, index in enumerate(_INDEXES[name.rpartition("_r")[0]]):
            _make_index(connection, name, f"{name}_i{number}", index)


def index_count(name: str) -> int:
    """How many indexes a sealed leaf has."""
    return len(_INDEXES[name.rpartition("_r")[0]])


def index_later(connection: Connection, request_id: int) -> int:
    """Make the indexes of a published request's leaves and take their statistics; how many were made. Repeatable.

    From then on PostgreSQL vacuums them as any table. Nobody waits for it: a leaf is read meanwhile, and not written.
    """
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
        "AND relispartition AND relname ~ %s ORDER BY 1",
        (f"^({'|'.join(PARENTS)})_r{request_id}_a[0-9]+(_p[0-9]+)?$",),
    ).fetchall()
    made = 0
    for (name,) in found:
        with connection.transaction():
            for number, index in enumerate(_LATER.get(name.rpartition("_r")[0], ())):
                made += _make_index(connection, name, f"{name}_q{number}", index)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(sql.Identifier(name)))
    return made


def _make_index(connection: Connection, table: str, name: str, index: str) -> bool:
    if connection.execute("SELECT to_regclass(quote_ident(%s))", (name,)).fetchone() != (None,):
        return False
    target, label = sql.Identifier(table), sql.Identifier(name)
    kind, _, columns = index.partition("(")
    body = sql.SQL("(" + columns)
    if kind == "PRIMARY KEY ":
        connection.execute(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY {}").format(target, label, body))
    else:
        connection.execute(sql.SQL("CREATE INDEX {} ON {} {}").format(label, target, body))
    return True


def discard(connection: Connection, request_id: int, attempt: int | None = None) -> int:
    """Drop what an attempt (None: every one) staged, with its manifest and progress; how many leaves there were.

    A COPY of a zombie that holds a leaf is ended. What is attached stays.
    """
    found = leaves(connection, request_id, attempt)
    for name in found:
        _drop_leaf(connection, name)
    for table in ("manifest", "progress"):
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE request_id = %s AND (%s::integer IS NULL OR attempt = %s)").format(
                sql.Identifier(table)
            ),
            (request_id, attempt, attempt),
        )
    return len(found)


def _drop_leaf(connection: Connection, name: str) -> None:
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name))
    for patience_ms in (1000, 0):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(patience_ms)))
                connection.execute(statement)
            return
        except psycopg.errors.LockNotAvailable:
            with connection.transaction():
                # As the user who is logged in: the loader role itself may not end that user's other sessions.
                connection.execute("SET LOCAL ROLE NONE")
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = to_regclass(quote_ident(%s)) "
                    "AND granted AND pid <> pg_backend_pid()",
                    (name,),
                )
