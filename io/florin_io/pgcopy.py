"""Arrow record batches as PostgreSQL's binary COPY format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """A column of the table and its type: int2, int4, int8, bool, date, uuid, text, or numeric(scale).

    numeric(4) takes int64 of 10^-4 units, or decimal128 of scale 4.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Encoded:
    """Rows as COPY (FORMAT binary) takes them: `COPY table (columns) FROM STDIN (FORMAT binary)`.

    `data` is valid until its encoder's next call.
    """

    columns: tuple[str, ...]
    data: memoryview
    rows: int
    sha256: str


class Encoder:
    """Encodes batches of one table. `constants` are columns with the same value in every row; batches lack them."""

    def __init__(self, columns: Sequence[Column], constants: Mapping[str, object] | None = None) -> None:
        raise NotImplementedError

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """All rows of a batch that has the columns by name, in any order; nulls are NULL."""
        raise NotImplementedError
