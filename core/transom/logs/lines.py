"""From pieces of output to lines: what one read of a stream brings may end anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LONGEST", "Lines", "Piece", "Streams", "cut"]

#: A longer line becomes several entries, of which only the last ends with a newline.
LONGEST = 16 << 10


def cut(data: bytes, start: int) -> int:
    """Return where to cut a line that is too long, after `start`: not inside a character of UTF-8."""
    end = start + LONGEST
    for earlier in range(end, end - 4, -1):
        if data[earlier] & 0xC0 != 0x80:
            return earlier
    return end


class Streams:
    """Holds back the unfinished line of each stream, so that what is taken from here are whole lines or long parts."""

    def __init__(self) -> None:
        self._unfinished: dict[str, bytes] = {}

    def take(self, stream: str, data: bytes) -> bytes:
        """Take a piece of a stream; return the lines that it completes, and of a line that is too long whole parts."""
        before = self._unfinished.pop(stream, None)
        if before is not None:
            data = before + data
        end = data.rfind(b"\n") + 1
        if end < len(data):
            rest = data[end:]
            whole = 0
            while len(rest) - whole > LONGEST:
                whole = cut(rest, whole)
            self._unfinished[stream] = rest[whole:]
            data = data[: end + whole]
        return data

    def rest(self) -> list[tuple[str, bytes]]:
        """Return each stream's unfinished line; it will not be finished any more."""
        unfinished, self._unfinished = self._unfinished, {}
        return list(unfinished.items())


class Piece(NamedTuple):
    """A line without its newline, or a part of one that is too long.

    Parts have the same `id`, numbers from 1 in `ordinal`, and `last` on the part that ends the line. A whole line has
    an empty `id`.
    """

    line: bytes
    id: str = ""
    ordinal: int = 0
    last: bool = True


class Lines:
    """Takes a container's output apart, for logs that keep each line by itself."""

    def __init__(self) -> None:
        self._streams = Streams()
        #: The ID of the long line that a stream is in, and how many of its parts there were.
        self._parts: dict[str, tuple[str, int]] = {}

    def take(self, stream: str, data: bytes) -> list[Piece]:
        """Take a piece of a stream and return the lines, or parts, that are complete."""
        return list(self._pieces(stream, self._streams.take(stream, data)))

    def rest(self) -> list[tuple[str, Piece]]:
        """Return the unfinished lines, as parts without a last one, as Docker has them."""
        return [(stream, self._part(stream, data, last=False)) for stream, data in self._streams.rest()]

    def _pieces(self, stream: str, data: bytes) -> Iterator[Piece]:
        if not data:
            return
        *lines, unfinished = data.split(b"\n")
        for line in lines:
            start = 0
            while len(line) - start > LONGEST:
                end = cut(line, start)
                yield self._part(stream, line[start:end], last=False)
                start = end
            if start or stream in self._parts:
                yield self._part(stream, line[start:], last=True)
            else:
                yield Piece(line)
        start = 0
        while start < len(unfinished):
            end = cut(unfinished, start) if len(unfinished) - start > LONGEST else len(unfinished)
            yield self._part(stream, unfinished[start:end], last=False)
            start = end

    def _part(self, stream: str, line: bytes, *, last: bool) -> Piece:
        name, count = self._parts.get(stream) or (os.urandom(32).hex(), 0)
        if last:
            self._parts.pop(stream, None)
        else:
            self._parts[stream] = name, count + 1
        return Piece(line, name, count + 1, last)
