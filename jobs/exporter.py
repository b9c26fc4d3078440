"""What PostgreSQL knows, for Prometheus: sums of positions and faults of the read model, requests of the subledger.

    python -m jobs.exporter --postgres=postgresql://user@host:port/database

Each scrape asks the tables anew. What Flink knows is in Flink's own reporter (docs/metrics.md).
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator

import click
import psycopg
from prometheus_client import start_http_server
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from florin_io.postgres import Connection, Database, PostgresAddressError, PostgresUnreachable
from jobs.read_model import database_of
from transforms.read_model import schema
from transforms.read_model.reader import ReadModel
from transforms.subledger_db.load_state import totals_by_state
from transforms.subledger_db.schema import DEFAULT_SCHEMA

_LOG = logging.getLogger(__name__)

SETTINGS = {"default_transaction_read_only": "on", "statement_timeout": "2000"}
"""With the seconds that a connection may take, one page is there within prometheus.yml's scrape_timeout."""


class Tables(Collector):
    """Asks the read model and the subledger at every scrape; one whose schema does not exist says nothing."""

    def __init__(self, read_model: Database, subledger: Database) -> None:
        self._sources: dict[str, tuple[Database, Callable[[Database], list[Metric]]]] = {
            "read_model": (read_model, _read_model),
            "subledger": (subledger, _subledger),
        }

    def collect(self) -> Iterator[Metric]:
        """The families of both, and for each whether it answered."""
        up = GaugeMetricFamily("florin_source_up", "1 if the tables could be read, else 0", labels=["source"])
        for name, (database, ask) in self._sources.items():
            try:
                if _exists(database):
                    yield from ask(database)
                    up.add_metric([name], 1)
            except (PostgresUnreachable, psycopg.Error) as error:
                _LOG.warning("%s: %s", name, error)
                up.add_metric([name], 0)
        yield up


def _exists(database: Database) -> bool:
    """Whether the schema is there: without rights on it its tables would look as if they were not."""
    with _connected(database) as connection:
        query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
        return connection.execute(query, [database.schema]).fetchone() is not None


def _connected(database: Database) -> Connection:
    return database.connect(application="florin exporter", settings=SETTINGS)


def _read_model(database: Database) -> list[Metric]:
    positions = GaugeMetricFamily("florin_positions_sum", "Sum of all positions, 0 at rest", labels=["currency"])
    reserved = GaugeMetricFamily("florin_reserved_sum", "Sum of what is reserved, 0 at rest", labels=["currency"])
    faults = GaugeMetricFamily("florin_read_model_faults", "Faults in the tables; 0 is right", labels=["kind"])
    with ReadModel(database, SETTINGS) as model:
        for row in model.totals():
            positions.add_metric([row["currency"]], float(row["position"]))
            reserved.add_metric([row["currency"]], float(row["reserved"]))
        for kind, count in model.faults().items():
            faults.add_metric([kind], count)
    return [positions, reserved, faults]


def _subledger(database: Database) -> list[Metric]:
    requests = GaugeMetricFamily("florin_requests", "Requests in each state", labels=["state"])
    oldest = GaugeMetricFamily(
        "florin_request_oldest_seconds", "Since the oldest of a state was submitted or last begun", labels=["state"]
    )
    rows = GaugeMetricFamily("florin_request_rows", "Rows of all requests by what became of them", labels=["result"])
    silent = GaugeMetricFamily("florin_request_silent_seconds", "Longest silence of a process that works at a request")
    with _connected(database) as connection:
        totals = totals_by_state(connection)
    for state, total in totals.items():
        requests.add_metric([state], total.requests)
        oldest.add_metric([state], total.oldest_s)
    rows.add_metric(["posted"], sum(total.rows_posted for total in totals.values()))
    rows.add_metric(["rejected"], sum(total.rows_rejected for total in totals.values()))
    rows.add_metric(["duplicate"], sum(total.rows_duplicate for total in totals.values()))
    silent.add_metric([], totals["RUNNING"].silent_s)
    return [requests, oldest, rows, silent]


@click.command(context_settings={"show_default": True})
@click.option("--postgres", metavar="URL", help="Address without a password.  [default: FLORIN_POSTGRES, local stack]")
@click.option("--read-model-schema", default=schema.DEFAULT_SCHEMA, help="Schema of the read model's tables.")
@click.option("--subledger-schema", default=DEFAULT_SCHEMA, help="Schema of the subledger's tables.")
@click.option("--address", default="127.0.0.1", help="Address to listen at.")
@click.option("--port", type=int, default=9251, help="Port of /metrics; 0 takes a free one.")
def main(postgres: str | None, read_model_schema: str, subledger_schema: str, address: str, port: int) -> None:
    """Metrics of the read model's and the subledger's tables for Prometheus, until it is interrupted.

    The user may be one that can do nothing else: docs/metrics.md, Rights.
    """
    try:
        read_model = database_of(postgres, read_model_schema)
    except PostgresAddressError as error:
        raise click.UsageError(str(error)) from None
    registry = CollectorRegistry()
    registry.register(Tables(read_model, Database(read_model.conninfo, subledger_schema)))
    try:
        server, _ = start_http_server(port, address, registry)
    except OSError as error:
        raise click.ClickException(f"{address}:{port}: {error.strerror}; choose another --port") from None
    click.echo(f"Prometheus  http://{address}:{server.server_port}/metrics")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
