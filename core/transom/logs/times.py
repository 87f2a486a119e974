"""Times in logs: RFC 3339 with up to nine digits of the second, in UTC where they are written."""

from __future__ import annotations

import functools
import time

__all__ = ["format_second", "parse_time"]


def format_second(second: int) -> str:
    """Return a second since the epoch as RFC 3339 without a fraction and zone, for those to follow."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=4)
def _seconds(second: str, zone: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(second + ("+00:00" if zone in ("Z", "z") else zone)).timestamp())


@functools.lru_cache(maxsize=64)
def parse_time(text: str) -> int:
    """Return nanoseconds since the epoch. Raises `ValueError`. What was written together has one time."""
    rest = text[19:]
    zone = rest.lstrip(".0123456789")
    fraction = rest[1 : len(rest) - len(zone)]
    return _seconds(text[:19], zone) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
