"""Writing a log: a message for each line, and for each part of one that is too long."""

from __future__ import annotations

import time as clock

from transom.drivers.log import LogWriter
from transom.logs.lines import Lines
from transom_syslog.connection import Connection
from transom_syslog.messages import Formatter

__all__ = ["SyslogWriter"]


class SyslogWriter(LogWriter):
    """An open log."""

    def __init__(self, connection: Connection, formatter: Formatter) -> None:
        self._connection = connection
        self._format = formatter
        self._lines = Lines()

    def write(self, stream: str, data: bytes, time: int) -> None:
        pieces = self._lines.take(stream, data)
        if pieces:
            self._connection.send([self._format(stream, time, piece.line) for piece in pieces])

    def close(self) -> None:
        try:
            rest = [self._format(stream, clock.time_ns(), piece.line) for stream, piece in self._lines.rest()]
            if rest:
                self._connection.send(rest)
        finally:
            self._connection.close()
