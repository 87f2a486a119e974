"""Reading a log from the journal, with `journalctl`: each look at it is one run, from the entry on that was last read.

Its output has the Journal Export Format (https://systemd.io/JOURNAL_EXPORT_FORMATS/): lines `NAME=value`, or the name,
a length of eight bytes and the value where that has any bytes; an empty line ends an entry.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transom.drivers.log import Entry, LogReader
from transom.errors import Unavailable
from transom.logs.times import parse_time

__all__ = ["JournalReader", "decode", "parse_export"]

_DIRECTORIES = (Path("/run/log/journal"), Path("/var/log/journal"))
_LENGTH = struct.Struct("<Q")
#: A journal has no longer fields (DATA_SIZE_MAX of journald).
_LONGEST_FIELD = 768 << 20
_STREAMS = {b"6": "stdout", b"3": "stderr"}
#: Fields that are not what a log's options ask for; nor are those that begin with an underscore.
_KNOWN = frozenset(
    (
        *("MESSAGE", "MESSAGE_ID", "PRIORITY", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "ERRNO"),
        *("SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "SYSLOG_TIMESTAMP", "IMAGE_NAME"),
        *("CONTAINER_NAME", "CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_TAG"),
        *("CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_ID", "CONTAINER_PARTIAL_ORDINAL", "CONTAINER_PARTIAL_LAST"),
        *("CONTAINER_LOG_EPOCH", "CONTAINER_LOG_ORDINAL"),
    )
)


class JournalReader(LogReader):
    """A place in the journal, as far as one container is concerned."""

    def __init__(self, container: str, *, since: int | None, tail: int | None) -> None:
        self._container = container
        self._since = since
        self._tail = tail
        self._cursor = ""
        machine = _machine_id()
        self.watched = tuple(path for base in _DIRECTORIES if (path := base / machine).is_dir())

    def read(self) -> Iterator[Entry]:
        # For no line, the last one is looked at all the same: what follows it comes next.
        skip = not self._cursor and self._tail == 0
        process = self._run()
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for fields in parse_export(process.stdout):
                self._cursor = fields.get("__CURSOR", b"").decode()
                entry = decode(fields)
                if entry is not None and not skip:
                    yield entry
            complaint = process.stderr.read().decode(errors="replace").strip()
            if process.wait() and complaint:
                raise Unavailable(f"the journal cannot be read: {complaint}")
            self._tail = None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def _run(self) -> subprocess.Popen[bytes]:
        command = ["journalctl", "--quiet", "--output=export", "--all"]
        if self._cursor:
            command.append(f"--after-cursor={self._cursor}")
        elif self._tail is not None:
            command.append(f"--lines={max(self._tail, 1)}")
        elif self._since is not None:
            command.append(f"--since=@{self._since // 1_000_000_000}")
        try:
            return subprocess.Popen(
                [*command, f"CONTAINER_ID_FULL={self._container}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise Unavailable("the journal cannot be read: journalctl is not installed") from error


def parse_export(stream: IO[bytes]) -> Iterator[dict[str, bytes]]:
    """Yield the fields of each entry. What is no entry, or not a whole one, is left out."""
    fields: dict[str, bytes] = {}
    while line := stream.readline():
        if not line.endswith(b"\n"):
            return
        name, separator, value = line[:-1].partition(b"=")
        if not name:
            if fields:
                yield fields
            fields = {}
            continue
        if not separator:
            head = stream.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return
            (length,) = _LENGTH.unpack(head)
            if length > _LONGEST_FIELD:
                return
            value = stream.read(length)
            if stream.read(1) != b"\n":
                return
        fields[name.decode("ascii", "replace")] = value
    if fields:
        yield fields


def decode(fields: dict[str, bytes]) -> Entry | None:
    """Return the entry that fields are, or None if they are none of a log."""
    message = fields.get("MESSAGE")
    stream = _STREAMS.get(fields.get("PRIORITY", b""))
    if message is None or stream is None:
        return None
    try:
        time = parse_time(fields["SYSLOG_TIMESTAMP"].decode())
    except (KeyError, ValueError):
        microseconds = fields.get("__REALTIME_TIMESTAMP", b"")
        if not microseconds.isdigit() or len(microseconds) > 18:
            return None
        time = int(microseconds) * 1000
    attributes = {
        name: value.decode("utf-8", "replace")
        for name, value in fields.items()
        if not name.startswith("_") and name not in _KNOWN
    }
    line = message if fields.get("CONTAINER_PARTIAL_MESSAGE") == b"true" else message + b"\n"
    return Entry(time, stream, line, attributes)


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip() or "unknown"
    except OSError:
        return "unknown"
