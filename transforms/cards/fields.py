"""The fields of a card transaction: their places in the wire packet and in the columns that rules are evaluated on."""

from __future__ import annotations

from typing import Final

PACKET: Final = 100
"""Bytes of a packet: `card,timestamp,country,response,amount,currency,merchant,city,code` in ASCII, NUL bytes up to
byte 99, then a newline."""
HISTORY: Final = 20
"""Transactions that a card remembers."""

CARD: Final = 0
TIME: Final = 1
"""The transaction's own timestamp in ms since the epoch."""
COUNTRY: Final = 2
RESPONSE: Final = 3
AMOUNT: Final = 4
"""Minor units, below 2^31."""
CURRENCY: Final = 5
MERCHANT: Final = 6
CITY: Final = 7
CODE: Final = 8
"""`text_value` of the first 5 characters of the transaction code."""
SCORED: Final = 9
"""Log time in ms at which it was scored; 0 for loaded history unless known."""
RULE: Final = 10
"""1-based place, in the rule set active then, of the live rule that decided; 0 if none did."""
FLAGS: Final = 11
FIELDS: Final = 12
"""Rows of the int64 columns that rules are evaluated on."""

FRAUD: Final = 1
DUPLICATE: Final = 2
FUTURE: Final = 4
"""The transaction's timestamp lay more than `FUTURE_MS` after log time."""
LOADED: Final = 8
"""The transaction came with the loaded history; it was not scored here."""
FUTURE_MS: Final = 300_000

WIDTHS: Final = {"card": 14, "country": 3, "response": 2, "currency": 3, "merchant": 4, "city": 5, "code": 5}
"""Characters of each fixed-width field; of the code, the first 5 of its 5 to 8 are what rules see."""
MAX_TIME_DIGITS: Final = 13
MAX_AMOUNT: Final = 2**31 - 1
MIN_CODE: Final = 5
MAX_CODE: Final = 8


def text_value(text: bytes) -> int:
    """What rules compare for a fixed-width text field: its number if all are digits, else minus its bytes as a number.

    Unique among texts of one width, and the same everywhere without a table.
    """
    return int(text) if text.isdigit() else -int.from_bytes(text, "big")
