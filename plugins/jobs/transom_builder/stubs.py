"""What stands in a step's layer only to be mounted on: it is made before the process runs, and taken away after it.

Directories keep their times, as if nothing had been in them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transom.runtime.syscalls.files import openat2

__all__ = ["Stubs"]

#: What every container mounts, and whether it is a directory.
_ALWAYS = (
    ("/proc", True),
    ("/dev", True),
    ("/sys", True),
    ("/etc/hostname", False),
    ("/etc/hosts", False),
    ("/etc/resolv.conf", False),
)
_OPEN = os.O_RDONLY | os.O_DIRECTORY
#: Names lead elsewhere, or are too long: whoever mounts there says what is wrong.
_NOT_HERE = (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV)


@dataclass(frozen=True)
class _Stub:
    directory: str
    name: str
    is_directory: bool


class Stubs:
    """The stubs of one layer. `targets` are the paths that the step mounts on, and whether each is a directory."""

    def __init__(self, targets: Iterable[tuple[str, bool]]) -> None:
        self._targets = (*_ALWAYS, *targets)
        self._made: list[_Stub] = []

    def make(self, root: Path) -> None:
        """Make what is missing in a layer that is mounted at `root`. Names are resolved beneath it."""
        top = os.open(root, _OPEN | os.O_CLOEXEC)
        try:
            for path, directory in self._targets:
                parts = [part for part in path.split("/") if part]
                above = "/"
                for position, part in enumerate(parts):
                    last = position == len(parts) - 1
                    if not self._make(top, above, part, directory or not last):
                        break
                    above = f"{above.rstrip('/')}/{part}"
        finally:
            os.close(top)

    def remove(self, root: Path) -> None:
        """Remove what was made and is empty still."""
        top = os.open(root, _OPEN | os.O_CLOEXEC)
        try:
            for stub in reversed(self._made):
                self._remove(top, stub)
        finally:
            os.close(top)

    def _make(self, top: int, above: str, name: str, directory: bool) -> bool:
        """Make one stub if there is nothing; return whether one can go on below it."""
        try:
            parent = openat2(top, above, _OPEN)
        except OSError as error:
            if error.errno in (errno.ENOENT, *_NOT_HERE):
                return False
            raise
        try:
            try:
                os.stat(name, dir_fd=parent, follow_symlinks=False)
                return True
            except FileNotFoundError:
                pass
            status = os.fstat(parent)
            if directory:
                os.mkdir(name, 0o755, dir_fd=parent)
            else:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent))
            self._made.append(_Stub(above, name, directory))
            os.utime(parent, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(parent)
        return True

    def _remove(self, top: int, stub: _Stub) -> None:
        try:
            parent = openat2(top, stub.directory, _OPEN)
        except OSError as error:
            if error.errno in (errno.ENOENT, *_NOT_HERE):
                return
            raise
        try:
            before = os.fstat(parent)
            try:
                status = os.stat(stub.name, dir_fd=parent, follow_symlinks=False)
                if stub.is_directory and stat.S_ISDIR(status.st_mode):
                    os.rmdir(stub.name, dir_fd=parent)
                elif not stub.is_directory and stat.S_ISREG(status.st_mode) and not status.st_size:
                    os.unlink(stub.name, dir_fd=parent)
                else:
                    return
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                    return
                raise
            os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(parent)
