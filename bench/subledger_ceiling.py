"""The plain ceiling: pyarrow reads the ledger files, COPY loads the journal that the subledger makes of them. No more.

    python -m bench.subledger_ceiling --files 'ledger/*.csv.zst' --postgres URL --json -

Two processes share the files' frames. Each parses its rows with pyarrow's CSV reader (dates and decimals, no check) and
sends as many journal headers and lines, made and encoded before, as the subledger would. No Beam, no order, no rules,
no indexes: whoever loads faster has to do less than this.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import click
import psycopg
import pyarrow as pa
import pyarrow.csv

from bench.report import json_option
from bench.subledger_rows import ledger_text, make, table_sql
from florin_io import endpoints
from florin_io.frames import INDEX_SUFFIX, Frame, Index, frame_blocks
from florin_io.pgcopy import Encoder
from transforms.subledger.fields import COLUMNS
from transforms.subledger_load.loader import columns_of

PROCESSES = 2
SAMPLE = 500_000
"""Entries whose journal is made beforehand, and sent again and again."""
_DECIMALS = {"quantity": 8, "price": 8, "amount": 4, "fee": 4, "fx_rate": 8}
# Bad rows would end the reading; as texts they pass.
_TEXTS = ("trade_date", "amount", "version")

Place = tuple[str, Frame, int]


def convert_options() -> pa.csv.ConvertOptions:
    """Types of the columns, as far as every row of a generated file has them."""
    types: dict[str, pa.DataType] = {name: pa.string() for name in COLUMNS}
    types |= {name: pa.decimal128(18, scale) for name, scale in _DECIMALS.items() if name not in _TEXTS}
    types["settle_date"] = pa.date32()
    return pa.csv.ConvertOptions(column_types=types)


def places(files: list[str]) -> list[Place]:
    """Every frame of every file, with the number of its first line."""
    found: list[Place] = []
    for name in files:
        path = Path(name)
        index = Index.from_json(path.with_name(path.name + INDEX_SUFFIX).read_bytes(), name, path.stat().st_size)
        line = 1
        for frame in index.frames:
            found.append((name, frame, line))
            line += frame.rows + (line == 1)
    return found


def work(mine: list[Place], headers: list[bytes], lines: list[bytes], entries_of: int, url: str) -> int:
    """What one process does; rows read."""
    told = convert_options()
    columns = {parent: [column.name for column in columns_of(parent)] for parent in ("je_header", "je_line")}
    rows, sent = 0, 0
    pairs = _shares(headers, lines)
    with psycopg.connect(url) as connection:
        for name, frame, line in mine:
            for block in frame_blocks(Path(name), name, [frame], line):
                skip = 1 if block.first_line == 1 else 0
                read = pa.csv.ReadOptions(column_names=COLUMNS, skip_rows=skip, use_threads=False)
                table = pa.csv.read_csv(pa.BufferReader(block.data), read, convert_options=told)
                rows += table.num_rows
            # As much of the journal as is due, to the nearest share, so that reading and loading take turns.
            while (2 * sent + 1) * entries_of <= 2 * rows * len(pairs):
                for parent, data in pairs[sent % len(pairs)]:
                    names = ", ".join(f'"{column}"' for column in columns[parent])
                    statement: Any = f"COPY bench_{parent} ({names}) FROM STDIN (FORMAT binary)"
                    with connection.cursor() as cursor, cursor.copy(statement) as copy:
                        copy.write(data)
                    connection.commit()
                sent += 1
    return rows


def _shares(headers: list[bytes], lines: list[bytes]) -> list[list[tuple[str, bytes]]]:
    """Files of the sample's journal, in as many shares as there are files of headers."""
    shares: list[list[tuple[str, bytes]]] = [[("je_header", data)] for data in headers]
    for number, data in enumerate(lines):
        shares[number % len(shares)].append(("je_line", data))
    return shares


def measure(files: list[str], url: str) -> dict[str, Any]:
    """Entries/s of two processes, from the first byte read to the last one loaded."""
    made = make(ledger_text(SAMPLE))
    encoded = {
        parent: [bytes(Encoder(columns_of(parent)).encode(batch).data) for batch in batches]
        for parent, batches in (("je_header", made.headers), ("je_line", made.lines))
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for parent in encoded:
            connection.execute(f"DROP TABLE IF EXISTS bench_{parent}")  # type: ignore[arg-type]
            connection.execute(table_sql(f"bench_{parent}", parent))  # type: ignore[arg-type]
        connection.execute("CHECKPOINT")
    everything = places(files)
    context = multiprocessing.get_context("fork")
    with context.Pool(PROCESSES) as pool:
        shares = [
            (everything[n::PROCESSES], encoded["je_header"], encoded["je_line"], made.entries, url)
            for n in range(PROCESSES)
        ]
        began = time.perf_counter()
        rows = sum(pool.starmap(work, shares, chunksize=1))
        seconds = time.perf_counter() - began
    with psycopg.connect(url, autocommit=True) as connection:
        counts = {
            parent: (connection.execute(f"SELECT count(*) FROM bench_{parent}").fetchone() or (0,))[0]  # type: ignore[arg-type]
            for parent in encoded
        }
        for parent in encoded:
            connection.execute(f"DROP TABLE bench_{parent}")  # type: ignore[arg-type]
    return {
        "ceiling_per_s": rows / seconds, "ceiling_rows": rows, "ceiling_s": round(seconds, 1),
        "ceiling_headers": counts["je_header"], "ceiling_lines": counts["je_line"],
    }  # fmt: skip


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@json_option
@click.option("--files", multiple=True, required=True, help="Ledger file with an index beside it (repeatable).")
@click.option("--postgres", help="Address of a PostgreSQL to fill. [FLORIN_POSTGRES, the local stack]")
def main(json_to: str | None, files: tuple[str, ...], postgres: str | None) -> None:
    """Measure and print as JSON."""
    text = json.dumps(measure(list(files), endpoints.resolve(postgres=postgres).postgres))
    if json_to in (None, "-"):
        print(text)
    else:
        Path(str(json_to)).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
