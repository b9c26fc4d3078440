"""The read model's tables: their version, the topic they are made from, and how to begin again from nothing."""

from __future__ import annotations

from pathlib import Path

from florin_io.postgres import Connection, Database, SchemaError, drop, migrate

DEFAULT_SCHEMA = "florin_transfer"
MIGRATIONS = Path(__file__).parent / "migrations"


def prepare(database: Database) -> list[str]:
    """Make the tables or bring them to this version; returns the changes applied.

    Raises SchemaError, PostgresUnreachable.
    """
    return migrate(database, MIGRATIONS)


def rebuild(database: Database) -> None:
    """Throw all tables away and make them empty. A running job notices, and fills them from the first event on."""
    drop(database)
    prepare(database)


def bind(connection: Connection, topic: str, topic_id: str, partitions: int) -> None:
    """Tie the tables to one topic, the first time; afterwards raise SchemaError if they are another topic's.

    `topic_id` is Kafka's own: a topic that was deleted and made again has the same name and other events.
    """
    connection.execute(
        "INSERT INTO source (topic, topic_id, partitions) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (topic, topic_id, partitions),
    )
    (found,) = connection.execute("SELECT topic, topic_id, partitions FROM source").fetchall()
    if found != (topic, topic_id, partitions):
        raise SchemaError(
            f"the tables were made from topic {found[0]} ({found[2]} partitions, id {found[1]}), this one is {topic} "
            f"({partitions} partitions, id {topic_id}); build them anew with `python -m jobs.read_model rebuild "
            "--yes`, or give --schema another name"
        )
