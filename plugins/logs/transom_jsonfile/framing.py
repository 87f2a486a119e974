"""How a log of JSON lines is read: where its entries begin and end, and what they say."""

from __future__ import annotations

import os

from orjson import loads

from transom.drivers.log import Entry
from transom.logs.parts import Framing
from transom.logs.times import parse_time

__all__ = ["JsonLines"]

_CHUNK = 64 << 10
#: Bytes of a line that can be an entry: Docker's limit for the labels and variables in it is that of a request.
_LONGEST = 8 << 20
_NOTHING = Entry(0, "", b"").attributes
_STREAMS = ("stdout", "stderr")


class JsonLines(Framing):
    """One JSON object per line, as `transom_jsonfile.driver` says."""

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        *lines, rest = data.split(b"\n")
        # A line that cannot be one is not gathered: what comes of it is no entry.
        return lines, rest if len(rest) < _LONGEST else b""

    def decode(self, record: bytes) -> Entry | None:
        try:
            fields = loads(record)
            stream = fields["stream"]
            attributes = fields.get("attrs") or _NOTHING
            if stream not in _STREAMS or not all(isinstance(value, str) for value in attributes.values()):
                return None
            return Entry(parse_time(fields["time"]), stream, fields["log"].encode("utf-8", "replace"), attributes)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def tail(self, file: int, count: int) -> tuple[int, int]:
        found = 0
        start = os.fstat(file).st_size
        while start:
            end, start = start, max(start - _CHUNK, 0)
            chunk = os.pread(file, end - start, start)
            newline = len(chunk)
            while (newline := chunk.rfind(b"\n", 0, newline)) >= 0:
                found += 1
                if found > count:
                    return start + newline + 1, 0
        return 0, count - found
