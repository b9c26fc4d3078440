"""The read model's writer against a real PostgreSQL: exactly once, zombies, versions, bad rows."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from florin_io.postgres import (
    Database,
    PostgresAddressError,
    PostgresUnreachable,
    SchemaError,
    checked_option,
    migrate,
    with_secret,
    without_password,
)
from tests.conftest import LocalPostgres
from tests.unit.read_model.maker import Maker, traffic
from transforms.read_model import schema
from transforms.read_model.projection import Record
from transforms.read_model.reader import ReadModel
from transforms.read_model.writer import OffsetMoved, ReadModelWriter

pytestmark = pytest.mark.database
TOPIC = "transfer-events"
TABLES = {
    "account": "account",
    "participant": "id",
    "transfer": "transfer_id, partition",
    "funds_movement": "account, transfer_id",
    "position_change": "partition, event_offset",
    "command_result": "partition, event_offset",
    "shard_journal": "account",
    "chain_break": "partition, event_offset",
    "applied_offset": "partition",
}
_CHANGES_BY_ITSELF = {"applied_offset": "topic, partition, next_offset, last_at"}


def contents(of: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, in order."""
    with of.connect(application="test") as connection:
        return {
            table: connection.execute(
                f"SELECT {_CHANGES_BY_ITSELF.get(table, '*')} FROM {table} ORDER BY {order}".encode()
            ).fetchall()
            for table, order in TABLES.items()
        }


def apply_all(of: Database, records: list[Record], batch: int, partition: int = 0) -> None:
    writer = ReadModelWriter(of, TOPIC, partition)
    for start in range(0, len(records), batch):
        writer.apply(records[start : start + batch])
    writer.close()


def some_events(transfers: int = 60) -> list[Record]:
    maker = Maker()
    maker.event("shard/0", "participant", commandId="c1", result="ok", participant="dfsp1", active=True)
    maker.change("dfsp1/USD", "participant", "0", commandId="c1", result="ok", active=True, participant="dfsp1")
    maker.change("dfsp1/USD", "fundsIn", "0", commandId="c2", result="ok", transferId="f1", amount="1000")
    list(traffic(maker, transfers))
    maker.reserve("late", "dfsp1", "dfsp2", "12.3456")
    maker.release("late", "dfsp1", "12.3456")
    # An old copy of its prepare, long after: INVALID by itself, and no change of the finished transfer.
    maker.event("shard/0", "invalid", transferId="late", state="INVALID", code="3100", payer="dfsp1")
    maker.event(
        "shard/0", "invalid", transferId="bad", state="INVALID", code="3100", payer="dfsp1", payee="x", amount="a"
    )
    return maker.records


def test_batches_cut_anywhere_give_the_same_tables(database: Database) -> None:
    schema.prepare(database)
    apply_all(database, some_events(), 1000)
    whole = contents(database)
    for batch in (1, 7):
        schema.rebuild(database)
        apply_all(database, some_events(), batch)
        assert contents(database) == whole
    assert not whole["chain_break"]


def test_what_the_tables_say(database: Database) -> None:
    schema.prepare(database)
    apply_all(database, some_events(), 50)
    with ReadModel(database) as model:
        assert [(row["id"], row["active"], row["accounts"]) for row in model.participants()] == [("dfsp1", True, 1)]
        assert [(row["currency"], row["position"], row["reserved"]) for row in model.totals()] == [("USD", 0, 0)]
        (account,) = model.positions("dfsp1")
        assert (account["cover"], account["ndc"], account["ndc_used_percent"], account["active"]) == (
            1000,
            500,
            0,
            True,
        )
        (late,) = model.find_transfer("late")
        assert (late["state"], late["code"], late["amount"], late["payee"]) == (
            "ABORTED",
            "3303",
            Decimal("12.3456"),
            "dfsp2",
        )
        assert [row["state"] for row in model.state_changes("late")] == ["RESERVED", "ABORTED", "INVALID"]
        assert model.find_transfer("bad")[0]["amount"] is None
        assert model.find_transfer("unknown") == []
        day = late["created_at"].date()
        assert {row["transfer_id"] for row in model.find_transfers("dfsp1", day, "ABORTED")} == {"late"}
        found = model.find_transfers("dfsp2", day, limit=5)
        assert len(found) == 5
        assert found == sorted(found, key=lambda row: row["created_at"], reverse=True)
        assert model.find_transfers(day=day.replace(year=2020)) == []
        assert model.counts_by_state() == {"COMMITTED": 60, "ABORTED": 1, "INVALID": 1}
        newest = [row["seq"] for row in model.position_changes("dfsp1/USD", 3)]
        assert newest == [account["last_seq"] - back for back in range(3)]
        assert model.command_results("c1")
        assert model.funds_movements("dfsp1")[0]["amount"] == 1000
        assert model.faults() == {"chain_breaks": 0, "dead_letters": 0}
        last = some_events()[-1][0]
        assert model.offsets() == {0: last + 1}
        assert model.lag([last + 3, 7]) == [2, 7]


