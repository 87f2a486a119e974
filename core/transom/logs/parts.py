"""Reading a log in files, from its start or its end, and on as it grows.

The writer may be at work meanwhile, or may have been killed: an entry without its end is not there yet, and what is no
entry is passed over, since the rest of the log is worth more than an error. Old parts that are removed while they are
read are read to their end. A part that somebody truncated is read from its start.
"""

from __future__ import annotations

import gzip
import os
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from transom.drivers.log import Entry, LogReader
from transom.logs.files import old_parts, part_path

__all__ = ["Framing", "LogFileReader"]

_CHUNK = 256 << 10


class Framing(ABC):
    """How the entries of a log lie in its files."""

    @abstractmethod
    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the whole records at the beginning of `data`, and what is left. What can be no record is left out."""

    def salvage(self, rest: bytes) -> tuple[list[bytes], bytes]:
        """Return what `split` does for what is left at the end of a file, as far as it cannot become a record."""
        return [], rest

    @abstractmethod
    def decode(self, record: bytes) -> Entry | None:
        """Return the entry that a record is, or None if it is none."""

    @abstractmethod
    def tail(self, file: int, count: int) -> tuple[int, int]:
        """Return where the last `count` records of a file begin, and how many of them are not in it."""


class LogFileReader(LogReader):
    """A place in a log that `transom.logs.files` writes."""

    def __init__(self, path: Path, framing: Framing, *, since: int | None, tail: int | None) -> None:
        self.watched = (path.parent,)
        self._path = path
        self._framing = framing
        self._parts = deque(_open_parts(path, framing))
        if tail is not None:
            self._skip_to_tail(tail)
        elif since is not None:
            # A part that was last written to before has nothing that is wanted.
            while len(self._parts) > 1 and self._parts[0].changed < since:
                self._parts.popleft().close()

    def read(self) -> Iterator[Entry]:
        parts = self._parts
        while True:
            while parts:
                for record in parts[0].records():
                    entry = self._framing.decode(record)
                    if entry is not None:
                        yield entry
                if len(parts) == 1:
                    break
                parts.popleft().close()
            following = _next_part(self._path, parts[0] if parts else None, self._framing)
            if following is None:
                return
            # The part that was read so far may have grown before it was put aside: it is read once more.
            parts.append(following)

    def close(self) -> None:
        while self._parts:
            self._parts.popleft().close()

    def _skip_to_tail(self, count: int) -> None:
        """Leave only the parts that have the last `count` records, with the first of them where these begin."""
        for index in range(len(self._parts) - 1, -1, -1):
            count = self._parts[index].skip_to_tail(count)
            if not count:
                for _ in range(index):
                    self._parts.popleft().close()
                return


class _Part:
    """One open file of a log. `records` gives what is complete, and goes on from there the next time."""

    def __init__(self, path: Path, framing: Framing) -> None:
        self._framing = framing
        self._raw = open(path, "rb", buffering=0)  # noqa: SIM115 closed by close
        self._file: IO[bytes] = self._raw
        self._compressed = path.suffix == ".gz"
        if self._compressed:
            self._file = cast("IO[bytes]", gzip.open(self._raw))  # noqa: SIM115
        self._rest = b""
        #: Records that were read in search of the last ones, and are to be given first.
        self._kept: deque[bytes] = deque()

    def close(self) -> None:
        self._file.close()
        self._raw.close()

    @property
    def identity(self) -> tuple[int, int]:
        status = os.fstat(self._raw.fileno())
        return status.st_dev, status.st_ino

    @property
    def changed(self) -> int:
        return os.fstat(self._raw.fileno()).st_mtime_ns

    def records(self) -> Iterator[bytes]:
        while self._kept:
            yield self._kept.popleft()
        if not self._compressed and os.fstat(self._raw.fileno()).st_size < self._raw.tell():
            self._raw.seek(0)
            self._rest = b""
        while data := self._read():
            records, self._rest = self._framing.split(self._rest + data)
            yield from records
        if self._rest:
            records, self._rest = self._framing.salvage(self._rest)
            yield from records

    def skip_to_tail(self, count: int) -> int:
        """Go to where the last `count` records begin, and return how many are missing."""
        if self._compressed:
            self._kept = deque(self.records(), maxlen=count)
            return count - len(self._kept)
        offset, missing = self._framing.tail(self._raw.fileno(), count)
        self._raw.seek(offset)
        return missing

    def _read(self) -> bytes:
        try:
            return self._file.read(_CHUNK)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            # Compressed by a writer that was killed, or damaged: there is no more in it.
            return b""


def _open_parts(path: Path, framing: Framing) -> list[_Part]:
    """Open all parts of a log, the oldest first.

    They are opened from the newest on: a rotation in between moves them towards the end, so that one may be
    met again, and none is missed.
    """
    parts: list[_Part] = []
    try:
        parts.append(_Part(path, framing))
    except FileNotFoundError:
        # It was never written to, or is being rotated.
        pass
    for number in old_parts(path):
        part = _open_old(path, number, framing)
        if part is None:
            continue
        if parts and part.identity == parts[-1].identity:
            part.close()
        else:
            parts.append(part)
    return parts[::-1]


def _open_old(path: Path, number: int, framing: Framing) -> _Part | None:
    """Open an old part, which may be compressed, or become so now; None if it is gone."""
    for suffix in (".gz", "", ".gz"):
        try:
            return _Part(part_path(path, number, suffix), framing)
        except FileNotFoundError:
            continue
    return None


def _next_part(path: Path, part: _Part | None, framing: Framing) -> _Part | None:
    """Return the part of the log that was begun after `part` was put aside, if it was."""
    try:
        best = _Part(path, framing)
    except FileNotFoundError:
        return None
    changed = -1
    if part is not None:
        changed = part.changed
        if best.identity == part.identity:
            best.close()
            return None
    for number in old_parts(path):
        old = _open_old(path, number, framing)
        if old is None:
            continue
        if old.changed <= changed:
            old.close()
            break
        best.close()
        best = old
    return best
