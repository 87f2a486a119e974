"""The log driver `none`: what a container writes is kept nowhere."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import LogDriver

__all__ = ["transom_logdrivers"]


@hookimpl
def transom_logdrivers() -> list[type[LogDriver]]:
    from transom_nolog.driver import NoLogDriver

    return [NoLogDriver]
