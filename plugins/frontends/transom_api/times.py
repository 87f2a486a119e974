"""Times and durations as Docker's API has them. In the engine a time is nanoseconds since the epoch, and 0 never."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from transom.errors import InvalidParameter
from transom.times import format_moment

__all__ = ["fixed_time", "format_time", "human_duration", "parse_time"]

_NEVER = "0001-01-01T00:00:00Z"
_SECOND = 1_000_000_000
_UNIX = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?\Z")
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-]\d{2}:\d{2}))\Z", re.ASCII
)


def format_time(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with as many digits of the second as it needs; 0 is Go's zero time."""
    return _NEVER if nanoseconds == 0 else format_moment(nanoseconds)


def fixed_time(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with nine digits of the second, as log lines have it."""
    seconds, rest = divmod(nanoseconds, _SECOND)
    return f"{_seconds(seconds)}.{rest:09d}Z"


def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str, name: str) -> int | None:
    """Return a parameter's time: Unix seconds with an optional fraction, or RFC 3339. None if it is empty or 0.

    Raises `InvalidParameter` with the parameter's name.
    """
    if not text:
        return None
    match = _UNIX.match(text)
    if match:
        nanoseconds = int(match[1]) * _SECOND + _fraction(match[2])
        return nanoseconds or None
    match = _RFC3339.match(text)
    if match:
        try:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[5] or '+00:00'}")
        except ValueError:
            pass
        else:
            return int(moment.timestamp()) * _SECOND + _fraction(match[3])
    raise InvalidParameter(
        f"invalid value {text!r} for {name}: it should be seconds since the epoch, as 1700000000.5, or a time as"
        " 2023-11-14T22:13:20Z"
    )


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def human_duration(seconds: float) -> str:
    """Return a duration as `docker ps` words it: "About an hour"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, divisor, unit in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < limit:
            return f"{hours // divisor} {unit}"
    return f"{int(seconds / 3600) // 8760} years"
