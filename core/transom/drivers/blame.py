"""Whose failure an error is that nobody expected."""

from __future__ import annotations

import traceback

from transom.drivers.base import Driver

__all__ = ["find_driver"]


def find_driver(error: BaseException) -> str:
    """Return the driver that an error comes out of, with the method that was called, empty if it is none's."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self") or frame.f_locals.get("cls")
        kind = owner if isinstance(owner, type) else type(owner)
        if issubclass(kind, Driver) and not frame.f_code.co_name.startswith("_"):
            return f"the {kind.kind} driver {kind.name!r} failed in {frame.f_code.co_name}"
    return ""
