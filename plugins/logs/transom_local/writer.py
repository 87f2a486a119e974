"""Writing a log: all lines of one read go into the file with one system call."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Mapping
from pathlib import Path

from transom.drivers.log import LogWriter
from transom.logs.files import LogFile, Rotation
from transom.logs.lines import Lines
from transom_local.format import LENGTH, LONGEST_MESSAGE, encode, encode_all, encode_attributes, encode_head

__all__ = ["LocalWriter"]


class LocalWriter(LogWriter):
    """An open log."""

    def __init__(self, path: Path, rotation: Rotation, attributes: Mapping[str, str]) -> None:
        self._file = LogFile(path, rotation, _whole_length, _next_end)
        self._attributes = encode_attributes(attributes)
        self._lines = Lines()

    def write(self, stream: str, data: bytes, time: int) -> None:
        pieces = self._lines.take(stream, data)
        if pieces:
            self._file.write(encode_all(encode_head(stream, time), pieces, self._attributes))

    def close(self) -> None:
        try:
            for stream, piece in self._lines.rest():
                self._file.write(encode(encode_head(stream, clock.time_ns()), piece, self._attributes))
        finally:
            self._file.close()


def _whole_length(file: int) -> int:
    """Return the length of a file without the unfinished record that a writer left which was killed.

    A file that is damaged in another way is left as it is: readers find what is whole in it.
    """
    size = os.fstat(file).st_size
    position = 0 if not _ends_with_record(file, size) else size
    while position < size:
        length = _length_at(file, position)
        following = position + length + 2 * LENGTH.size
        if following > size:
            return position if length <= LONGEST_MESSAGE or size - position < LENGTH.size else size
        if not _ends_with_record(file, following):
            return size
        position = following
    return size


def _ends_with_record(file: int, end: int) -> bool:
    if end == 0:
        return True
    length = _length_at(file, end - LENGTH.size)
    start = end - length - 2 * LENGTH.size
    return 0 < length <= LONGEST_MESSAGE and start >= 0 and _length_at(file, start) == length


def _length_at(file: int, position: int) -> int:
    data = os.pread(file, LENGTH.size, max(position, 0))
    return int(LENGTH.unpack(data)[0]) if len(data) == LENGTH.size else LONGEST_MESSAGE + 1


def _next_end(entries: bytes, position: int) -> int:
    end = 0
    while end < min(position, len(entries)) or not end:
        end += LENGTH.unpack_from(entries, end)[0] + 2 * LENGTH.size
    return end
