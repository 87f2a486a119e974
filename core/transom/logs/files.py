"""Logs in files of bounded size: appending to the newest part, and how it becomes an old one.

    <path>        the newest part
    <path>.1      the part before it, and so on; with .gz where parts are compressed

An old part's time of change is set when it is put aside, always later than that of the part before it. By that time a
reader that follows the log finds the part that comes next, whatever the parts are called by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from transom.logs.options import parse_count, parse_size, parse_truth

__all__ = ["ROTATION_OPTIONS", "LogFile", "Rotation", "old_parts", "part_path"]

ROTATION_OPTIONS = ("max-size", "max-file", "compress")

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log begins a new part. `max_size` is in bytes, 0 for no limit; `max_file` counts the newest part."""

    max_size: int = 0
    max_file: int = 1
    compress: bool = False

    def changed_by(self, options: Mapping[str, str]) -> Rotation:
        """Return this with what the options say on top. Raises `InvalidParameter`."""
        return Rotation(
            max_size=parse_size(options["max-size"]) if "max-size" in options else self.max_size,
            max_file=parse_count(options["max-file"]) if "max-file" in options else self.max_file,
            compress=parse_truth("compress", options["compress"]) if "compress" in options else self.compress,
        )


class LogFile:
    """A log that is appended to.

    `whole` returns the length of a file up to the end of its last whole entry. `next_end` returns where, in entries
    that are about to be written, the first entry ends at or after a position.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        whole: Callable[[int], int],
        next_end: Callable[[bytes, int], int],
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._whole = whole
        self._next_end = next_end
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, _FLAGS, 0o640)
        # A writer that was killed may have left half an entry.
        whole = self._whole(self._file)
        if whole < os.fstat(self._file).st_size:
            os.ftruncate(self._file, whole)

    def write(self, entries: bytes) -> None:
        """Append whole entries. A file takes entries until it has reached its size, as in Docker."""
        limit = self._rotation.max_size
        start = 0
        while start < len(entries):
            size = self._size()
            if not limit:
                self._append(entries, size)
                return
            if size >= limit:
                self._rotate()
                size = 0
            end = self._next_end(entries, start + limit - size)
            self._append(entries[start:end], size)
            start = end

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _size(self) -> int:
        """Return the size of the newest part. Others may have truncated it, or removed it: then there is a new one."""
        status = os.fstat(self._file)
        if status.st_nlink:
            return status.st_size
        os.close(self._file)
        self._open()
        return os.fstat(self._file).st_size

    def _append(self, entries: bytes, size: int) -> None:
        written = os.write(self._file, entries)
        while written < len(entries):
            try:
                written += os.write(self._file, memoryview(entries)[written:])
            except OSError:
                # A full disk: what did not fit as a whole is not there at all.
                os.ftruncate(self._file, size)
                raise

    def _rotate(self) -> None:
        os.close(self._file)
        try:
            _put_aside(self._path, self._rotation)
        finally:
            self._open()


def old_parts(path: Path) -> list[int]:
    """Return the numbers of the log's parts that are not the newest, from the youngest to the oldest."""
    names = (entry.name[len(path.name) + 1 :] for entry in path.parent.glob(f"{path.name}.*"))
    return sorted({int(number) for name in names if (number := name.removesuffix(".gz")).isdecimal()})


def part_path(path: Path, number: int, suffix: str = "") -> Path:
    """Return where an old part of the log is, plain or, with the suffix `.gz`, compressed."""
    return path.with_name(f"{path.name}.{number}{suffix}")


def _put_aside(path: Path, rotation: Rotation) -> None:
    """Make the newest part, which nobody has open for writing, an old one, so that a new one can be made."""
    try:
        _stamp(path)
    except FileNotFoundError:
        # Somebody removed it: there is nothing to put aside.
        return
    if rotation.max_file == 1:
        path.unlink()
        return
    for suffix in ("", ".gz"):
        part_path(path, rotation.max_file - 1, suffix).unlink(missing_ok=True)
        for number in range(rotation.max_file - 2, 0, -1):
            part = part_path(path, number, suffix)
            if part.exists():
                part.rename(part_path(path, number + 1, suffix))
    first = part_path(path, 1)
    path.rename(first)
    if rotation.compress:
        _compress(first)


def _stamp(path: Path) -> None:
    youngest = (part_path(path, 1), part_path(path, 1, ".gz"))
    before = max((part.stat().st_mtime_ns for part in youngest if part.exists()), default=0)
    now = max(time.time_ns(), before + 1)
    os.utime(path, ns=(now, now))


def _compress(part: Path) -> None:
    import gzip

    times = part.stat()
    target = part.with_name(part.name + ".gz")
    incomplete = part.with_name(part.name + ".gz.new")
    try:
        # The container waits meanwhile: the fastest level still makes a tenth of a log.
        with open(part, "rb") as source, gzip.open(incomplete, "wb", compresslevel=1) as sink:
            while data := source.read(_CHUNK):
                sink.write(data)
        os.utime(incomplete, ns=(times.st_mtime_ns, times.st_mtime_ns))
    except OSError:
        # A full disk: the part stays as it is, which readers know.
        incomplete.unlink(missing_ok=True)
        return
    incomplete.rename(target)
    part.unlink()