def test_a_transfer_that_spans_batches_keeps_terms_and_outcome(database: Database) -> None:
    schema.prepare(database)
    maker = Maker()
    maker.reserve("t1", "dfsp1", "dfsp2")
    apply_all(database, maker.records, 1)
    apply_all(database, [maker.commit("t1", "dfsp1")], 1)
    with ReadModel(database) as model:
        (row,) = model.find_transfer("t1")
        assert (row["state"], row["payee"], row["amount"]) == ("COMMITTED", "dfsp2", 10)
        assert row["expiration"] is not None
        assert row["created_at"] < row["updated_at"]


def test_a_second_writer_cannot_apply_the_same_events_again(database: Database) -> None:
    schema.prepare(database)
    records = some_events()
    zombie, owner = ReadModelWriter(database, TOPIC, 0), ReadModelWriter(database, TOPIC, 0)
    owner.apply(records[:20])
    before = contents(database)
    with pytest.raises(OffsetMoved, match="no longer stand at offset 0"):
        zombie.apply(records[:20])
    assert contents(database) == before
    owner.apply(records[20:])
    zombie.close()
    owner.close()


def test_writers_that_race_apply_every_event_once(database: Database) -> None:
    schema.prepare(database)
    records = some_events(300)

    def race(seed: int) -> int:
        refused, rng = 0, random.Random(seed)
        writer = ReadModelWriter(database, TOPIC, 0)
        while todo := [record for record in records if record[0] >= writer.offset()]:
            try:
                writer.apply(todo[: rng.randint(1, 60)])
            except OffsetMoved:
                refused += 1
                writer.close()
                writer = ReadModelWriter(database, TOPIC, 0)
        writer.close()
        return refused

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(race, range(3))) > 0
    raced = contents(database)
    schema.rebuild(database)
    apply_all(database, records, 1000)
    assert contents(database) == raced


def test_partitions_write_at_once_without_waiting_for_each_other(database: Database) -> None:
    schema.prepare(database)
    makers = [Maker(partition) for partition in range(4)]
    for number in range(400):
        payer, payee = number % 4, (number + 1) % 4
        makers[payer].reserve(f"t{number}", f"dfsp{payer}", f"dfsp{payee}")
        makers[payer].commit(f"t{number}", f"dfsp{payer}")
        makers[payee].credit(f"t{number}", f"dfsp{payee}")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda maker: apply_all(database, maker.records, 17, maker.partition), makers))
    with ReadModel(database) as model:
        assert model.counts_by_state() == {"COMMITTED": 400}
        assert [row["position"] for row in model.totals()] == [0]
        assert model.faults() == {"chain_breaks": 0, "dead_letters": 0}


_VICTIM = """
import sys
from florin_io.postgres import Database
from transforms.read_model.writer import ReadModelWriter
from tests.cluster.test_read_model_postgres import TOPIC, some_events
writer = ReadModelWriter(Database(sys.argv[1], sys.argv[2]), TOPIC, 0)
records = [record for record in some_events(1500) if record[0] >= writer.offset()]
print("started", flush=True)
for start in range(0, len(records), 40):
    writer.apply(records[start : start + 40])
print("done", flush=True)
"""


def test_kill_9_in_mid_transaction_loses_and_doubles_nothing(database: Database) -> None:
    schema.prepare(database)
    rng = random.Random(7)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for attempt in range(40):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, database.conninfo, database.schema],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert victim.stdout is not None
        assert victim.stdout.readline() == "started\n"
        if attempt < 3:
            time.sleep(rng.uniform(0.02, 0.15))
            victim.send_signal(signal.SIGKILL)
        said = victim.communicate()[0]
        if "done" in said:
            break
    assert attempt > 0, "no attempt was killed before it was done"
    disturbed = contents(database)
    schema.rebuild(database)
    apply_all(database, some_events(1500), 1000)
    assert contents(database) == disturbed


