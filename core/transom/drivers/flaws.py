"""What is wrong with what a plugin gives as a driver, as far as its class tells."""

from __future__ import annotations

import re

from transom.drivers.base import Driver
from transom.drivers.exec import ExecDriver
from transom.drivers.log import LogDriver
from transom.runtime.classes import find_class, name_of

__all__ = ["find_flaw"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def find_flaw(given: object, contract: type[Driver]) -> str:
    """Return why something is no driver of a contract, empty if it is one."""
    if not isinstance(given, type) or not issubclass(given, contract):
        return f"{given!r} is no class that derives from {contract.__module__}.{contract.__name__}"
    label = f"{given.__module__}.{given.__qualname__}"
    if missing := sorted(given.__abstractmethods__):
        return f"{label} lacks {', '.join(missing)}, which its contract demands"
    name = getattr(given, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{label} has the name {name!r}, where lower-case letters, digits and hyphens should be"
    if not isinstance(given.rank, int):
        return f"{label} has the rank {given.rank!r}, where a number should be"
    if issubclass(given, ExecDriver | LogDriver) and not _is_found(given):
        return f"{label} is not found by this name, as shims look for it: define it in its module"
    return ""


def _is_found(driver: type[Driver]) -> bool:
    try:
        return find_class(name_of(driver)) is driver
    except (ImportError, AttributeError):
        return False
