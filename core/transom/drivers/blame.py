"""Whose failure an error is that nobody expected, and an answer that no contract has."""

from __future__ import annotations

import traceback
from typing import TypeVar

from transom.drivers.base import Driver
from transom.drivers.log import LogReader
from transom.errors import DriverFailed, TransomError

__all__ = ["describe", "expect", "find_driver"]

T = TypeVar("T")


def find_driver(error: BaseException) -> str:
    """Return the driver that an error comes out of, with the method that was called, empty if it is none's."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self") or frame.f_locals.get("cls")
        kind = owner if isinstance(owner, type) else type(owner)
        method = frame.f_code.co_name
        if issubclass(kind, Driver) and (not method.startswith("_") or method == "__init__"):
            return _failure(kind, method)
        if issubclass(kind, LogReader):
            return f"the reader of logs {kind.__module__}.{kind.__qualname__} failed in {method}"
    return ""


def describe(error: BaseException) -> str:
    """Return what an error says to a user, with the driver and the method where it is a driver's failure."""
    if isinstance(error, TransomError):
        return str(error)
    blame = find_driver(error)
    return f"{blame}: {type(error).__name__}: {error}" if blame else str(error)


def expect(driver: Driver, method: str, kind: type, answer: T) -> T:
    """Return what a driver's method answered. Raises `DriverFailed` if that is not of the kind that it should be."""
    if not isinstance(answer, kind):
        raise DriverFailed(f"{_failure(type(driver), method)}: it returned {answer!r}, which is no {kind.__name__}")
    return answer


def _failure(driver: type[Driver], method: str) -> str:
    return f"the {driver.kind} driver {driver.name!r} failed in {method}"
