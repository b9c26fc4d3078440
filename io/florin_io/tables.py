"""Tables in files, block by block: CSV, Parquet, or records of one fixed size; local or in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

BLOCK_BYTES = 32 * 1024 * 1024
_ROWS = 200_000


class TableError(ValueError):
    """A file that is no table of its kind; the message names it."""


def match(pattern: str) -> list[tuple[str, int]]:
    """Paths and sizes of the files that a path or pattern (*, ?) names, in order. Raises FileNotFoundError."""
    try:
        found = FileSystems.match([pattern])[0].metadata_list  # type: ignore[no-untyped-call]
    except (OSError, ValueError, BeamIOError) as error:
        raise FileNotFoundError(f"{pattern}: {error}") from error
    if not found:
        raise FileNotFoundError(f"{pattern}: there is no such file")
    return sorted((file.path, int(file.size_in_bytes)) for file in found)


def _open(path: str) -> Any:
    return FileSystems.open(path, compression_type=CompressionTypes.AUTO)


def csv_blocks(
    path: str, columns: tuple[str, ...], refused: Callable[[int, str, str], None]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Blocks of a CSV file with a header, all columns as text, each with the number of its first row.

    `refused` is called with row, reason and text of every line with too few or too many fields; such lines have no
    number of their own. Raises TableError.
    """

    def skip(row: Any) -> str:
        refused(row.number or 0, f"{row.actual_columns} fields where {row.expected_columns} are expected", row.text)
        return "skip"

    try:
        with _open(path) as file:
            reader = pyarrow.csv.open_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=skip),
                convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
            )
            row = 0
            for batch in reader:
                yield row, batch
                row += batch.num_rows
    except pa.ArrowException as error:
        raise TableError(f"{path} is no CSV file: {error}") from error


def parquet_blocks(path: str, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Blocks of a Parquet file, of the columns named those that it has. Raises TableError."""
    try:
        with _open(path) as file:
            table = pyarrow.parquet.ParquetFile(file)
            known = [name for name in columns if name in table.schema_arrow.names]
            row = 0
            for batch in table.iter_batches(_ROWS, columns=known):
                yield row, batch
                row += batch.num_rows
    except pa.ArrowException as error:
        raise TableError(f"{path} is no Parquet file: {error}") from error


def fixed_blocks(path: str, size: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of a file of records of `size` bytes, each with the number of its first record. Raises TableError."""
    most = BLOCK_BYTES // size * size
    row = 0
    with _open(path) as file:
        while data := file.read(most):
            while len(data) < most and (more := file.read(most - len(data))):
                data += more
            if len(data) % size:
                raise TableError(f"{path} is not whole records of {size} bytes: {len(data) % size} bytes are left over")
            yield row, data
            row += len(data) // size
