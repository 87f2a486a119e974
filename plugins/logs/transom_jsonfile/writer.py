"""Writing a log. Everything that a container prints goes through here, so it is done in as few steps as
there are.

The bytes of one read are decoded, escaped and framed as a whole, however many lines they have, and written
with one system call.
"""

from __future__ import annotations

import os
import time as clock
from collections.abc import Mapping
from json.encoder import encode_basestring
from pathlib import Path

from transom.drivers.log import LogWriter
from transom.logs.files import LogFile, Rotation
from transom.logs.lines import LONGEST, Streams, cut
from transom.logs.times import format_second

__all__ = ["JsonFileWriter"]

_HEAD = '{"log":"'
_CHUNK = 64 << 10


class JsonFileWriter(LogWriter):
    """An open log. Lines of different streams are kept apart; an unfinished line waits for its end."""

    def __init__(self, path: Path, rotation: Rotation, attributes: Mapping[str, str]) -> None:
        self._file = LogFile(path, rotation, whole_length, _next_end)
        self._streams = Streams()
        self._attributes = _encode_attributes(attributes)
        self._second = 0
        self._stamp = ""

    def write(self, stream: str, data: bytes, time: int) -> None:
        data = self._streams.take(stream, data)
        if data:
            self._file.write(_encode(data, self._tail(stream, time)))

    def close(self) -> None:
        try:
            for stream, line in self._streams.rest():
                self._file.write(_encode(line, self._tail(stream, clock.time_ns())))
        finally:
            self._file.close()

    def _tail(self, stream: str, time: int) -> str:
        """Return what follows the text of an entry."""
        second, nanosecond = divmod(time, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._stamp = format_second(second)
        return f'","stream":"{stream}",{self._attributes}"time":"{self._stamp}.{nanosecond:09d}Z"}}\n'


def _encode_attributes(attributes: Mapping[str, str]) -> str:
    if not attributes:
        return ""
    pairs = (f"{encode_basestring(name)}:{encode_basestring(attributes[name])}" for name in sorted(attributes))
    return f'"attrs":{{{",".join(pairs)}}},'


def whole_length(file: int) -> int:
    """Return the length of a file without the unfinished entry that a writer left which was killed."""
    end = os.fstat(file).st_size
    while end:
        start = max(end - _CHUNK, 0)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _next_end(entries: bytes, position: int) -> int:
    return entries.find(b"\n", max(position - 1, 0)) + 1 or len(entries)


def _encode(data: bytes, tail: str) -> bytes:
    """Return the entries of lines, the last of which may be unfinished."""
    if len(data) > LONGEST and (pieces := _pieces(data)):
        return b"".join(_encode_lines(piece, tail) for piece in pieces)
    return _encode_lines(data, tail)


def _encode_lines(data: bytes, tail: str) -> bytes:
    text: str = encode_basestring(data.decode("utf-8", "replace"))[1:-1]
    # Only a newline becomes \n, but an escaped backslash before an n looks the same: it steps aside
    # meanwhile. No escaped text has a NUL.
    backslashes = "\\\\" in text
    if backslashes:
        text = text.replace("\\\\", "\0")
    ended = text.endswith("\\n")
    text = text.replace("\\n", f"\\n{tail}{_HEAD}")
    text = _HEAD + (text[: -len(_HEAD)] if ended else text + tail)
    if backslashes:
        text = text.replace("\0", "\\\\")
    return text.encode("utf-8", "replace")


def _pieces(data: bytes) -> list[bytes]:
    """Split lines so that no piece has a part of a line that is too long; an empty list means no need to."""
    pieces = []
    start = position = 0
    while len(data) - position > LONGEST:
        newline = data.rfind(b"\n", position, position + LONGEST + 1)
        if newline >= 0:
            position = newline + 1
            continue
        end = cut(data, position)
        pieces.append(data[start:end])
        start = position = end
    if pieces:
        pieces.append(data[start:])
    return pieces
