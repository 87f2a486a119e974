"""The log driver `journald`: logs are in the machine's journal, with Docker's fields."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import LogDriver

__all__ = ["transom_logdrivers"]


@hookimpl
def transom_logdrivers() -> list[type[LogDriver]]:
    from transom_journald.driver import JournaldDriver

    return [JournaldDriver]
