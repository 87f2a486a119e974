"""System calls about files: opening beneath a root, cloning, flushing."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys

from transom.runtime.syscalls._libc import check, libc

__all__ = [
    "GONE",
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "RENAME_WHITEOUT",
    "RESOLVE_BENEATH",
    "RESOLVE_IN_ROOT",
    "RESOLVE_NO_SYMLINKS",
    "clone_file",
    "copy_file",
    "fallocate",
    "file_system_type",
    "openat2",
    "renameat2",
    "syncfs",
]

#: What calls end in whose file was removed. ESTALE: one of FUSE or NFS that was looked up, or opened, before that.
GONE = frozenset((errno.ENOENT, errno.ESTALE))

#: openat2(2): treat the directory as the root of every absolute name and symbolic link.
RESOLVE_IN_ROOT = 0x10
#: openat2(2): fail with EXDEV where a name would leave the directory.
RESOLVE_BENEATH = 0x08
#: openat2(2): fail with ELOOP at any symbolic link.
RESOLVE_NO_SYMLINKS = 0x04

#: renameat2(2): fail with EEXIST where there is something by the new name.
RENAME_NOREPLACE = 1
#: renameat2(2): let the two change places.
RENAME_EXCHANGE = 2
#: renameat2(2): leave overlayfs's whiteout where it was.
RENAME_WHITEOUT = 4

_SYS_OPENAT2 = 437
_FICLONE = 0x40049409


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open a path relative to a directory's descriptor, resolved in the way that `resolve` says.

    What is removed meanwhile raises `FileNotFoundError`, also on FUSE and NFS.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    while True:
        try:
            return check(
                libc.syscall(_SYS_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how)),
                "openat2",
                path,
            )
        except OSError as error:
            if error.errno == errno.ESTALE:
                # The kernel has looked the name up once more already.
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
            # EAGAIN: something was renamed meanwhile and the kernel could not be sure (openat2(2)).
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise


def clone_file(source: int, target: int) -> None:
    """Let an empty file share the content of another on the same file system (ioctl FICLONE)."""
    fcntl.ioctl(target, _FICLONE, source)


def copy_file(source: int, target: int, length: int) -> None:
    """Copy `length` bytes from one descriptor's position to another's, inside the kernel where it can."""
    left = length
    while left:
        try:
            done = os.copy_file_range(source, target, left)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            done = os.sendfile(target, source, None, left)
        if not done:
            return
        left -= done


def renameat2(old_directory: int, old: bytes, new_directory: int, new: bytes, flags: int = 0) -> None:
    """renameat2(2), relative to descriptors of directories."""
    check(libc.renameat2(old_directory, old, new_directory, new, ctypes.c_uint(flags)), "renameat2", old)


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2): `mode` says whether to hold space, to make a hole, to collapse, to insert."""
    check(libc.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)), "fallocate")


def syncfs(descriptor: int) -> None:
    """Flush the whole file system that a descriptor is on."""
    check(libc.syncfs(descriptor), "syncfs")


def file_system_type(path: str | bytes | os.PathLike[str]) -> int:
    """Return the magic number of the file system that a path is on (statfs(2), `f_type`)."""
    buffer = ctypes.create_string_buffer(256)
    check(libc.statfs(os.fsencode(path), buffer), "statfs", path)
    return int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
