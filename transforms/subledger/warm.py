"""Compiling the kernels of the subledger before they are needed: a minute of CPU time, once per release and machine.

    python -m transforms.subledger.warm

Workers that find nothing compiled do it themselves at their first block, each of them, while nothing is posted.
"""

from __future__ import annotations

from transforms.subledger.book import Book
from transforms.subledger.fields import COLUMNS, first_je_no
from transforms.subledger.ids import event_id
from transforms.subledger.order import sort
from transforms.subledger.parse import parse_block, read_header
from transforms.subledger.rulesets import shipped, text_of
from transforms.subledger.settings import Settings

_LINES = b"""1,1,BUY,e,2026-01-01,,EQ1,"I",10,2,USD,,,,0.9,
2,1,SELL,e,2026-01-02,,EQ1,I,5,3,USD,,,,0.9,
3,1,CANCEL,e,2026-01-03,,EQ1,I,,,,,,,,2
"""


def warm_up() -> None:
    """Compile every kernel that a request calls, or find that it is done."""
    settings = Settings("t", "e", "EUR", text_of("standard"), ((202601, True),), 1)
    header = read_header(",".join(COLUMNS).encode())
    rows = sort(parse_block(_LINES, header, 0, 2, settings)[0])
    book = Book(settings, shipped("standard"), first_je_no(1, 0))
    book.needs(rows)
    posted = book.post(rows)
    assert posted.headers.column("event_id")[0].as_py() == event_id("t", settings.source, "1", 1)
    # The third takes back the second, so both kernels of the book have run.
    assert posted.headers.num_rows == 3, posted.rejects.to_pylist()
    assert book.close().positions.column("quantity").to_pylist() == [10 * 10**8]


if __name__ == "__main__":
    warm_up()
