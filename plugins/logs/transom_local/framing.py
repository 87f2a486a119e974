"""How a log of records is read: where they begin and end, and what they say."""

from __future__ import annotations

import os
from collections import deque

from transom.drivers.log import Entry
from transom.logs.parts import Framing
from transom_local.format import LENGTH, LONGEST_MESSAGE, decode

__all__ = ["Records"]

_CHUNK = 256 << 10
_AROUND = 2 * LENGTH.size
_STREAMS = ("stdout", "stderr")
#: How every message begins: with the field `source`.
_MARK = b"\x0a\x06std"


class Records(Framing):
    """Records of `transom_local.format`. Where a file is damaged, what is whole behind the damage is found again."""

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        spans, position = _spans(data)
        return [data[start + LENGTH.size : end - LENGTH.size] for start, end in spans], data[position:]

    def salvage(self, rest: bytes) -> tuple[list[bytes], bytes]:
        position = _next_candidate(rest, 0)
        while position + LENGTH.size <= len(rest):
            end = _end(rest, position)
            if end and self.decode(rest[position + LENGTH.size : end - LENGTH.size]) is not None:
                return self.split(rest[position:])
            position = _next_candidate(rest, position)
        return [], rest

    def decode(self, record: bytes) -> Entry | None:
        try:
            message = decode(record)
        except ValueError:
            return None
        if message.source not in _STREAMS:
            return None
        line = message.line if message.partial and not message.last else message.line + b"\n"
        return Entry(message.time, message.source, line, message.attributes)

    def tail(self, file: int, count: int) -> tuple[int, int]:
        end = os.fstat(file).st_size
        missing = count
        while end and missing:
            start = _start(file, end)
            if start is None:
                return _tail_of_damaged(file, count)
            end = start
            missing -= 1
        return end, missing


def _spans(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Return where whole records begin and end, and where there may be the beginning of one that is not whole yet."""
    spans: list[tuple[int, int]] = []
    position = 0
    while position + LENGTH.size <= len(data):
        end = _end(data, position)
        if end is None:
            break
        if end:
            spans.append((position, end))
            position = end
        else:
            position = _next_candidate(data, position)
    return spans, position


def _end(data: bytes, start: int) -> int | None:
    """Return where the record ends that begins at `start`; None if that is beyond the end of data, 0 if none does."""
    (length,) = LENGTH.unpack_from(data, start)
    if not 0 < length <= LONGEST_MESSAGE:
        return 0
    end: int = start + length + _AROUND
    if end > len(data):
        return None
    return end if LENGTH.unpack_from(data, end - LENGTH.size)[0] == length else 0


def _next_candidate(data: bytes, position: int) -> int:
    """Return where, after `position`, a record may begin; at the latest where there is too little to know."""
    found = data.find(_MARK, position + 1 + LENGTH.size)
    if found >= 0:
        return found - LENGTH.size
    return max(position + 1, len(data) - LENGTH.size - len(_MARK) + 1)


def _start(file: int, end: int) -> int | None:
    """Return where the record begins that ends at `end`, or None if there is none."""
    if end < _AROUND:
        return None
    (length,) = LENGTH.unpack(os.pread(file, LENGTH.size, end - LENGTH.size))
    start: int = end - length - _AROUND
    if not 0 < length <= LONGEST_MESSAGE or start < 0:
        return None
    return start if os.pread(file, LENGTH.size, start) == LENGTH.pack(length) else None


def _tail_of_damaged(file: int, count: int) -> tuple[int, int]:
    """Return what `Framing.tail` does, from looking at the file from its start."""
    starts: deque[int] = deque(maxlen=count)
    offset, rest = 0, b""
    while data := os.pread(file, _CHUNK, offset + len(rest)):
        rest += data
        spans, position = _spans(rest)
        starts.extend(offset + start for start, _ in spans)
        offset, rest = offset + position, rest[position:]
    return (starts[0] if starts else offset), count - len(starts)
