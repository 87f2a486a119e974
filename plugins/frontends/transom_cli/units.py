"""Sizes and durations as people read them, in the words and roundings of Docker."""

from __future__ import annotations

__all__ = ["binary_size", "decimal_size", "human_duration"]


def decimal_size(size: float, digits: int = 4) -> str:
    """Return a number of bytes in powers of 1000, with so many significant digits: `1.984MB`."""
    return _scale(size, 1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"), digits)


def binary_size(size: float) -> str:
    """Return a number of bytes in powers of 1024, with four significant digits: `23.54GiB`."""
    return _scale(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"), 4)


def _scale(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    index = 0
    while size >= base and index < len(units) - 1:
        size /= base
        index += 1
    return f"{size:.{digits}g}{units[index]}"


def human_duration(seconds: float) -> str:
    """Return a length of time in its largest sensible unit: `About an hour`, `3 weeks`."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    for limit, count, unit in (
        (60, whole, "seconds"),
        (2 * 60, 0, "About a minute"),
        (60 * 60, minutes, "minutes"),
    ):
        if whole < limit:
            return f"{count} {unit}" if count else unit
    if hours == 1:
        return "About an hour"
    for hours_limit, divisor, unit in (
        (48, 1, "hours"),
        (24 * 7 * 2, 24, "days"),
        (24 * 30 * 2, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < hours_limit:
            return f"{hours // divisor} {unit}"
    return f"{int(seconds) // 3600 // 24 // 365} years"
