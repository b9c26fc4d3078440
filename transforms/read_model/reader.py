"""Questions about the transfer system, answered from the read model: for commands, reports and tests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from florin_io.postgres import Connection, Database

Row = dict[str, Any]
"""A row by column names; amounts are Decimal, times are aware datetimes in UTC."""

_TRANSFER = """transfer_id, payer, payee, currency, amount, state, code, description, expiration, created_at,
    updated_at, completed, fulfilment, partition"""


class ReadModel:
    """Read-only access to the tables. Methods raise psycopg.Error if the server goes away."""

    def __init__(self, database: Database, settings: dict[str, str] | None = None) -> None:
        """`settings` are PostgreSQL's, for this connection. Raises PostgresUnreachable."""
        self._connection: Connection = database.connect(
            application="florin read", settings={"default_transaction_read_only": "on", **(settings or {})}
        )

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def __enter__(self) -> ReadModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def participants(self) -> list[Row]:
        """id, active, created_at, updated_at and number of accounts, by id."""
        return self._rows(
            """SELECT id, active, created_at, updated_at,
                (SELECT count(*) FROM account WHERE account.participant = participant.id) AS accounts
            FROM participant ORDER BY id"""
        )

    def positions(self, fsp: str | None = None) -> list[Row]:
        """Accounts with position, reserved, cover, ndc and ndc_used_percent, of one DFSP or of all."""
        where, values = _where({"participant =": fsp})
        return self._rows(
            sql.SQL(
                """SELECT account, participant, currency, position, reserved, cover, ndc, ndc_used_percent, active,
                    last_seq, updated_at FROM account {} ORDER BY participant, currency"""
            ).format(where),
            values,
        )

    def find_transfer(self, transfer_id: str) -> list[Row]:
        """All transfers with the id: none or one, or more if several payers used the same id."""
        return self._rows(f"SELECT {_TRANSFER} FROM transfer WHERE transfer_id = %s ORDER BY partition", [transfer_id])

    def find_transfers(
        self, fsp: str | None = None, day: date | None = None, state: str | None = None, limit: int = 100
    ) -> list[Row]:
        """Transfers of a DFSP (as payer or payee), a UTC day of preparation, a state; the latest first."""
        first = datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00") if day is not None else None
        # One arm per index: an OR over payer and payee would read neither of them in order.
        sides = [{"payer =": fsp}, {"payee =": fsp}] if fsp is not None else [{}]
        arms: list[sql.Composable] = []
        values: list[object] = []
        for side in sides:
            where, given = _where(
                {**side, "created_at >=": first, "created_at < interval '1 day' +": first, "state =": state}
            )
            arms.append(
                sql.SQL("(SELECT {} FROM transfer {} ORDER BY created_at DESC LIMIT %s)").format(
                    sql.SQL(_TRANSFER), where
                )
            )
            values += [*given, limit]
        query = sql.SQL("SELECT * FROM ({}) AS found ORDER BY created_at DESC, transfer_id LIMIT %s").format(
            sql.SQL(" UNION ").join(arms)
        )
        return self._rows(query, [*values, limit])

    def state_changes(self, transfer_id: str) -> list[Row]:
        """Every state of a transfer with code, description and log time, in order."""
        return self._rows(
            "SELECT * FROM transfer_state_change WHERE transfer_id = %s ORDER BY partition, event_offset", [transfer_id]
        )

    def position_changes(self, account: str, limit: int = 100) -> list[Row]:
        """The last changes of an account ("dfsp1/USD"), the latest first."""
        return self._rows(
            """SELECT seq, kind, transfer_id, change, position, reserved, cover, ndc, state, code, at
            FROM position_change WHERE account = %s ORDER BY seq DESC, event_offset DESC LIMIT %s""",
            [account, limit],
        )

    def funds_movements(self, fsp: str | None = None, limit: int = 100) -> list[Row]:
        """Funds in and out of a DFSP's cover, or of all, the latest first."""
        where, values = _where({"regexp_replace(account, '/[^/]*$', '') =": fsp})
        return self._rows(
            sql.SQL("SELECT * FROM funds_movement {} ORDER BY created_at DESC, transfer_id LIMIT %s").format(where),
            [*values, limit],
        )

    def command_results(self, command_id: str) -> list[Row]:
        """What became of an admin command, one row per account or shard that reported."""
        return self._rows(
            "SELECT * FROM command_result WHERE command_id = %s ORDER BY partition, event_offset", [command_id]
        )

    def totals(self) -> list[Row]:
        """Per currency: accounts, sum of positions (0 at rest), sum of reserved (0 at rest), sum of cover."""
        return self._rows(
            """SELECT currency, count(*) AS accounts, sum(position) AS position, sum(reserved) AS reserved,
                sum(cover) AS cover FROM account GROUP BY currency ORDER BY currency"""
        )

    def counts_by_state(self) -> dict[str, int]:
        """Number of transfers in each state."""
        return {
            row["state"]: row["transfers"]
            for row in self._rows("SELECT state, count(*) AS transfers FROM transfer GROUP BY state")
        }

    def faults(self) -> dict[str, int]:
        """Number of chain breaks and of dead letters: both must be 0."""
        (row,) = self._rows(
            """SELECT (SELECT count(*) FROM chain_break) AS chain_breaks,
                (SELECT count(*) FROM dead_letter) AS dead_letters"""
        )
        return row

    def offsets(self) -> dict[int, int]:
        """Per partition of transfer-events the offset of the next event to apply."""
        return {
            row["partition"]: row["next_offset"]
            for row in self._rows("SELECT partition, next_offset FROM applied_offset")
        }

    def lag(self, end_offsets: list[int]) -> list[int]:
        """Places of the log that are not applied yet, per partition, given its end offsets; 0 everywhere at rest."""
        applied = self.offsets()
        return [max(0, end - applied.get(partition, 0)) for partition, end in enumerate(end_offsets)]

    def _rows(self, query: str | sql.SQL | sql.Composed, values: list[object] | None = None) -> list[Row]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            text = query.encode() if isinstance(query, str) else query
            return cursor.execute(text, values).fetchall()


def _where(conditions: dict[str, object]) -> tuple[sql.Composable, list[object]]:
    """A WHERE clause of `text %s` for every condition whose value is given, and the values."""
    given = {text: value for text, value in conditions.items() if value is not None}
    if not given:
        return sql.SQL(""), []
    return sql.SQL("WHERE " + " AND ".join(f"{text} %s" for text in given)), list(given.values())
