"""Logs that a syslog server keeps; its options are Docker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transom.drivers.log import LogDriver, LogWriter
from transom.logs.attributes import ATTRIBUTE_OPTIONS, check_attributes, tag_of
from transom.logs.options import refuse_unknown

__all__ = ["SyslogDriver"]

_OPTIONS = (
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
)


class SyslogDriver(LogDriver):
    """The log driver `syslog`."""

    name: ClassVar[str] = "syslog"
    readable: ClassVar[bool] = False
    waits: ClassVar[bool] = True
    limits: ClassVar[tuple[str, ...]] = ("Logs cannot be read.",)

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        from transom_syslog.address import parse_address
        from transom_syslog.messages import parse_facility, parse_format

        refuse_unknown(options, (*_OPTIONS, *ATTRIBUTE_OPTIONS), cls.name)
        parse_address(options)
        parse_facility(options)
        parse_format(options)
        check_attributes(options)

    def open(self) -> LogWriter:
        from transom_syslog.address import parse_address
        from transom_syslog.connection import Connection
        from transom_syslog.messages import make_formatter
        from transom_syslog.writer import SyslogWriter

        address = parse_address(self.options)
        formatter = make_formatter(self.options, tag_of(self.container, self.options, "{{.ID}}"), address)
        return SyslogWriter(Connection(address), formatter)
