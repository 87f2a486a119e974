"""Paths in a container: what is there, and where they lead. Names are untrusted, and never lead out of the root."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from dataclasses import dataclass

from transom.errors import InvalidParameter
from transom.runtime.syscalls.files import GONE, openat2

__all__ = ["Location", "PathStat", "locate", "resolve", "stat_path"]

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
#: As many symbolic links as Go's filepath.EvalSymlinks follows.
_MAXIMUM_LINKS = 255


@dataclass(frozen=True)
class PathStat:
    """What is at a path: its last part, size in bytes, type and permissions as in `st_mode`, time in nanoseconds.

    `target` is where a symbolic link leads in the end, as far as that exists; it is empty for all else.
    """

    name: bytes
    size: int
    mode: int
    mtime: int
    target: bytes = b""


@dataclass(frozen=True)
class Location:
    """A path, made absolute and without `.` and `..`, but that it can end with `/` or `/.`, which mean a directory."""

    path: bytes

    @property
    def name(self) -> bytes:
        """The last part: `/` for the root, `.` for the content of a directory."""
        return self.path if self.path == b"/" else self.path.rstrip(b"/").rpartition(b"/")[2]

    @property
    def asserts_directory(self) -> bool:
        """Whether it can be a directory only; then a symbolic link at its end is followed."""
        return self.path.endswith((b"/", b"/."))

    @property
    def above(self) -> bytes:
        """The directory that it is in."""
        return self.path.rstrip(b"/").rpartition(b"/")[0] or b"/"


def locate(path: bytes) -> Location:
    """Return a path as it is in a container, whose working directory plays no part: relative ones start at the root."""
    clean = os.path.normpath(b"/" + path.lstrip(b"/"))
    if path.rstrip(b"/").rpartition(b"/")[2] == b".":
        return Location(clean.rstrip(b"/") + b"/.")
    return Location(clean + b"/" if path.endswith(b"/") and clean != b"/" else clean)


def stat_path(root: int, location: Location) -> PathStat:
    """Return what is at a place below an open root.

    Raises `FileNotFoundError`, and `InvalidParameter` for a file where a directory must be.
    """
    try:
        if location.asserts_directory or location.path == b"/":
            found = openat2(root, location.path, _DIRECTORY)
            try:
                status = os.fstat(found)
            finally:
                os.close(found)
        else:
            above = openat2(root, location.above, _DIRECTORY)
            try:
                status = os.stat(location.name, dir_fd=above, follow_symlinks=False)
            finally:
                os.close(above)
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location.path) from error
        if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise InvalidParameter(f"lstat {_shown(location.path)}: {os.strerror(error.errno).lower()}") from error
    target = resolve(root, location.path) if stat.S_ISLNK(status.st_mode) else b""
    return PathStat(location.name, status.st_size, status.st_mode, status.st_mtime_ns, target)


def resolve(root: int, path: bytes) -> bytes:
    """Return the absolute path, without symbolic links, that a path leads to; what is missing is taken as it is.

    It is a name and no promise: whoever opens it does so beneath the root again. Raises `InvalidParameter` for links
    that lead in a circle.
    """
    done: list[bytes] = []
    left = deque(part for part in path.split(b"/") if part not in (b"", b"."))
    links = 0
    while left:
        part = left.popleft()
        if part == b"..":
            del done[-1:]
            continue
        link = _read_link(root, b"/" + b"/".join(done), part)
        if link is None:
            done.append(part)
            continue
        links += 1
        if links > _MAXIMUM_LINKS:
            raise InvalidParameter(f"lstat {_shown(path)}: too many levels of symbolic links")
        if link.startswith(b"/"):
            done.clear()
        left.extendleft(reversed([part for part in link.split(b"/") if part not in (b"", b".")]))
    return b"/" + b"/".join(done)


def _read_link(root: int, directory: bytes, name: bytes) -> bytes | None:
    """Return where a symbolic link leads, None if there is none of the name."""
    try:
        above = openat2(root, directory, _DIRECTORY)
        try:
            return os.readlink(name, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        # EINVAL: it is there, and no symbolic link.
        if error.errno in (*GONE, errno.ENOTDIR, errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
