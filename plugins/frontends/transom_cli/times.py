"""Points in time: what `--since` and `--until` accept, and how times are shown."""

from __future__ import annotations

import re
import time

__all__ = ["duration_seconds", "local_time", "nanosecond_time", "parse_time", "second_time", "timestamp"]

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII)
_UNIX = re.compile(r"\d+(\.\d{1,9})?", re.ASCII)


def duration_seconds(text: str) -> float:
    """Return a duration in Go's notation (`1h30m`, `-2.5s`) in seconds. Raises `ValueError`."""
    body = text.lstrip("+-")
    if body == "0":
        return 0.0
    terms = _TERM.findall(body)
    if not terms or len(text) - len(body) > 1 or "".join(number + unit for number, unit in terms) != body:
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in terms)
    return -seconds if text.startswith("-") else seconds


def timestamp(text: str, now: float | None = None) -> str:
    """Return what a person wrote as the API's time, seconds of the Unix epoch with their fraction.

    Accepted are a duration before now (`10m`), an RFC 3339 time or a part of it in local time, and a Unix
    time. Raises `ValueError`.
    """
    from datetime import datetime  # only where a time is given: it is a fifth of what `ps` imports

    if _UNIX.fullmatch(text) and text != "0":
        return text
    try:
        seconds = (time.time() if now is None else now) - duration_seconds(text)
        return f"{seconds:.9f}"
    except ValueError:
        pass
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f'failed to parse value as time or duration: "{text}"')
    date, minutes, seconds_text, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes or '00:00'}:{seconds_text or '00'}{zone or ''}")
    except ValueError:
        raise ValueError(f'failed to parse value as time or duration: "{text}"') from None
    return f"{int(moment.timestamp())}.{(fraction or '.')[1:]:0<9}"


def parse_time(text: str) -> float:
    """Return an RFC 3339 time with any number of digits in its fraction as seconds of the Unix epoch."""
    return float(timestamp(text))


def local_time(seconds: float) -> str:
    """Return a time of the Unix epoch as `2026-01-31 23:59:59 +0100 CET`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def nanosecond_time(nanoseconds: int) -> str:
    """Return nanoseconds of the Unix epoch as a local RFC 3339 time with nine digits."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return _rfc3339(seconds, f".{rest:09d}")


def second_time(seconds: int) -> str:
    """Return seconds of the Unix epoch as a local RFC 3339 time without a fraction."""
    return _rfc3339(seconds, "")


def _rfc3339(seconds: int, fraction: str) -> str:
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}{fraction}{shown}"
