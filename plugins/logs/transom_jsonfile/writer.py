"""Writing a log. Everything that a container prints goes through here, so it is done in as few steps as
there are.

The bytes of one read are decoded, escaped and framed as a whole, however many lines they have, and written
with one system call.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING

from transom.drivers.log import LogWriter

if TYPE_CHECKING:
    from transom_jsonfile.driver import Options

__all__ = ["LONGEST", "JsonFileWriter"]

#: A longer line becomes several entries, of which only the last ends with a newline.
LONGEST = 16 << 10

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_HEAD = '{"log":"'


class JsonFileWriter(LogWriter):
    """An open log. Lines of different streams are kept apart; an unfinished line waits for its end."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options
        self._unfinished: dict[str, bytes] = {}
        self._second = 0
        self._stamp = ""
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, _FLAGS, 0o640)
        self._size = _whole(self._file)
        os.ftruncate(self._file, self._size)

    def write(self, stream: str, data: bytes) -> None:
        before = self._unfinished.pop(stream, None)
        if before is not None:
            data = before + data
        end = data.rfind(b"\n") + 1
        if end < len(data):
            rest = data[end:]
            # A line that is too long is written as far as it goes, in whole parts.
            whole = _last_cut(rest) if len(rest) > LONGEST else 0
            self._unfinished[stream] = rest[whole:]
            end += whole
            data = data[:end]
        if data:
            self._write(_encode(data, self._tail(stream)))

    def flush(self) -> None:
        for stream in tuple(self._unfinished):
            self._write(_encode(self._unfinished[stream], self._tail(stream)))
            del self._unfinished[stream]

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._file)

    def _tail(self, stream: str) -> str:
        """Return what follows the text of an entry that is written now."""
        second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f'","stream":"{stream}","time":"{self._stamp}.{nanosecond:09d}Z"}}\n'

    def _write(self, entries: bytes) -> None:
        limit = self._options.max_size
        if not limit:
            self._append(entries)
            return
        # A file takes entries until it has reached its size, as in Docker.
        start = 0
        while start < len(entries):
            if self._size >= limit:
                self._rotate()
            end = entries.find(b"\n", start + max(limit - self._size - 1, 0)) + 1 or len(entries)
            self._append(entries[start:end])
            start = end

    def _append(self, entries: bytes) -> None:
        written = os.write(self._file, entries)
        while written < len(entries):
            try:
                written += os.write(self._file, memoryview(entries)[written:])
            except OSError:
                # A full disk: what did not fit as a whole is not there at all.
                os.ftruncate(self._file, self._size)
                raise
        self._size += written

    def _rotate(self) -> None:
        from transom_jsonfile.rotation import rotate

        os.close(self._file)
        try:
            rotate(self._path, self._options)
        finally:
            self._open()


def _whole(file: int) -> int:
    """Return the length of a file without the unfinished entry that a writer left which was killed."""
    size = os.fstat(file).st_size
    end = size
    while end:
        start = max(end - LONGEST, 0)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


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
    return text.encode()


def _pieces(data: bytes) -> list[bytes]:
    """Split lines so that no piece has a part of a line that is too long; an empty list means no need to."""
    pieces = []
    start = position = 0
    while len(data) - position > LONGEST:
        newline = data.rfind(b"\n", position, position + LONGEST + 1)
        if newline >= 0:
            position = newline + 1
            continue
        cut = _cut(data, position)
        pieces.append(data[start:cut])
        start = position = cut
    if pieces:
        pieces.append(data[start:])
    return pieces


def _cut(data: bytes, start: int) -> int:
    """Return where to cut a line that is too long: not inside a character of UTF-8."""
    cut = start + LONGEST
    for earlier in range(cut, cut - 4, -1):
        if data[earlier] & 0xC0 != 0x80:
            return earlier
    return cut


def _last_cut(line: bytes) -> int:
    """Return how much of an unfinished line is whole parts of a line that is too long."""
    cut = 0
    while len(line) - cut > LONGEST:
        cut = _cut(line, cut)
    return cut
