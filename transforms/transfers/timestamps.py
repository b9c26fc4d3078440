"""ISO 8601 date-times to and from milliseconds since the epoch, in integers only."""

from __future__ import annotations

import re
from datetime import date

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_LAST_MS = (date(9999, 12, 31).toordinal() - _EPOCH_DAY + 1) * _DAY_MS - 1

# FSPIOP data model, DateTime: a zone is required; fractions may be shorter or longer than milliseconds.
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def parse_ms(text: str) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 date-time with a zone (finer fractions cut off), or None."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    ms = days * _DAY_MS + (int(hour) * 3600 + int(minute) * 60 + int(second)) * 1000
    if fraction:
        ms += int((fraction + "00")[:3])
    if sign:
        zone = (int(zone_hour) * 60 + int(zone_minute)) * 60_000
        ms += -zone if sign == "+" else zone
    return ms


def iso(ms: int) -> str:
    """The UTC date-time of `ms` as in 2026-01-01T00:00:00.000Z; times outside the years 1970 to 9999 are clamped."""
    ms = min(max(ms, 0), _LAST_MS)
    days, rest = divmod(ms, _DAY_MS)
    seconds, milli = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{date.fromordinal(_EPOCH_DAY + days).isoformat()}T{hour:02d}:{minute:02d}:{second:02d}.{milli:03d}Z"


class Clock:
    """`iso` and `parse_ms` for times close to each other: the part down to the second is remembered."""

    def __init__(self) -> None:
        self._second: int | None = None
        self._text = ""
        self._parsed: dict[str, int] = {}

    def iso(self, ms: int) -> str:
        """As the function `iso`."""
        second, milli = divmod(ms, 1000)
        if second != self._second:
            self._text = iso(second * 1000)[:20]
            self._second = second
            if not 0 <= ms <= _LAST_MS:
                self._second = None
                return iso(ms)
        return f"{self._text}{milli:03d}Z"

    def parse_ms(self, text: str) -> int | None:
        """As the function `parse_ms`."""
        if len(text) == 24 and text[19] == "." and text[23] == "Z":
            second = self._parsed.get(text[:19])
            milli = text[20:23]
            if second is not None and milli.isdecimal() and milli.isascii():
                return second + int(milli)
            ms = parse_ms(text)
            if ms is not None:
                if len(self._parsed) >= 4096:
                    self._parsed.clear()
                self._parsed[text[:19]] = ms - int(milli)
            return ms
        return parse_ms(text)
