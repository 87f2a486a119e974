"""No log. Attached clients see what the container writes; nobody sees it later."""

from __future__ import annotations

from typing import ClassVar

from transom.drivers.log import LogDriver, LogWriter

__all__ = ["NoLogDriver"]


class NoLogDriver(LogDriver):
    """The log driver `none`. It takes every option, as Docker's does, so that a daemon's defaults fit it."""

    name: ClassVar[str] = "none"
    readable: ClassVar[bool] = False
    limits: ClassVar[tuple[str, ...]] = ("Logs cannot be read.",)

    def open(self) -> LogWriter:
        return _NoLog()


class _NoLog(LogWriter):
    def write(self, stream: str, data: bytes, time: int) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing is held back."""
