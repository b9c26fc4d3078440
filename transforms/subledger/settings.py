"""What a request's rows are read and posted with; nothing else decides, so equal settings give equal entries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from transforms.subledger.currencies import ISO_4217
from transforms.subledger.errors import SubledgerError
from transforms.subledger.fields import SOURCE

LotMethod = Literal["FIFO", "AVERAGE"]
LOT_METHODS: Final = ("FIFO", "AVERAGE")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one request, which is of one tenant and entity."""

    tenant: str
    entity: str
    base_currency: str
    rules_text: str
    """YAML; `transforms.subledger.rules.parse_rules` reads it."""
    periods: tuple[tuple[int, bool], ...]
    """Accounting periods (yyyymm) and whether each is open; one that is not there is not open."""
    request_id: int
    source: str = SOURCE
    lot_method: LotMethod = "FIFO"
    max_reject_share: float = 0.01
    """Share of the rows of a request that may be rejected before it fails; duplicates do not count."""
    digits: Mapping[str, int] = field(default_factory=lambda: dict(ISO_4217))
    """Digits after the point by currency; a currency that is not there is rejected."""

    def __post_init__(self) -> None:
        for name in ("tenant", "entity", "source"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise SubledgerError(
                    f"{name} {getattr(self, name)!r}: letters, digits and _ . : -, a letter or digit first, 63 at most"
                )
        if self.base_currency not in self.digits:
            raise SubledgerError(f"base currency {self.base_currency!r} is none of ISO 4217")
        if self.lot_method not in LOT_METHODS:
            raise SubledgerError(f"lot method {self.lot_method!r}: one of {', '.join(LOT_METHODS)}")
        if not 0 <= self.max_reject_share <= 1:
            raise SubledgerError(f"max_reject_share {self.max_reject_share}: from 0 to 1")
        for period, _ in self.periods:
            if not (190001 <= period <= 999912 and 1 <= period % 100 <= 12):
                raise SubledgerError(f"period {period}: year and month as in 202601")
        for currency, digits in self.digits.items():
            if not re.fullmatch("[A-Z]{3}", currency) or not 0 <= digits <= 4:
                raise SubledgerError(f"currency {currency!r}, {digits} digits: three capital letters and 0 to 4")

    def to_json(self) -> str:
        """The settings as one JSON object."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that `to_json` wrote. Raises SubledgerError, TypeError."""
        found: dict[str, Any] = json.loads(text)
        found["periods"] = tuple((int(period), bool(is_open)) for period, is_open in found["periods"])
        return cls(**found)
