"""What a running request has to know of the books: opening lots and positions, published events, ids, balances.

Only requests that are published and not reversed count. Tables come back in the schemas of transforms.subledger.fields.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from florin_io.postgres import Connection
from transforms.subledger import fields
from transforms.subledger_db.model import Request

_AT_ONCE = 100_000
# Entry numbers of one request: its own number is the bits above.
_NUMBERS = fields.first_je_no(1, 0)
# COPY BINARY: a header of 19 bytes, rows of a field count, a length and 16 bytes, and a trailer of 2.
_COPY_HEADER, _COPY_TRAILER = 19, 2
_ID_ROW = np.dtype([("fields", ">i2"), ("size", ">i4"), ("hi", ">u8"), ("lo", ">u8")])


_NEWEST = """
    FROM (
        SELECT DISTINCT ON ({1}) * FROM {0}
        WHERE tenant_id = %(tenant)s AND request_id = ANY(%(among)s) AND instrument = ANY(%(names)s)
        ORDER BY {1}, entity_seq DESC) x
    WHERE true {2} ORDER BY x.instrument, {3}"""


def books(connection: Connection, request: Request) -> list[int]:
    """Requests of the entity whose entries count: published, not reversed, and no reversals themselves."""
    return _published(connection, request, "AND kind <> 'REVERSE'")


def _published(connection: Connection, request: Request, extra: str) -> list[int]:
    query = f"SELECT request_id FROM request WHERE entity_id = %s AND state = 'PUBLISHED' {extra} ORDER BY 1"
    return [number for (number,) in connection.execute(query.encode(), (request.entity.entity_id,))]


def opening(connection: Connection, request: Request, instruments: Iterable[str | None]) -> tuple[pa.Table, pa.Table]:
    """The newest LOT rows (open ones; with averages also an empty pool) and POSITION rows of these instruments."""
    wanted = sorted({name for name in instruments if name is not None})
    # A reversal of a request puts what was before it back, as rows of its own. Lots that a reversed request opened are
    # no lots any more: an empty pool of averages is not to go on under such a number.
    among, kept = _published(connection, request, ""), f"AND x.lot / {_NUMBERS} = ANY(%(books)s)"
    if request.entity.lot_method == "FIFO":
        kept += " AND x.quantity > 0"
    lots, positions = [], []
    for part in _parts(wanted):
        given = {"tenant": request.entity.tenant_id, "among": among, "names": part, "books": books(connection, request)}
        lots.append(_table(connection, fields.LOT, "x", _NEWEST.format("lot", "lot", kept, "x.opened, x.lot"), given))
        newest = _NEWEST.format("position", "instrument", "", "x.instrument")
        positions.append(_table(connection, fields.POSITION, "x", newest, given))
    return _joined(lots, fields.LOT), _joined(positions, fields.POSITION)


def entries(connection: Connection, request: Request, events: Iterable[bytes]) -> tuple[pa.Table, pa.Table, pa.Table]:
    """HEADER, LINE and LOT rows that a CANCEL or CORRECT of these published events needs; empty where there are none.

    Headers and lines of the events; headers of reversals that took them back already; headers and lines of the entries
    that bought the lots named in those lines, and these lots' newest rows, also of empty ones.
    """
    among = books(connection, request)
    wanted = sorted(set(events))
    if not among or not wanted:
        return tuple(schema.empty_table() for schema in (fields.HEADER, fields.LINE, fields.LOT))
    headers, lines = [], []
    for part in _parts(wanted):
        given = {"ids": [uuid.UUID(bytes=event) for event in part]}
        found = _headers(connection, request, among, "h.event_id = ANY(%(ids)s)", given)
        headers += [found, _headers(connection, request, among, "h.reference_id = ANY(%(ids)s)", given)]
        lines.append(_lines(connection, request, found["je_no"].to_pylist()))
    own = _joined(lines, fields.LINE)
    lots = sorted(set(own["lot"].drop_null().to_pylist()))
    known = set(own["je_no"].to_pylist())
    bought = [number for number in lots if number not in known]
    for part in _parts(bought):
        headers.append(_headers(connection, request, among, "h.je_no = ANY(%(numbers)s)", {"numbers": part}))
    all_headers = _joined(headers, fields.HEADER)
    return (
        _distinct(all_headers),
        _joined([own, _lines(connection, request, bought)], fields.LINE),
        _lots(connection, request, lots),
    )


def _headers(
    connection: Connection, request: Request, among: Sequence[int], condition: str, given: dict[str, Any]
) -> pa.Table:
    return _table(
        connection, fields.HEADER, "h",
        f"FROM je_header h WHERE h.tenant_id = %(tenant)s AND h.request_id = ANY(%(among)s) AND {condition} "
        "ORDER BY h.je_no",
        {"tenant": request.entity.tenant_id, "among": list(among), **given},
    )  # fmt: skip


def _lines(connection: Connection, request: Request, numbers: Sequence[int]) -> pa.Table:
    # An entry number begins with the request's, so only that request's leaves are read.
    found = [
        _table(
            connection, fields.LINE, "l",
            "FROM je_line l WHERE l.tenant_id = %(tenant)s AND l.request_id = ANY(%(among)s) "
            "AND l.je_no = ANY(%(numbers)s) ORDER BY l.je_no, l.line_no",
            {
                "tenant": request.entity.tenant_id, "numbers": part,
                "among": sorted({number // _NUMBERS for number in part}),
            },
        )
        for part in _parts(sorted(numbers))
    ]  # fmt: skip
    return _joined(found, fields.LINE)


def _lots(connection: Connection, request: Request, numbers: Sequence[int]) -> pa.Table:
    found = [
        _table(
            connection, fields.LOT, "l",
            "FROM (SELECT DISTINCT ON (lot) * FROM lot WHERE tenant_id = %(tenant)s AND request_id = ANY(%(among)s) "
            "AND lot = ANY(%(numbers)s) ORDER BY lot, entity_seq DESC) l ORDER BY l.instrument, l.opened, l.lot",
            {"tenant": request.entity.tenant_id, "among": _published(connection, request, ""), "numbers": part},
        )
        for part in _parts(list(numbers))
    ]  # fmt: skip
    return _joined(found, fields.LOT)


def overlapping(connection: Connection, request: Request, zone: tuple[int, int]) -> list[int]:
    """Published requests of the same entity and source with rows in a range of order_seq: only they can hold
    duplicates of rows in it."""
    found = connection.execute(
        """
        SELECT request_id FROM request WHERE entity_id = %s AND source = %s AND state = 'PUBLISHED'
            AND kind <> 'REVERSE' AND zone_max >= %s AND zone_min <= %s ORDER BY 1""",
        (request.entity.entity_id, request.source, *zone),
    )
    return [number for (number,) in found]


def published_ids(
    connection: Connection, request: Request, among: Sequence[int], low: bytes | None = None, high: bytes | None = None
) -> NDArray[np.uint64]:
    """Event ids of published requests from `low` up to and without `high` (16 bytes each), in order, as (n, 2): hi, lo.

    Ranges keep memory small: 16 bytes per id.
    """
    if not among:
        return np.empty((0, 2), np.uint64)
    bounds = [
        sql.SQL(f"AND event_id {sign} {{}}").format(sql.Literal(uuid.UUID(bytes=bound)))
        for sign, bound in ((">=", low), ("<", high))
        if bound is not None
    ]
    query = sql.SQL(
        "COPY (SELECT DISTINCT event_id FROM je_header WHERE tenant_id = {} AND request_id IN ({}) {} ORDER BY 1) "
        "TO STDOUT (FORMAT BINARY)"
    ).format(
        sql.Literal(request.entity.tenant_id), sql.SQL(",").join(map(sql.Literal, among)), sql.SQL(" ").join(bounds)
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        data = b"".join(copy)
    rows = np.frombuffer(data, _ID_ROW, count=(len(data) - _COPY_HEADER - _COPY_TRAILER) // _ID_ROW.itemsize,
                         offset=_COPY_HEADER)  # fmt: skip
    ids = np.empty((rows.size, 2), np.uint64)
    ids[:, 0], ids[:, 1] = rows["hi"], rows["lo"]
    return ids


def opening_balances(connection: Connection, request: Request) -> pa.Table:
    """SUPPLIED: what every account of the entity stands at before this request, by currency, over all periods."""
    return _table(
        connection, fields.SUPPLIED, "b",
        "FROM (SELECT account, currency, sum(debit - credit) AS amount, sum(accounted_debit - accounted_credit) "
        "AS accounted FROM balance WHERE tenant_id = %(tenant)s AND entity_id = %(entity)s GROUP BY 1, 2) b "
        "ORDER BY b.account, b.currency",
        {"tenant": request.entity.tenant_id, "entity": request.entity.entity_id},
    )  # fmt: skip


def _table(connection: Connection, schema: pa.Schema, alias: str, rest: str, given: dict[str, Any]) -> pa.Table:
    """SELECT the schema's columns of one table, numbers as they are counted in Arrow."""
    wanted = ", ".join(_expression(alias, field) for field in schema)
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(f"SELECT {wanted} {rest}".encode(), given).fetchall()
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([_array(values, field) for values, field in zip(columns, schema, strict=True)], schema=schema)


def _expression(alias: str, field: pa.Field) -> str:
    name = f'{alias}."{field.name}"'
    scale = fields.scale_of(field)
    if pa.types.is_fixed_size_binary(field.type):
        return f"uuid_send({name})"
    if scale is not None and pa.types.is_integer(field.type):
        return f"({name} * 1e{scale})::bigint"
    return name


def _array(values: Iterable[Any], field: pa.Field) -> pa.Array:
    if pa.types.is_uint64(field.type):
        return pa.array([value & (1 << 64) - 1 for value in values], field.type)
    return pa.array(values, field.type)


def _joined(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _distinct(headers: pa.Table) -> pa.Table:
    """Each entry once, in order of its number."""
    _, first = np.unique(headers["je_no"].to_numpy(), return_index=True)
    return headers.take(pa.array(first))


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
