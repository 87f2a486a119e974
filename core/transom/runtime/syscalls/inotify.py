"""inotify(7): to be told that something in a directory changes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from transom.runtime.syscalls._libc import check, encode, libc

__all__ = ["inotify_add_watch", "inotify_init1", "inotify_rm_watch", "read_watches"]

_IN_MODIFY = 0x2
_IN_CLOSE_WRITE = 0x8
_IN_MOVED_FROM, _IN_MOVED_TO = 0x40, 0x80
_IN_CREATE, _IN_DELETE = 0x100, 0x200
_IN_ONLYDIR = 0x1000000
_CHANGES = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_ONLYDIR
#: struct inotify_event: watch, mask, cookie, and the length of the name that follows.
_EVENT = struct.Struct("iIII")


def inotify_init1() -> int:
    """Return a descriptor that can be read when something has changed; reading it does not block."""
    return check(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")


def inotify_add_watch(descriptor: int, directory: Path) -> int:
    """Watch what changes in a directory; the same number is returned for the same directory."""
    return check(libc.inotify_add_watch(descriptor, encode(directory), _CHANGES), "inotify_add_watch", directory)


def inotify_rm_watch(descriptor: int, watch: int) -> None:
    """Stop watching. Raises `OSError` (EINVAL) if the directory is gone, and its watch with it."""
    check(libc.inotify_rm_watch(descriptor, watch), "inotify_rm_watch")


def read_watches(descriptor: int) -> Iterator[int]:
    """Yield the watches of what has changed; -1 says that some are not known, because there was too much."""
    try:
        data = os.read(descriptor, 64 << 10)
    except BlockingIOError:
        return
    position = 0
    while position < len(data):
        watch, _, _, length = _EVENT.unpack_from(data, position)
        yield watch
        position += _EVENT.size + length
