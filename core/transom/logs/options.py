"""The values of `--log-opt`: checks that every driver needs, with Docker's words where Docker has some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from transom import sizes
from transom.errors import InvalidParameter, Unsupported

if TYPE_CHECKING:
    from transom.catalog import Shelf
    from transom.drivers.log import LogDriver

__all__ = [
    "check_log",
    "check_options",
    "parse_buffer_size",
    "parse_count",
    "parse_size",
    "parse_truth",
    "refuse_unknown",
]

_TRUTHS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
#: What every driver has: how the container's output reaches it, and whether what it writes is kept a second time.
_COMMON = ("mode", "max-buffer-size", "cache-disabled")
_CACHE = ("cache-max-size", "cache-max-file", "cache-compress")
_DEFAULT_BUFFER_SIZE = 1_000_000


def check_log(drivers: Shelf[LogDriver], name: str, options: Mapping[str, str]) -> None:
    """Check that there is a log driver, and that it takes the options. Raises `InvalidParameter`."""
    if name not in drivers.names():
        raise InvalidParameter(f"logger: no log driver named '{name}' is registered; {drivers.hint(name)}")
    check_options(drivers.get(name), options)


def check_options(driver: type[LogDriver], options: Mapping[str, str]) -> None:
    """Check all options of a log. Raises `InvalidParameter`, and `Unsupported` for a second copy of the log."""
    cache = [name for name in _CACHE if name in options]
    if not parse_truth("cache-disabled", options.get("cache-disabled", "true")):
        cache.append("cache-disabled=false")
    if cache:
        raise Unsupported(f"the log opt '{cache[0]}' is not supported: no second copy of a log is kept here")
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        parse_buffer_size(options)
    driver.check({name: value for name, value in options.items() if name not in _COMMON})


def refuse_unknown(options: Mapping[str, str], known: Collection[str], driver: str) -> None:
    """Raise `InvalidParameter` for the first option that the driver does not know."""
    for name in options:
        if name not in known:
            raise InvalidParameter(f"unknown log opt '{name}' for {driver} log driver")


def parse_buffer_size(options: Mapping[str, str]) -> int:
    """Return how many bytes may wait for the driver in the mode non-blocking; `1m` is 1048576 here."""
    if "max-buffer-size" not in options:
        return _DEFAULT_BUFFER_SIZE
    try:
        return sizes.parse_size(options["max-buffer-size"], 1024)
    except InvalidParameter as error:
        raise InvalidParameter(f"error parsing option max-buffer-size: {error}") from error


def parse_size(text: str) -> int:
    """Return the bytes of `max-size` as Docker reads it: `10m` is ten million. Raises `InvalidParameter`."""
    size = sizes.parse_size(text, 1000)
    if size <= 0:
        raise InvalidParameter("max-size must be a positive number")
    return size


def parse_count(text: str) -> int:
    """Return the number of `max-file`. Raises `InvalidParameter`."""
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameter(f"invalid max-file {text!r}: it should be a whole number")
    if int(text) < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    return int(text)


def parse_truth(option: str, text: str) -> bool:
    """Return a boolean option's value. Raises `InvalidParameter`."""
    if text.lower() not in _TRUTHS:
        raise InvalidParameter(f"invalid value {text!r} for {option}: it should be true or false")
    return _TRUTHS[text.lower()]
