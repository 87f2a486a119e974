"""The parts of a log: how the newest becomes an old one, and which there are.

An old part's time of change is set when it is put aside, always later than that of the part before it. By
that time a reader that follows the log finds the part that comes next, whatever the parts are called by
then.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transom_jsonfile.driver import Options

__all__ = ["old_parts", "part_path", "rotate"]

_CHUNK = 1 << 20


def old_parts(path: Path) -> list[int]:
    """Return the numbers of the log's parts that are not the newest, from the youngest to the oldest."""
    names = (entry.name[len(path.name) + 1 :] for entry in path.parent.glob(f"{path.name}.*"))
    return sorted({int(number) for name in names if (number := name.removesuffix(".gz")).isdecimal()})


def part_path(path: Path, number: int, suffix: str = "") -> Path:
    """Return where a part of the log is, plain or, with the suffix `.gz`, compressed."""
    return path.with_name(f"{path.name}.{number}{suffix}")


def rotate(path: Path, options: Options) -> None:
    """Put the newest part, which nobody has open for writing, aside, so that a new one can be made."""
    _stamp(path)
    if options.max_file == 1:
        path.unlink()
        return
    for suffix in ("", ".gz"):
        part_path(path, options.max_file - 1, suffix).unlink(missing_ok=True)
        for number in range(options.max_file - 2, 0, -1):
            part = part_path(path, number, suffix)
            if part.exists():
                part.rename(part_path(path, number + 1, suffix))
    first = part_path(path, 1)
    path.rename(first)
    if options.compress:
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
    # The container waits meanwhile: the fastest level still makes a tenth of a log.
    with open(part, "rb") as source, gzip.open(incomplete, "wb", compresslevel=1) as sink:
        while data := source.read(_CHUNK):
            sink.write(data)
    os.utime(incomplete, ns=(times.st_mtime_ns, times.st_mtime_ns))
    incomplete.rename(target)
    part.unlink()
