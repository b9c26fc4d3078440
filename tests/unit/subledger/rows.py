"""Random rows of a few instruments: everything that an event can be, and much that it should not be."""

from __future__ import annotations

from random import Random

from transforms.subledger.fields import CLASSES

RATES = {"EUR": "0.9", "USD": "", "JPY": "0.0071", "KWD": "3.25"}
"""Base units (USD) for one."""


def random_rows(seed: int, count: int, first: int = 1, known: int | None = None) -> list[dict[str, str]]:
    """Rows with source ids from `first` on; they refer to those before, from `known` on."""
    random = Random(seed)
    return [_row(random, number, known or first) for number in range(first, first + count)]


def _row(random: Random, number: int, known: int) -> dict[str, str]:
    event_class = random.choices(CLASSES, (30, 22, 3, 2, 3, 2, 6, 18, 8))[0]
    instrument = random.choice(["AA", "AA", "BB", "CC"]) if event_class not in ("INCOME", "FEE", "FX", "SETTLE") else ""
    currency = random.choice(["USD", "USD", "EUR"]) if instrument == "AA" else "JPY" if instrument == "BB" else "KWD"
    if not instrument:
        currency = random.choice(list(RATES))
    row = {
        "source_id": str(number), "version": "1", "event_class": event_class, "entity": "ACME-EQ",
        "trade_date": f"2026-0{random.choice('112')}-{random.randrange(1, 20):02d}",
        "account_ref": "EQ1" if instrument else "CASH1", "instrument": instrument, "currency": currency,
        "fx_rate": RATES[currency],
    }  # fmt: skip
    if event_class in ("CANCEL", "CORRECT"):
        # Mostly later than what they refer to, by date and by number; a few refer to what comes after them.
        row["reference"] = str(random.randrange(known, max(number, known + 1) + (random.random() < 0.05) * 3))
        if random.random() < 0.8:
            row["trade_date"] = f"2026-02-{20 + min(8, number // 45)}"
    if event_class == "CANCEL":
        row |= {"currency": "", "fx_rate": ""}
    if event_class in ("BUY", "SELL", "CORRECT"):
        row["quantity"] = str(random.randrange(1, 60) if event_class == "BUY" else random.randrange(1, 40))
        row["price"] = f"{random.randrange(0, 4000) / 100 + 1:.3f}"
    if event_class == "REVALUE":
        row["price"] = f"{random.randrange(0, 6000) / 100:.2f}"
    if event_class in ("INCOME", "FEE", "FX", "SETTLE") or (event_class == "CORRECT" and random.random() < 0.3):
        row["amount"] = str(random.randrange(-500, 500))
    if event_class in ("BUY", "SELL", "INCOME", "CORRECT") and random.random() < 0.3:
        row |= {"fee": str(random.randrange(0, 20)), "fee_currency": random.choice([currency, "USD", ""])}
    return row
