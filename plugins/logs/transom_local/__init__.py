"""The log driver `local`: Docker's compact format, with rotation and compression unless told otherwise."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import LogDriver

__all__ = ["transom_logdrivers"]


@hookimpl
def transom_logdrivers() -> list[type[LogDriver]]:
    from transom_local.driver import LocalDriver

    return [LocalDriver]
