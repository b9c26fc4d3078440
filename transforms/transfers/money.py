"""Money as exact integers in ten-thousandths of a currency unit ("units"), and its decimal strings.

Amounts have at most 4 decimals and 18 digits (transfers.md, "Accounts and sharding"). Balances stay within
`MAX_BALANCE`, which leaves room for the sum over every account of a scheme in the 128 bits databases and audits use:
a payer's position never passes its cover, cover never passes MAX_BALANCE (refused before it does), and the
positions of a currency sum to zero, so no payee's position can pass -MAX_BALANCE times the number of accounts.
"""

from __future__ import annotations

import re
from functools import lru_cache

SCALE = 10_000
MAX_DIGITS = 18
MAX_BALANCE = 10**30

_FRACTIONS = ["", *(f".{rest:04d}".rstrip("0") for rest in range(1, SCALE))]
_AMOUNT = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class MoneyError(ValueError):
    """An amount that is not one; the message says what is wrong with it."""


@lru_cache(16_384)
def parse(text: str) -> int:
    """Units of the decimal string `text`: zero or positive, at most 4 decimals and 18 digits; else MoneyError."""
    match = _AMOUNT.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        raise MoneyError("amount is not a plain decimal number")
    whole, decimals = match.group(1), match.group(2) or ""
    if len(decimals) > 4:
        raise MoneyError("amount has more than 4 decimals")
    if len(decimals) + (len(whole) if whole != "0" else 0) > MAX_DIGITS:
        raise MoneyError("amount has more than 18 digits")
    return int(whole) * SCALE + int((decimals + "0000")[:4])


def parse_positive(text: str) -> int:
    """Like `parse`, and zero is refused too."""
    units = parse(text)
    if units == 0:
        raise MoneyError("amount is not positive")
    return units


def text(units: int) -> str:
    """The shortest decimal string of `units`: "10", "0.5", "-10"."""
    if units < 0:
        return "-" + text(-units)
    whole, rest = divmod(units, SCALE)
    return f"{whole}{_FRACTIONS[rest]}"


def is_currency(code: str) -> bool:
    """True for three capital letters, as in ISO 4217."""
    return _CURRENCY.fullmatch(code) is not None