def test_rows_that_the_server_refuses_become_dead_letters_and_the_rest_goes_on(database: Database) -> None:
    schema.prepare(database)
    maker = Maker()
    list(traffic(maker, 9))
    maker.change(
        "dfsp1/USD",
        "reserve",
        "1",
        transferId=random.Random(1).randbytes(9000).hex(),
        state="RESERVED",
        payer="dfsp1",
        payee="dfsp2",
    )
    maker.event("dfsp1/USD", "reserve", position="no number", transferId="odd", state="RESERVED")
    maker.raw(b'{"no":"event\\u0000"}')
    maker.event("dfsp1/USD", "commit", position="0", transferId="t-9")
    list(traffic(maker, 9, name="after"))
    apply_all(database, maker.records, 1000)
    with ReadModel(database) as model:
        assert model.counts_by_state() == {"COMMITTED": 18}
        assert model.faults()["dead_letters"] == 4
        assert model.offsets() == {0: maker.records[-1][0] + 1}
    with database.connect(application="test") as connection:
        dead = connection.execute("SELECT event_offset, reason, value FROM dead_letter ORDER BY 1").fetchall()
    by_offset = {offset: value for offset, _, value in maker.records}
    assert all(bytes(value) == by_offset[offset] for offset, _, value in dead)


def test_a_broken_chain_is_written_down_and_the_stream_goes_on(database: Database) -> None:
    schema.prepare(database)
    records = some_events()
    apply_all(database, records[:50] + records[51:], 10)
    with ReadModel(database) as model:
        assert model.faults()["chain_breaks"] == 1
        assert model.offsets() == {0: records[-1][0] + 1}


def test_tables_of_a_newer_version_are_refused(database: Database) -> None:
    assert schema.prepare(database) == ["0001-tables"]
    assert schema.prepare(database) == []
    with database.connect(application="test") as connection:
        connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
            "VALUES ('x', '0099-later', now())"
        )
    with pytest.raises(SchemaError, match=r"0099-later.*newer version"):
        schema.prepare(database)


def test_two_starters_at_once_make_the_tables_once(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: schema.prepare(database), range(4)))
    assert sorted(applied) == [[], [], [], ["0001-tables"]]


def test_a_migration_that_fails_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "0001-half.sql"
    file.write_text("CREATE TABLE one (a integer); CREATE TABLE one (a integer);")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(database, tmp_path)
    file.write_text("CREATE TABLE one (a integer);")
    assert migrate(database, tmp_path) == ["0001-half"]


def test_tables_of_another_topic_are_refused(database: Database) -> None:
    schema.prepare(database)
    with database.connect(application="test") as connection:
        schema.bind(connection, TOPIC, "id1", 4)
        schema.bind(connection, TOPIC, "id1", 4)
        with pytest.raises(SchemaError, match="rebuild"):
            schema.bind(connection, TOPIC, "id2", 4)


def test_the_connection_lost_in_mid_run_leaves_an_exact_offset(postgres: LocalPostgres, database: Database) -> None:
    schema.prepare(database)
    records = some_events()
    writer = ReadModelWriter(database, TOPIC, 0)
    writer.apply(records[:30])
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        writer.apply(records[30:])
    with pytest.raises(PostgresUnreachable, match="python -m flink up"):
        ReadModelWriter(database, TOPIC, 0)
    postgres.start()
    again = ReadModelWriter(database, TOPIC, 0)
    assert again.offset() == records[29][0] + 1
    again.apply(records[30:])
    again.close()
    disturbed = contents(database)
    schema.rebuild(database)
    apply_all(database, records, 1000)
    assert contents(database) == disturbed


def test_a_password_in_an_option_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostgresAddressError, match="PGPASSWORD"):
        checked_option("postgresql://me:secret@db:5432/x")
    with pytest.raises(PostgresAddressError, match="expected postgresql://"):
        checked_option("mysql://x")
    shown = without_password("postgresql://me:secret@db:5432/x")
    assert "secret" not in shown
    assert "secret" not in str(Database(shown, "s"))
    monkeypatch.setenv("FLORIN_POSTGRES", "postgresql://me:secret@db:5432/x")
    assert "password=secret" in with_secret(shown)
    assert "secret" not in with_secret("postgresql://me@elsewhere:5432/x")
