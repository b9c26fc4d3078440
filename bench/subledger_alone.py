"""Each step of the subledger alone on one core, and COPY beside ADBC with the same journal lines.

python -m bench.subledger_alone --postgres postgresql://postgres@localhost:5432/postgres --json -
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import click
import numpy as np
import psycopg
import pyarrow as pa

from bench.report import json_option
from bench.subledger_rows import ledger_text, make, table_sql
from florin_io import endpoints
from florin_io.frames import FrameWriter, frame_blocks
from florin_io.pgcopy import Encoder
from transforms.subledger import fields
from transforms.subledger_load.loader import columns_of
from transforms.subledger_simulate import HEADER

CONNECTIONS = (1, 2)


def steps(rows: int, folder: Path) -> tuple[dict[str, float], list[pa.RecordBatch]]:
    """Rows/s (of the input; encoding: of journal lines) of each step, and the journal lines."""
    text = ledger_text(rows)
    path = folder / "alone.csv.zst"
    with path.open("wb") as file:
        writer = FrameWriter(file, HEADER)
        for block in text:
            writer.write(block)
        written = writer.close()
    began = time.perf_counter()
    for _ in frame_blocks(path, path.name, written.index.frames, 1):
        pass
    rates = {"decompress": rows / (time.perf_counter() - began)}
    # The first time compiles.
    make(text[:1])
    made = make(text)
    rates |= {step: rows / seconds for step, seconds in made.seconds.items()}
    encoder = Encoder(columns_of("je_line"))
    encoder.encode(made.lines[0])
    began = time.perf_counter()
    encoded = sum(encoder.encode(batch).rows for batch in made.lines)
    rates["encode_lines"] = encoded / (time.perf_counter() - began)
    return rates, made.lines


def copy_rate(url: str, files: list[pa.RecordBatch], connections: int) -> float:
    """Journal lines/s by binary COPY, encoding included, over some connections at once."""

    def load(batches: list[pa.RecordBatch]) -> None:
        encoder = Encoder(columns_of("je_line"))
        with psycopg.connect(url) as connection:
            for batch in batches:
                encoded = encoder.encode(batch)
                names = ", ".join(f'"{name}"' for name in encoded.columns)
                told: Any = f"COPY bench_line ({names}) FROM STDIN (FORMAT binary)"
                with connection.cursor() as cursor, cursor.copy(told) as copy:
                    copy.write(encoded.data)
                connection.commit()

    return _loaded(url, files, connections, load)


def adbc_rate(url: str, files: list[pa.RecordBatch], connections: int) -> float:
    """Journal lines/s by ADBC's ingestion of the same rows, amounts as decimals (made before), over connections."""
    columns = [column.name for column in columns_of("je_line")]
    tables = [_with_decimals(batch).select(columns) for batch in files]

    def load(batches: list[pa.RecordBatch]) -> None:
        with adbc.connect(url) as connection:
            for batch in batches:
                with connection.cursor() as cursor:
                    cursor.adbc_ingest("bench_line", batch, mode="append")
                connection.commit()

    return _loaded(url, tables, connections, load)


def _with_decimals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Scaled int64 columns as decimal128, which ADBC loads into numeric."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        scale = fields.scale_of(field)
        if scale is not None:
            values = column.fill_null(0).to_numpy()
            pairs = np.stack([values, values >> 63], axis=1)
            column = pa.Array.from_buffers(
                pa.decimal128(18, scale), len(column), [column.is_valid().buffers()[1], pa.py_buffer(pairs.tobytes())]
            )
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _loaded(
    url: str, files: list[pa.RecordBatch], connections: int, load: Callable[[list[pa.RecordBatch]], None]
) -> float:
    """Rows/s until all threads have loaded their share into a new table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_line")
        connection.execute(table_sql("bench_line", "je_line"))  # type: ignore[arg-type]
        connection.execute("CHECKPOINT")
        threads = [threading.Thread(target=load, args=(files[n::connections],)) for n in range(connections)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        wanted = sum(batch.num_rows for batch in files)
        row = connection.execute("SELECT count(*), sum(amount) FROM bench_line").fetchone()
        connection.execute("DROP TABLE bench_line")
    if row is None or row[0] != wanted:
        raise RuntimeError(f"{wanted:,} rows were to be loaded, found {row}")
    return wanted / seconds


def measure(rows: int, url: str, folder: Path) -> dict[str, Any]:
    """All rates."""
    rates, lines = steps(rows, folder)
    figures: dict[str, Any] = {"rows_per_s_by_step": {step: round(rate) for step, rate in rates.items()}}
    figures["copy_rows_per_s_by_connections"] = {str(n): round(copy_rate(url, lines, n)) for n in CONNECTIONS}
    figures["adbc_rows_per_s_by_connections"] = {str(n): round(adbc_rate(url, lines, n)) for n in CONNECTIONS}
    figures["copy_rows_per_s"] = max(figures["copy_rows_per_s_by_connections"].values())
    figures["adbc_rows_per_s"] = max(figures["adbc_rows_per_s_by_connections"].values())
    return figures


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@json_option
@click.option("--rows", default=1_000_000, show_default=True, help="Ledger entries.")
@click.option("--postgres", help="Address of a PostgreSQL to fill. [FLORIN_POSTGRES, the local stack]")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("."), help="For a temporary file.")
def main(json_to: str | None, rows: int, postgres: str | None, folder: Path) -> None:
    """Measure and print as JSON."""
    figures = measure(rows, endpoints.resolve(postgres=postgres).postgres, folder)
    (folder / "alone.csv.zst").unlink()
    text = json.dumps(figures)
    if json_to in (None, "-"):
        print(text)
    else:
        Path(str(json_to)).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
