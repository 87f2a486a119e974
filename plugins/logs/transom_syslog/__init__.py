"""The log driver `syslog`: each line is a message for a syslog server, here or elsewhere."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import LogDriver

__all__ = ["transom_logdrivers"]


@hookimpl
def transom_logdrivers() -> list[type[LogDriver]]:
    from transom_syslog.driver import SyslogDriver

    return [SyslogDriver]
