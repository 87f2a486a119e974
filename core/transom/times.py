"""Times and durations as people write them, in Go's notation. In the engine both are whole nanoseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["SECOND", "format_moment", "parse_duration", "parse_moment"]

SECOND: Final = 10**9

_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
}  # fmt: skip
_TERM: Final = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DATE: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:T(?P<minutes>\d\d:\d\d)(?::(?P<seconds>\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?)?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_UNIX: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)
#: The longest duration that Go has, 292 years.
_LONGEST: Final = 2**63 - 1


def format_moment(moment: int) -> str:
    """Return a time as RFC 3339 in UTC, with as many digits of the second as it needs."""
    seconds, rest = divmod(moment, SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def parse_duration(text: str) -> int:
    """Return a duration such as `1h30m`, `1.5s` or `-10ms` in nanoseconds. Raises `InvalidParameter`."""
    body = text[1:] if text[:1] in ("+", "-") else text
    total, position = 0, 0
    while match := _TERM.match(body, position):
        whole, fraction, unit = match.groups()
        if not whole and not fraction:
            break
        total += int(whole or 0) * _UNITS[unit] + int(fraction or 0) * _UNITS[unit] // 10 ** len(fraction or "")
        position = match.end()
    if (not position and body != "0") or (position != len(body) and body != "0") or total > _LONGEST:
        raise InvalidParameter(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def parse_moment(text: str, now: int | None = None) -> int:
    """Return a time in nanoseconds since the epoch.

    It is written as Unix seconds, as an RFC 3339 time or a part of it (in local time where it has no zone), or
    as a duration before `now`. Raises `InvalidParameter`.
    """
    if match := _UNIX.fullmatch(text):
        return int(match[1]) * SECOND + _fraction(match[2])
    if match := _DATE.fullmatch(text):
        clock = f"{match['minutes'] or '00:00'}:{match['seconds'] or '00'}{match['zone'] or ''}"
        try:
            moment = datetime.fromisoformat(f"{match['date']}T{clock}")
            return int(moment.timestamp()) * SECOND + _fraction(match["fraction"])
        except (ValueError, OverflowError):
            pass
    try:
        return (time.time_ns() if now is None else now) - parse_duration(text)
    except InvalidParameter:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"') from None


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))
