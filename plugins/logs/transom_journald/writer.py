"""Writing a log: an entry of the journal for each line, and for each part of one that is too long."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Mapping
from pathlib import Path

from transom.drivers.log import LogWriter
from transom.logs.lines import Lines, Piece
from transom.logs.times import format_second
from transom_journald.native import Journal, encode_field

__all__ = ["JournaldWriter"]

#: Standard output is information, standard error an error (syslog(3)).
_PRIORITIES = {"stdout": b"6", "stderr": b"3"}


class JournaldWriter(LogWriter):
    """An open log. `fields` are those that each of its entries has."""

    def __init__(self, path: Path, fields: Mapping[str, str]) -> None:
        self._journal = Journal(path)
        self._lines = Lines()
        # As Docker's: which run of the container an entry is of, and the entry's number there.
        common = {**fields, "CONTAINER_LOG_EPOCH": os.urandom(32).hex()}
        self._common = b"".join(encode_field(name, value.encode()) for name, value in common.items() if name)
        self._count = 0

    def write(self, stream: str, data: bytes, time: int) -> None:
        for piece in self._lines.take(stream, data):
            self._send(stream, piece, time)

    def close(self) -> None:
        try:
            for stream, piece in self._lines.rest():
                self._send(stream, piece, clock.time_ns())
            self._journal.synchronize()
        finally:
            self._journal.close()

    def _send(self, stream: str, piece: Piece, time: int) -> None:
        self._count += 1
        fields = {
            "MESSAGE": piece.line,
            "PRIORITY": _PRIORITIES[stream],
            "SYSLOG_TIMESTAMP": _timestamp(time),
            "CONTAINER_LOG_ORDINAL": b"%d" % self._count,
        }
        if piece.id:
            fields["CONTAINER_PARTIAL_ID"] = piece.id.encode()
            fields["CONTAINER_PARTIAL_ORDINAL"] = b"%d" % piece.ordinal
            fields["CONTAINER_PARTIAL_LAST"] = b"true" if piece.last else b"false"
            if not piece.last:
                fields["CONTAINER_PARTIAL_MESSAGE"] = b"true"
        self._journal.send(b"".join(encode_field(name, value) for name, value in fields.items()) + self._common)


def _timestamp(time: int) -> bytes:
    second, rest = divmod(time, 1_000_000_000)
    return f"{format_second(second)}{f'.{rest:09d}'.rstrip('0') if rest else ''}Z".encode()
