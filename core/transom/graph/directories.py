"""The directories beneath a root that an archive is unpacked into, found by the names that the archive has.

A name is resolved as it would be in a container whose root this is (openat2(2), RESOLVE_IN_ROOT), so it never
leaves the root, whatever symbolic links there are.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from transom.errors import CorruptContent
from transom.graph.archive import shown
from transom.graph.trees import DIRECTORY
from transom.graph.whiteouts import OPAQUE_ATTRIBUTE, Whiteouts, is_whiteout_device
from transom.runtime.syscalls.files import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, openat2

__all__ = ["Directories", "Directory", "clean"]

_OPEN = os.O_RDONLY | os.O_DIRECTORY
#: An archive in a tree's order has files of a directory before and after each of its directories.
_KEPT_OPEN = 64
#: How many symbolic links to nowhere may be on the way of one name, as many as Linux follows
#: (path_resolution(7)).
_MAXIMUM_LINKS = 40


def clean(name: bytes) -> bytes:
    """Return a name without `.`, `..` and needless slashes, relative to the root; the root itself is b"".

    Raises `CorruptContent` for a name that leads out of the root.
    """
    if name.endswith(b"/"):
        name = name.rstrip(b"/")
    if not name.startswith((b"/", b".")) and b"/." not in name and b"//" not in name:
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise CorruptContent(f"the archive has an entry {shown(name)!r} that leads out of the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


@dataclass(frozen=True, slots=True)
class Directory:
    """An open directory. `path` has no symbolic link in it, whatever name it was found by."""

    descriptor: int
    path: bytes

    def below(self, name: bytes) -> bytes:
        """Return the path of what has this name in the directory."""
        return self.path + b"/" + name if self.path else name


class Directories:
    """Opens directories beneath a root, and keeps those open that were used last."""

    def __init__(self, root: Path, whiteouts: Whiteouts) -> None:
        self.root = Directory(os.open(root, _OPEN | os.O_CLOEXEC), b"")
        self._whiteouts = whiteouts
        self._open: dict[bytes, Directory] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()
        os.close(self.root.descriptor)

    def find(self, path: bytes) -> Directory:
        """Return the directory of a clean name, made with mode 0755 where it or what it is in is missing.

        It stays open until `forget`, and at least while one other directory is looked for. Raises `OSError`,
        ENOTDIR where something on the way is there and no directory.
        """
        if not path:
            return self.root
        found = self._open.pop(path, None)
        if found is None:
            return self._keep(path, self._open_or_make(path))
        self._open[path] = found
        return found

    def make(self, parent: Directory, name: bytes) -> Directory:
        """Make a directory in another one, or open what is there by that name if it is a directory.

        Raises `FileExistsError` if it is something else, but for an overlay's whiteout: that becomes a
        directory which goes on hiding what the layers below have there.
        """
        made = self._make_in(parent, name)
        if stale := self._open.pop(made.path, None):
            os.close(stale.descriptor)
        return self._keep(made.path, made)

    def reopen(self, path: bytes) -> int | None:
        """Return a new descriptor of a directory by its path, or None if there is none any more."""
        try:
            return openat2(self.root.descriptor, path or b".", _OPEN, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise

    def forget(self) -> None:
        """Close all: a directory or a symbolic link was removed, so names may lead elsewhere now."""
        while self._open:
            os.close(self._open.popitem()[1].descriptor)

    def _keep(self, name: bytes, directory: Directory) -> Directory:
        if len(self._open) >= _KEPT_OPEN:
            os.close(self._open.pop(next(iter(self._open))).descriptor)
        self._open[name] = directory
        return directory

    def _open_or_make(self, name: bytes) -> Directory:
        try:
            return self._open_existing(name)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            return self._make_all(name)

    def _open_existing(self, name: bytes) -> Directory:
        root = self.root.descriptor
        if b".." not in name and name != b".":
            try:
                descriptor = openat2(root, name, _OPEN, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
                return Directory(descriptor, name)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
        descriptor = openat2(root, name, _OPEN, resolve=RESOLVE_IN_ROOT)
        try:
            above = _path_of(root).rstrip(b"/")
            path = _path_of(descriptor)[len(above) :].strip(b"/")
        except OSError:
            os.close(descriptor)
            raise
        return Directory(descriptor, path)

    def _make_all(self, name: bytes) -> Directory:
        """Go down a name, making what is missing, also where a symbolic link leads to."""
        directory = self.root
        done = b""
        left = deque(name.split(b"/"))
        links = 0
        while left:
            part = left.popleft()
            further = done + b"/" + part if done else part
            try:
                below = self._open_or_follow(directory, part, further)
            finally:
                if directory is not self.root:
                    os.close(directory.descriptor)
            if isinstance(below, Directory):
                directory, done = below, further
                continue
            links += 1
            if links > _MAXIMUM_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
            left.extendleft(reversed([part for part in below.split(b"/") if part not in (b"", b".")]))
            done = b"" if below.startswith(b"/") else done
            directory = self._open_existing(done) if done else self.root
        return directory if directory is not self.root else self._open_existing(b".")

    def _open_or_follow(self, directory: Directory, name: bytes, path: bytes) -> Directory | bytes:
        """Open or make what has a name in a directory, and this path, or return where a link there leads."""
        try:
            return self._open_existing(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        try:
            return os.readlink(name, dir_fd=directory.descriptor)
        except OSError as error:
            # EINVAL: it is there, and no symbolic link.
            if error.errno not in (errno.ENOENT, errno.EINVAL):
                raise
        return self._make_in(directory, name)

    def _make_in(self, parent: Directory, name: bytes) -> Directory:
        hides = False
        try:
            os.mkdir(name, 0o755, dir_fd=parent.descriptor)
            made = True
        except FileExistsError:
            made = hides = self._remove_whiteout(parent, name)
            if hides:
                os.mkdir(name, 0o755, dir_fd=parent.descriptor)
        try:
            descriptor = os.open(name, DIRECTORY, dir_fd=parent.descriptor)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
            raise
        try:
            if made:
                os.fchmod(descriptor, 0o755)
            if hides:
                os.setxattr(descriptor, OPAQUE_ATTRIBUTE, b"y")
        except OSError:
            os.close(descriptor)
            raise
        return Directory(descriptor, parent.below(name))

    def _remove_whiteout(self, parent: Directory, name: bytes) -> bool:
        """Remove an overlay's whiteout, and return whether there was one."""
        if self._whiteouts is not Whiteouts.OVERLAY:
            return False
        if not is_whiteout_device(os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)):
            return False
        os.unlink(name, dir_fd=parent.descriptor)
        return True


def _path_of(descriptor: int) -> bytes:
    """Return the path that an open directory has."""
    return os.fsencode(Path(f"/proc/self/fd/{descriptor}").readlink())
