"""Taking back whole published requests: opposite entries by SQL, and the positions as they were before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql

from florin_io.postgres import Connection
from transforms.subledger import fields
from transforms.subledger_db import requests, staging
from transforms.subledger_db.model import Check, Entity, LedgerError, Request
from transforms.subledger_db.publish import Publication, Totals, publish
from transforms.subledger_db.requests import Submission

# The upper bits of an entry's number are its request's.
_NUMBER = f"(je_no & {fields.first_je_no(1, 0) - 1}) | (%(new)s::bigint * {fields.first_je_no(1, 0)})"


def dependents(connection: Connection, request: Request) -> list[int]:
    """Later published requests that would not be what they are without this one, oldest first.

    Those that touched an instrument it touched (positions and lots go on from it), or took back one of its events.
    """
    later = [
        number
        for (number,) in connection.execute(
            "SELECT request_id FROM request WHERE entity_id = %s AND state = 'PUBLISHED' AND kind <> 'REVERSE' "
            "AND entity_seq > %s ORDER BY entity_seq",
            (request.entity.entity_id, request.entity_seq),
        )
    ]
    if not later:
        return []
    found = {
        number
        for (number,) in connection.execute(
            """
            SELECT p.request_id FROM position p
            WHERE p.tenant_id = %(tenant)s AND p.request_id = ANY(%(later)s) AND p.instrument IN (
                SELECT o.instrument FROM position o WHERE o.tenant_id = %(tenant)s AND o.request_id = %(id)s)
            GROUP BY 1
            UNION
            SELECT h.request_id FROM je_header h
            WHERE h.tenant_id = %(tenant)s AND h.request_id = ANY(%(later)s) AND h.reference_id IN (
                SELECT o.event_id FROM je_header o WHERE o.tenant_id = %(tenant)s AND o.request_id = %(id)s)
            GROUP BY 1""",
            {"tenant": request.entity.tenant_id, "later": later, "id": request.request_id},
        )
    }
    return [number for number in later if number in found]


def closure(connection: Connection, wanted: Iterable[int]) -> list[int]:
    """These requests and all that depend on them, newest first: the order in which they can be reversed."""
    known: dict[int, Request] = {}
    waiting = list(wanted)
    while waiting:
        number = waiting.pop()
        if number not in known:
            known[number] = requests.load(connection, number)
            waiting += dependents(connection, known[number])
    return sorted(known, key=lambda number: known[number].entity_seq or 0, reverse=True)


def submit_reversal(connection: Connection, request_id: int, *, force_later: bool = False) -> list[int]:
    """Queue the reversal of a request; the numbers of the reversing requests, in their order.

    Raises LedgerError if it is not published, or if later ones depend on it and are not to be reversed with it.
    """
    with connection.transaction():
        target = requests.load(connection, request_id)
        _must_be_published(target)
        order = closure(connection, [request_id])
        if len(order) > 1 and not force_later:
            others = ", ".join(map(str, order[:-1]))
            raise LedgerError(
                f"request {request_id} cannot be reversed alone: later requests go on from its positions or take back "
                f"its events ({others}); --force-later reverses these too, newest first"
            )
        return [_submit_one(connection, target.entity, number) for number in order]


def _must_be_published(target: Request) -> None:
    if target.kind == "REVERSE":
        raise LedgerError(f"request {target.request_id} is a reversal itself; submit the original files again instead")
    if target.state != "PUBLISHED":
        raise LedgerError(f"request {target.request_id} is {target.state}: only a published one can be reversed")


def _submit_one(connection: Connection, of: Entity, target_id: int) -> int:
    wanted = Submission(of.tenant, of.name, kind="REVERSE", key=f"reverse:{target_id}", target_id=target_id)
    number, is_new = requests.submit(connection, wanted)
    if not is_new and requests.load(connection, number).state in ("FAILED", "CANCELLED"):
        requests.retry(connection, number)
    return number


def submit_rerun(connection: Connection, of: Entity, period: int) -> tuple[list[int], list[int]]:
    """Queue the reversal of every request that wrote to `period` or a later one, newest first, and then the same files
    again in their order, with today's rules; the numbers of both.

    Raises LedgerError if a period from there on is closed, or if there is nothing to rerun.
    """
    with connection.transaction():
        closed = connection.execute(
            "SELECT array_agg(period ORDER BY period) FROM period WHERE entity_id = %s AND period >= %s "
            "AND state = 'CLOSED'",
            (of.entity_id, period),
        ).fetchone()
        if closed and closed[0]:
            raise LedgerError(
                f"closed: {', '.join(map(str, closed[0]))}; `period reopen {period}` opens them again first"
            )
        wrote = [
            number
            for (number,) in connection.execute(
                "SELECT request_id FROM request WHERE entity_id = %s AND state = 'PUBLISHED' AND kind <> 'REVERSE' "
                "AND %s <= ANY(periods)",
                (of.entity_id, period),
            )
        ]
        if not wrote:
            raise LedgerError(f"{of.tenant}/{of.name}: no published request wrote to {period} or later")
        order = closure(connection, wrote)
        back = [_submit_one(connection, of, number) for number in order]
        again = []
        for number in reversed(order):
            old = requests.load(connection, number)
            again.append(
                requests.submit(
                    connection,
                    Submission(
                        of.tenant, of.name, old.source, old.files, None, old.options, f"rerun:{number}",
                        kind="RERUN", target_id=number, max_attempts=old.max_attempts,
                    ),
                )[0]
            )  # fmt: skip
        return back, again


def reverse(connection: Connection, request: Request) -> Totals:
    """Carry out a request of kind REVERSE, up to its publication.

    Raises LedgerError if its target is no longer published or others depend on it by now.
    """
    assert request.target_id is not None
    target = requests.load(connection, request.target_id)
    _must_be_published(target)
    if others := dependents(connection, target):
        raise LedgerError(f"request {target.request_id} cannot be reversed: requests {others} depend on it")
    moved = _target_periods(connection, request, target)
    staging.create_staging(connection, request, request.attempt, moved.values())
    entries = lines = 0
    for old, new in moved.items():
        entries += _reverse_headers(connection, request, target, old, new)
        lines += _reverse_lines(connection, request, target, old, new)
    _reverse_balances(connection, request, target, moved)
    _restore_positions(connection, request, target)
    for name in staging.leaves(connection, request.request_id, request.attempt):
        staging.seal(connection, name)
    totals = Totals(entries, entries, 0, 0, lines)
    publish(connection, request, request.attempt, Publication(totals, _checks(connection, request, target)))
    return totals


def _target_periods(connection: Connection, request: Request, target: Request) -> dict[int, int]:
    """Each period that the target wrote, and the open period that takes the opposite: itself, or the next open one."""
    wrote = connection.execute(
        "SELECT unnest(periods) FROM request WHERE request_id = %s ORDER BY 1", (target.request_id,)
    )
    is_open = dict(request.periods)
    moved = {}
    for (period,) in wrote.fetchall():
        after = [number for number in sorted(is_open) if number >= period and is_open[number]]
        if not after:
            raise LedgerError(f"period {period} is closed and no later one is open: open one with `period open`")
        moved[period] = after[0]
    return moved


def _insert(connection: Connection, leaf: str, columns: str, query: str, given: Mapping[str, object]) -> int:
    statement = sql.SQL("INSERT INTO {} ({}) {}").format(
        sql.Identifier(leaf),
        sql.SQL(columns),
        sql.SQL(query),
    )
    return connection.execute(statement, given).rowcount


def _given(request: Request, target: Request, old: int, new: int) -> dict[str, object]:
    return {
        "tenant": request.entity.tenant_id, "old": target.request_id, "new": request.request_id, "period": old,
        "to": new, "first": f"{new // 100:04}-{new % 100:02}-01", "source": target.source, "basis": target.basis,
    }  # fmt: skip


def _reverse_headers(connection: Connection, request: Request, target: Request, old: int, new: int) -> int:
    return _insert(
        connection,
        staging.leaf("je_header", request.request_id, request.attempt, new),
        "je_no, trade_date, accounting_date, version, file, line, je_id, event_id, reference_id, kind, event_class, "
        "effect, late, source_id, instrument, account_ref, gain, reference, source, basis",
        f"""
        SELECT {_NUMBER}, trade_date, CASE WHEN period = %(to)s THEN accounting_date ELSE %(first)s::date END, version,
            file, line, md5(je_id::text || ' reversed by ' || %(new)s)::uuid, event_id, event_id, 3 - kind, event_class,
            effect, late OR period <> %(to)s, source_id, instrument, account_ref, -gain, reference, source, basis
        FROM je_header WHERE tenant_id = %(tenant)s AND request_id = %(old)s AND period = %(period)s""",
        _given(request, target, old, new),
    )


def _reverse_lines(connection: Connection, request: Request, target: Request, old: int, new: int) -> int:
    return _insert(
        connection,
        staging.leaf("je_line", request.request_id, request.attempt, new),
        "je_no, lot, accounting_date, line_no, side, account, currency, quantity, amount, fx_rate, accounted, "
        "instrument",
        f"""
        SELECT {_NUMBER}, lot, CASE WHEN period = %(to)s THEN accounting_date ELSE %(first)s::date END, line_no, -side,
            account, currency, quantity, amount, fx_rate, accounted, instrument
        FROM je_line WHERE tenant_id = %(tenant)s AND request_id = %(old)s AND period = %(period)s""",
        _given(request, target, old, new),
    )


def _reverse_balances(connection: Connection, request: Request, target: Request, moved: dict[int, int]) -> None:
    _insert(
        connection,
        staging.leaf("balance", request.request_id, request.attempt),
        "period, account, currency, debit, credit, accounted_debit, accounted_credit",
        """
        SELECT m.new, account, currency, sum(credit), sum(debit), sum(accounted_credit), sum(accounted_debit)
        FROM balance JOIN unnest(%(olds)s::integer[], %(news)s::integer[]) AS m (period, new) USING (period)
        WHERE tenant_id = %(tenant)s AND request_id = %(old)s GROUP BY 1, 2, 3""",
        {
            "tenant": request.entity.tenant_id,
            "old": target.request_id,
            "olds": list(moved),
            "news": list(moved.values()),
        },
    )


def _restore_positions(connection: Connection, request: Request, target: Request) -> None:
    given = {"tenant": request.entity.tenant_id, "entity": request.entity.entity_id, "old": target.request_id,
             "seq": target.entity_seq}  # fmt: skip
    before = """
        SELECT DISTINCT ON (instrument) * FROM position
        WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s AND entity_seq < %(seq)s
        ORDER BY instrument, entity_seq DESC"""
    _insert(
        connection,
        staging.leaf("position", request.request_id, request.attempt),
        "instrument, quantity, cost, accounted, currency, unrealised, realised",
        f"""
        SELECT o.instrument, coalesce(b.quantity, 0), coalesce(b.cost, 0), coalesce(b.accounted, 0), b.currency,
            coalesce(b.unrealised, 0), -o.realised
        FROM position o LEFT JOIN ({before}) b USING (instrument)
        WHERE o.tenant_id = %(tenant)s AND o.request_id = %(old)s""",
        given,
    )
    _insert(
        connection,
        staging.leaf("lot", request.request_id, request.attempt),
        "lot, sequence, opened, instrument, currency, quantity, original, cost, accounted",
        """
        SELECT o.lot, o.sequence, o.opened, o.instrument, o.currency, coalesce(b.quantity, 0), o.original,
            coalesce(b.cost, 0), coalesce(b.accounted, 0)
        FROM lot o LEFT JOIN (
            SELECT DISTINCT ON (lot) * FROM lot
            WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s AND entity_seq < %(seq)s
            ORDER BY lot, entity_seq DESC) b USING (instrument, lot)
        WHERE o.tenant_id = %(tenant)s AND o.request_id = %(old)s""",
        given,
    )


def _checks(connection: Connection, request: Request, target: Request) -> list[Check]:
    """The opposite entries against those they take back."""
    (lines,) = connection.execute(
        "SELECT lines_posted FROM request WHERE request_id = %s", (target.request_id,)
    ).fetchone() or (0,)
    leaf = sql.Identifier(staging.leaf("balance", request.request_id, request.attempt))
    made = staging.leaves(connection, request.request_id, request.attempt)
    counted = {
        parent: sum(
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()[0]  # type: ignore[index]
            for name, of in made.items()
            if of == parent
        )
        for parent in staging.BY_PERIOD
    }
    (left,) = connection.execute(
        sql.SQL(
            "SELECT coalesce(sum(abs(rest)), 0) FROM (SELECT sum(debit - credit) AS rest FROM ("
            "SELECT account, currency, debit, credit FROM {} UNION ALL SELECT account, currency, debit, credit "
            "FROM balance WHERE tenant_id = %s AND request_id = %s) b GROUP BY account, currency) r"
        ).format(leaf),
        (request.entity.tenant_id, target.request_id),
    ).fetchone() or (0,)
    (entries,) = connection.execute(
        "SELECT count(*) FROM je_header WHERE tenant_id = %s AND request_id = %s",
        (request.entity.tenant_id, target.request_id),
    ).fetchone() or (0,)
    return [
        Check("entries reversed", f"request {target.request_id}", entries, counted["je_header"],
              entries == counted["je_header"]),
        Check("lines reversed", f"request {target.request_id}", lines, counted["je_line"], lines == counted["je_line"]),
        Check("balances left", f"request {target.request_id}", 0, left, left == 0),
    ]  # fmt: skip
