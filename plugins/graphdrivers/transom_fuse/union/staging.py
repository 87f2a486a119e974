"""Where files are made before they get a name in the upper layer: whole, by one rename, or not at all.

The directory is the upper layer's own `work`, on the same file system. What a killed process left there is removed by
the next one.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from transom.graph.copy import copy_attributes_of_file, copy_attributes_of_name, copy_data, share_data
from transom.graph.trees import clear_directory, remove_entry
from transom_fuse.union.format import opaque_attribute

__all__ = ["Staging"]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """A working directory. `descriptor` is owned by this object."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        try:
            clear_directory(descriptor)
            self.opaque = opaque_attribute(descriptor)
        except BaseException:
            self.close()
            raise
        self._numbers = itertools.count()

    @contextmanager
    def name(self) -> Iterator[bytes]:
        """Give a `with` block a name for something here; what has it at the end of the block is removed."""
        name = b"%x" % next(self._numbers)
        try:
            yield name
        finally:
            remove_entry(self.descriptor, name)

    def copy(self, source: int, name: bytes, copy: bytes, *, empty: bool = False, flush: bool = True) -> None:
        """Copy what is called `name` in the directory `source`, with all its attributes, but not what is in it.

        The data of a file is flushed to the disk, since what it becomes hides the original; an `empty` copy has none.
        Raises `OSError`; something unfinished is here then.
        """
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            reader = os.open(name, _READ, dir_fd=source)
            try:
                self.copy_file(reader, copy, empty=empty, flush=flush)
            finally:
                os.close(reader)
            return
        if kind == stat.S_IFDIR:
            os.mkdir(copy, 0o700, dir_fd=self.descriptor)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), copy, dir_fd=self.descriptor)
        else:
            os.mknod(copy, kind | 0o600, status.st_rdev, dir_fd=self.descriptor)
        copy_attributes_of_name(source, name, self.descriptor, copy, status)

    def copy_file(self, reader: int, copy: bytes, *, empty: bool = False, flush: bool = True) -> None:
        """The same for a file that is open."""
        status = os.fstat(reader)
        writer = os.open(copy, _CREATE, 0o600, dir_fd=self.descriptor)
        try:
            if status.st_size and not empty:
                if not share_data(reader, writer):
                    copy_data(reader, writer, status)
                if flush:
                    os.fsync(writer)
            copy_attributes_of_file(reader, writer, status)
        finally:
            os.close(writer)

    def close(self) -> None:
        """Close the directory's descriptor."""
        os.close(self.descriptor)
