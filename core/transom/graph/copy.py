"""Copying directory trees so that nothing can tell the copy from the original.

Owners, permissions, times, extended attributes, hard links within the tree, devices, sockets and holes are
kept. Data is shared with the original where the file system can do that (ioctl FICLONE), and otherwise
copied inside the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.graph.whiteouts import is_attribute_of_layer
from transom.runtime.syscalls.files import clone_file, copy_file

__all__ = [
    "copy_attributes",
    "copy_attributes_of_file",
    "copy_attributes_of_name",
    "copy_data",
    "copy_tree",
    "share_data",
]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What FICLONE says where two files cannot share data.
_NO_CLONES = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in the directory `source`, and its own attributes, into the directory `target`, which is
    empty.

    Symbolic links are copied, never followed, but those on the way to `source` and `target`, which are the
    caller's. Nothing may change in either tree meanwhile. Raises `OSError`; what was copied until then stays.
    """
    _Copy(source, target).run()


def copy_attributes(source: Path, target: Path) -> None:
    """Give a directory the owner, permissions, extended attributes and times of another. Raises `OSError`."""
    with _opened(os.fsencode(source)) as original, _opened(os.fsencode(target)) as copy:
        copy_attributes_of_file(original, copy, os.fstat(original))


class _Copy:
    """One copy: where it goes on, and what must be remembered of what it has seen.

    Directories wait in a queue by their paths, so that neither depth nor breadth of a tree costs descriptors.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._source = os.fsencode(source)
        self._target = os.fsencode(target)
        self._waiting: deque[bytes] = deque([b""])
        #: Where the first of several hard links was copied to, by its device and inode.
        self._linked: dict[tuple[int, int], bytes] = {}
        self._clones = True

    def run(self) -> None:
        while self._waiting:
            self._copy_directory(self._waiting.popleft())

    def _copy_directory(self, path: bytes) -> None:
        # Subdirectories are made here and filled later, so that nothing changes this one's times any more.
        with _opened(self._source + path) as source, _opened(self._target + path) as target:
            with os.scandir(source) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    self._copy_entry(source, target, path, name, entry.stat(follow_symlinks=False))
            copy_attributes_of_file(source, target, os.fstat(source))

    def _copy_entry(self, source: int, target: int, path: bytes, name: bytes, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        below = path + b"/" + name
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=target)
            self._waiting.append(below)
            return
        if status.st_nlink > 1:
            first = self._linked.setdefault((status.st_dev, status.st_ino), below)
            if first != below:
                os.link(self._target + first, name, dst_dir_fd=target, follow_symlinks=False)
                return
        if kind == stat.S_IFREG:
            self._copy_file(source, target, name, status)
            return
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target)
        copy_attributes_of_name(source, name, target, name, status)

    def _copy_file(self, source: int, target: int, name: bytes, status: os.stat_result) -> None:
        reader = os.open(name, _READ, dir_fd=source)
        try:
            writer = os.open(name, _CREATE, 0o600, dir_fd=target)
            try:
                if status.st_size and not self._clone(reader, writer):
                    copy_data(reader, writer, status)
                copy_attributes_of_file(reader, writer, status)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _clone(self, reader: int, writer: int) -> bool:
        """Share the data if the file system can; it is asked until it says no."""
        if self._clones:
            self._clones = share_data(reader, writer)
        return self._clones


@contextmanager
def _opened(path: bytes) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def share_data(reader: int, writer: int) -> bool:
    """Let an empty file have the data of another one; return whether their file system can do that."""
    try:
        clone_file(reader, writer)
    except OSError as error:
        if error.errno not in _NO_CLONES:
            raise
        return False
    return True


def copy_data(reader: int, writer: int, status: os.stat_result) -> None:
    """Copy the data of a file into an empty one, and leave its holes holes (lseek(2), SEEK_DATA)."""
    if status.st_blocks * 512 >= status.st_size:
        copy_file(reader, writer, status.st_size)
        return
    end = 0
    while end < status.st_size:
        try:
            start = os.lseek(reader, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = os.lseek(reader, start, os.SEEK_HOLE)
        os.lseek(reader, start, os.SEEK_SET)
        os.lseek(writer, start, os.SEEK_SET)
        copy_file(reader, writer, end - start)
    os.ftruncate(writer, status.st_size)


def copy_attributes_of_file(source: int, target: int, status: os.stat_result) -> None:
    """Give an open file or directory the attributes of another."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    # After the owner, since a change of owner drops capabilities.
    for attribute in _attributes(source):
        os.setxattr(target, attribute, os.getxattr(source, attribute))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_attributes_of_name(source: int, name: bytes, target: int, copy: bytes, status: os.stat_result) -> None:
    """Give what is called `copy` in the directory `target` the attributes of what is called `name` in `source`.

    That is for what cannot be opened: a symbolic link, a device, a socket.
    """
    os.chown(copy, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(copy, stat.S_IMODE(status.st_mode), dir_fd=target)
    above = b"/proc/self/fd/%d/%b" % (source, name)
    below = b"/proc/self/fd/%d/%b" % (target, copy)
    for attribute in _attributes(above):
        os.setxattr(below, attribute, os.getxattr(above, attribute, follow_symlinks=False), follow_symlinks=False)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _attributes(file: int | bytes) -> list[str]:
    """Return the names of the extended attributes to copy, none where the file system has no such thing.

    Those that belong to the machine or to overlayfs stay behind.
    """
    try:
        names = os.listxattr(file) if isinstance(file, int) else os.listxattr(file, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []
    return [name for name in names if is_attribute_of_layer(os.fsencode(name))]
