"""Tenants, entities, periods and rule sets: what has to be there before a request."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from florin_io.postgres import Connection
from transforms.subledger_db import schema
from transforms.subledger_db.model import Entity, LedgerError
from transforms.subledger_db.schema import LedgerDatabase

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
_MOST_PERIODS = 1200


@dataclass(frozen=True)
class Rule:
    """One posting rule for the table of them; `lines` as the text has them."""

    name: str
    event_class: str
    condition: str | None
    lines: list[dict[str, Any]]


def add_tenant(database: LedgerDatabase, name: str, reader_role: str | None = None) -> tuple[int, str]:
    """Make a tenant and the role of its readers; its number and the role. Making it again changes nothing.

    Raises LedgerError, SchemaError if the role is missing and may not be made.
    """
    _check_name("tenant", name)
    role = reader_role or f"{database.schema}_reader_{name}".lower()
    with database.connect(application="florin subledger tenant") as connection:
        found = connection.execute("SELECT tenant_id, reader_role FROM tenant WHERE name = %s", (name,)).fetchone()
        if found is not None:
            if reader_role not in (None, found[1]):
                raise LedgerError(f"tenant {name!r} is there, with reader role {found[1]}")
            return int(found[0]), str(found[1])
        with database.as_user("florin subledger tenant") as admin:
            schema.make_role(admin, role)
        with connection.transaction():
            row = connection.execute(
                "INSERT INTO tenant (name, reader_role) VALUES (%s, %s) RETURNING tenant_id", (name, role)
            ).fetchone()
            assert row is not None
            schema.let_read(connection, int(row[0]), role)
    return int(row[0]), role


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise LedgerError(f"{what} {name!r}: letters, digits and _ . : -, a letter or digit first, 63 at most")


def tenant_id(connection: Connection, name: str) -> int:
    """A tenant by its name. Raises LedgerError."""
    found = connection.execute("SELECT tenant_id FROM tenant WHERE name = %s", (name,)).fetchone()
    if found is None:
        known = ", ".join(row[0] for row in connection.execute("SELECT name FROM tenant ORDER BY 1 LIMIT 20")) or "none"
        raise LedgerError(
            f"there is no tenant {name!r} (known: {known}); make it with `python -m jobs.subledger tenant add {name}`"
        )
    return int(found[0])


def add_entity(
    connection: Connection, tenant: str, name: str, base_currency: str, *, lot_method: str = "FIFO",
    reject_share: float = 0.01, periods: Iterable[int] = (),
) -> int:  # fmt: skip
    """Make an entity with its open periods; its number. Making it again with the same settings adds the periods.

    Raises LedgerError if it is there with other settings: its books were made with those.
    """
    _check_name("entity", name)
    settings = (base_currency, lot_method, reject_share)
    owner = tenant_id(connection, tenant)
    with connection.transaction():
        try:
            connection.execute(
                "INSERT INTO entity (tenant_id, name, base_currency, lot_method, reject_share) "
                "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (owner, name, *settings),
            )
        except psycopg.errors.CheckViolation as error:
            raise LedgerError(f"entity {name!r}: {error.diag.message_primary}") from error
        row = connection.execute(
            "SELECT entity_id, base_currency, lot_method, reject_share FROM entity WHERE tenant_id = %s AND name = %s",
            (owner, name),
        ).fetchone()
        assert row is not None
        if row[1:] != settings:
            raise LedgerError(f"entity {tenant}/{name} is there with other settings: {row[1:]}, asked for {settings}")
        _open(connection, int(row[0]), owner, periods)
    return int(row[0])


def _open(connection: Connection, entity_id: int, owner: int, periods: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO period (entity_id, tenant_id, period, state) VALUES (%s, %s, %s, 'OPEN') "
            "ON CONFLICT DO NOTHING",
            [(entity_id, owner, period) for period in periods],
        )


def months(first: int, last: int) -> list[int]:
    """All periods from `first` to `last`, both yyyymm. Raises LedgerError."""
    for period in (first, last):
        if not (190001 <= period <= 999912 and 1 <= period % 100 <= 12):
            raise LedgerError(f"period {period}: year and month as in 202601")
    count = (last // 100 - first // 100) * 12 + last % 100 - first % 100 + 1
    if not 0 < count <= _MOST_PERIODS:
        raise LedgerError(f"periods {first} to {last}: from the first to the last, {_MOST_PERIODS} at most")
    start = first // 100 * 12 + first % 100 - 1
    return [month // 12 * 100 + month % 12 + 1 for month in range(start, start + count)]


def open_periods(connection: Connection, of: Entity, periods: Iterable[int]) -> None:
    """Make periods that are not there yet. Raises LedgerError for one that is closed: that is reopened."""
    wanted = list(periods)
    closed = [number for number, is_open in period_states(connection, of) if number in set(wanted) and not is_open]
    if closed:
        raise LedgerError(f"closed: {', '.join(map(str, closed))}; `period reopen` opens it and every later one again")
    with connection.transaction():
        _open(connection, of.entity_id, of.tenant_id, wanted)


def close_period(connection: Connection, of: Entity, period: int) -> None:
    """Nothing is written to it from now on: what comes late goes to the first open period after it.

    Waits for a publication that is under way. Raises LedgerError if there is no such period.
    """
    done = connection.execute(
        "UPDATE period SET state = 'CLOSED', changed_at = now() WHERE entity_id = %s AND period = %s",
        (of.entity_id, period),
    )
    if done.rowcount != 1:
        raise LedgerError(f"{of.tenant}/{of.name} has no period {period}; `period open` makes it")


def reopen_periods(connection: Connection, of: Entity, period: int) -> list[int]:
    """Open a closed period again and every later one with it, for what changes there changes them; which were closed.

    Raises LedgerError if there is no such period.
    """
    if period not in dict(period_states(connection, of)):
        raise LedgerError(f"{of.tenant}/{of.name} has no period {period}; `period open` makes it")
    found = connection.execute(
        "UPDATE period SET state = 'OPEN', changed_at = now() WHERE entity_id = %s AND period >= %s "
        "AND state = 'CLOSED' RETURNING period",
        (of.entity_id, period),
    )
    return sorted(number for (number,) in found)


def period_states(connection: Connection, of: Entity) -> list[tuple[int, bool]]:
    """All periods of an entity in order, and whether each is open."""
    found = connection.execute(
        "SELECT period, state = 'OPEN' FROM period WHERE entity_id = %s ORDER BY period", (of.entity_id,)
    )
    return [(int(number), bool(is_open)) for number, is_open in found]


def load_rules(
    connection: Connection, tenant: str, name: str, text: str, basis: str, rules: Iterable[Rule], *, use: bool = True
) -> tuple[str, bool]:
    """Keep a rule set that was checked, and let new requests take it; its version (sha256), and whether it is new."""
    owner = tenant_id(connection, tenant)
    digest = hashlib.sha256(text.encode()).digest()
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO rule_set (tenant_id, name, version, sha256, basis, text) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (tenant_id, sha256) DO NOTHING RETURNING rule_set_id",
            (owner, name, digest.hex()[:16], digest, basis, text),
        ).fetchone()
        if row is not None:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO rule (rule_set_id, tenant_id, number, name, event_class, condition, lines) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                    [
                        (row[0], owner, number, rule.name, rule.event_class, rule.condition, json.dumps(rule.lines))
                        for number, rule in enumerate(rules, 1)
                    ],
                )
        if use:
            connection.execute(
                "UPDATE tenant SET rule_set_id = (SELECT rule_set_id FROM rule_set WHERE tenant_id = %(t)s "
                "AND sha256 = %(sha)s) WHERE tenant_id = %(t)s",
                {"t": owner, "sha": digest},
            )
    return digest.hex(), row is not None


def drop_tenant_role(admin: Connection, role: str) -> None:
    """Take a reader role and its rights away (for tests, and when a tenant leaves)."""
    if schema.is_role(admin, role):
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def list_rules(connection: Connection, tenant: str | None = None) -> list[dict[str, Any]]:
    """Rule sets, of one tenant or all: which is used, its rules and requests."""
    found = connection.execute(
        """
        SELECT t.name, s.name, encode(s.sha256, 'hex'), s.basis, s.rule_set_id = t.rule_set_id,
            (SELECT count(*) FROM rule r WHERE r.rule_set_id = s.rule_set_id),
            (SELECT count(*) FROM request r WHERE r.rule_set_id = s.rule_set_id), s.created_at
        FROM rule_set s JOIN tenant t USING (tenant_id) WHERE %s::text IS NULL OR t.name = %s
        ORDER BY t.name, s.rule_set_id""",
        (tenant, tenant),
    )
    names = ("tenant", "name", "version", "basis", "used", "rules", "requests", "loaded_at")
    return [dict(zip(names, row, strict=True)) for row in found]


def list_entities(connection: Connection, tenant: str | None = None) -> list[dict[str, Any]]:
    """Entities, of one tenant or all, with their settings and periods."""
    found = connection.execute(
        """
        SELECT t.name, e.name, e.base_currency, e.lot_method, e.reject_share, t.reader_role,
            (SELECT string_agg(period::text, ' ' ORDER BY period) FROM period p
             WHERE p.entity_id = e.entity_id AND p.state = 'OPEN'),
            (SELECT string_agg(period::text, ' ' ORDER BY period) FROM period p
             WHERE p.entity_id = e.entity_id AND p.state = 'CLOSED')
        FROM entity e JOIN tenant t USING (tenant_id) WHERE %s::text IS NULL OR t.name = %s ORDER BY 1, 2""",
        (tenant, tenant),
    )
    names = ("tenant", "entity", "currency", "lots", "reject_share", "reader_role", "open", "closed")
    return [dict(zip(names, row, strict=True)) for row in found]


def list_tenants(connection: Connection) -> list[dict[str, Any]]:
    """All tenants."""
    found = connection.execute(
        "SELECT t.name, t.reader_role, s.name, left(encode(s.sha256, 'hex'), 16), (SELECT count(*) FROM entity e "
        "WHERE e.tenant_id = t.tenant_id) FROM tenant t LEFT JOIN rule_set s ON s.rule_set_id = t.rule_set_id "
        "ORDER BY 1"
    )
    return [dict(zip(("tenant", "reader_role", "rules", "version", "entities"), row, strict=True)) for row in found]
