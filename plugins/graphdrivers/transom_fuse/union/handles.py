"""An open file of a union."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from transom.runtime.syscalls.files import fallocate
from transom_fuse.union.nodes import UPPER, Node

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Handle"]


class Handle:
    """A file that was opened. All raise `OSError` as the system calls of their names do.

    One that only reads began in a lower layer perhaps: when the file is changed by somebody else, it goes on in the
    upper one, as overlayfs does.
    """

    __slots__ = ("_reopen", "descriptor", "layer", "node")

    def __init__(self, node: Node, descriptor: int, reopen: Callable[[Node], int]) -> None:
        self.node = node
        self.descriptor = descriptor
        self.layer = node.layer
        self._reopen = reopen

    def read(self, size: int, offset: int) -> bytes:
        """pread(2)."""
        if self.layer != self.node.layer:
            self._follow()
        return os.pread(self.descriptor, size, offset)

    def read_into(self, buffer: WriteableBuffer, offset: int) -> int:
        """preadv(2)."""
        if self.layer != self.node.layer:
            self._follow()
        return os.preadv(self.descriptor, (buffer,), offset)

    def write(self, data: ReadableBuffer, offset: int) -> int:
        """pwrite(2); a file that was opened with O_APPEND is written at its end, wherever `offset` is."""
        return os.pwrite(self.descriptor, data, offset)

    def truncate(self, size: int) -> None:
        """ftruncate(2)."""
        os.ftruncate(self.descriptor, size)

    def sync(self, *, data_only: bool = False) -> None:
        """fsync(2) or fdatasync(2). What is in a lower layer does not change."""
        if self.layer == UPPER:
            (os.fdatasync if data_only else os.fsync)(self.descriptor)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2)."""
        fallocate(self.descriptor, mode, offset, length)

    def seek(self, offset: int, whence: int) -> int:
        """lseek(2), for SEEK_DATA and SEEK_HOLE."""
        if self.layer != self.node.layer:
            self._follow()
        return os.lseek(self.descriptor, offset, whence)

    def _follow(self) -> None:
        descriptor = self._reopen(self.node)
        os.close(self.descriptor)
        self.descriptor, self.layer = descriptor, self.node.layer
