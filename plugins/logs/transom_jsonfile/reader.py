"""Reading a log, from its start or its end, and on as it grows.

The writer may be at work meanwhile, or may have been killed: an entry without its newline is not there yet,
and a line that is no entry is passed over, since the rest of the log is worth more than an error. Old parts
that are removed while they are read are read to their end.
"""

from __future__ import annotations

import functools
import gzip
import io
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from json import loads
from pathlib import Path
from typing import IO, cast

from transom.drivers.log import Entry
from transom_jsonfile.rotation import old_parts, part_path

__all__ = ["parse_time", "read_log"]

_CHUNK = 256 << 10
#: Seconds between two looks at a log that is followed: short after something came, longer when it is quiet.
_SHORTEST, _LONGEST = 0.002, 0.05


def read_log(
    path: Path,
    *,
    since: int | None,
    until: int | None,
    tail: int | None,
    follow: Callable[[], bool] | None,
) -> Iterator[Entry]:
    """Yield the entries of a log, as `LogDriver.read` says. A log that was never written to has none.

    `tail` counts before `since` and `until` leave out, as in Docker.
    """
    for line in _lines(path, tail, follow, until):
        entry = _decode(line)
        if entry is None or (since is not None and entry.time < since):
            continue
        if until is not None and entry.time > until:
            return
        yield entry


def _lines(path: Path, tail: int | None, follow: Callable[[], bool] | None, until: int | None) -> Iterator[bytes]:
    parts = deque(_open_parts(path))
    pause = _SHORTEST
    try:
        if tail is not None:
            _skip_to_tail(parts, tail)
        while True:
            alive = follow is not None and follow()
            some = False
            while parts:
                for line in parts[0].lines():
                    some = True
                    yield line
                if len(parts) == 1:
                    break
                parts.popleft().close()
            if follow is None:
                return
            # The part that was read so far may have grown before it was put aside: it is read once more.
            if following := _next_part(path, parts[0] if parts else None):
                parts.append(following)
            elif some:
                pause = _SHORTEST
            elif not alive or (until is not None and time.time_ns() > until):
                return
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST)
    finally:
        for part in parts:
            part.close()


class _Part:
    """One open file of a log. `lines` gives what is complete, and goes on from there the next time."""

    def __init__(self, path: Path) -> None:
        self._raw = open(path, "rb", buffering=0)  # noqa: SIM115 closed by close
        self._file: IO[bytes] = self._raw
        if path.suffix == ".gz":
            self._file = cast("IO[bytes]", gzip.open(self._raw))  # noqa: SIM115
        self._rest = b""

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

    def lines(self) -> Iterator[bytes]:
        while data := self._file.read(_CHUNK):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from lines

    def skip_to_tail(self, count: int) -> int:
        """Go to where the last `count` lines begin, and return how many are missing."""
        if self._file is not self._raw:
            kept = deque(self.lines(), maxlen=count)
            self._file.close()
            self._file = io.BytesIO(b"".join(line + b"\n" for line in kept))
            return count - len(kept)
        found = 0
        start = os.fstat(self._raw.fileno()).st_size
        while start:
            end, start = start, max(start - _CHUNK, 0)
            chunk = os.pread(self._raw.fileno(), end - start, start)
            newline = len(chunk)
            while (newline := chunk.rfind(b"\n", 0, newline)) >= 0:
                found += 1
                if found > count:
                    self._raw.seek(start + newline + 1)
                    return 0
        return count - found


def _skip_to_tail(parts: deque[_Part], count: int) -> None:
    """Leave only the parts that have the last `count` lines, with the first of them where these begin."""
    for index in range(len(parts) - 1, -1, -1):
        count = parts[index].skip_to_tail(count)
        if not count:
            for _ in range(index):
                parts.popleft().close()
            return


def _open_parts(path: Path) -> list[_Part]:
    """Open all parts of a log, the oldest first.

    They are opened from the newest on: a rotation in between moves them towards the end, so that one may be
    met again, and none is missed.
    """
    parts: list[_Part] = []
    try:
        parts.append(_Part(path))
    except FileNotFoundError:
        # It was never written to, or is being rotated.
        pass
    for number in old_parts(path):
        part = _open_old(path, number)
        if part is None:
            continue
        if parts and part.identity == parts[-1].identity:
            part.close()
        else:
            parts.append(part)
    return parts[::-1]


def _open_old(path: Path, number: int) -> _Part | None:
    """Open an old part, which may be compressed, or become so now; None if it is gone."""
    for suffix in (".gz", "", ".gz"):
        try:
            return _Part(part_path(path, number, suffix))
        except FileNotFoundError:
            continue
    return None


def _next_part(path: Path, part: _Part | None) -> _Part | None:
    """Return the part of the log that was begun after `part` was put aside, if it was."""
    try:
        best = _Part(path)
    except FileNotFoundError:
        return None
    changed = -1
    if part is not None:
        changed = part.changed
        if best.identity == part.identity:
            best.close()
            return None
    for number in old_parts(path):
        old = _open_old(path, number)
        if old is None:
            continue
        if old.changed <= changed:
            old.close()
            break
        best.close()
        best = old
    return best


def _decode(line: bytes) -> Entry | None:
    """Return the entry that a line is, or None if it is none."""
    try:
        record = loads(line)
        return Entry(parse_time(record["time"]), record["stream"], record["log"].encode("utf-8", "replace"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@functools.lru_cache(maxsize=4)
def _seconds(second: str, zone: str) -> int:
    return int(datetime.fromisoformat(second + ("+00:00" if zone == "Z" else zone)).timestamp())


def parse_time(text: str) -> int:
    """Return nanoseconds since the epoch from an RFC 3339 time. Raises `ValueError`."""
    rest = text[19:]
    zone = rest.lstrip(".0123456789")
    fraction = rest[1 : len(rest) - len(zone)]
    return _seconds(text[:19], zone) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
