"""A full disk is an error of its own, and what frees space works on it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.errors import StorageFull

__all__ = ["Reserve", "storage_full"]


@contextmanager
def storage_full(attempt: str) -> Iterator[None]:
    """Turn ENOSPC and EDQUOT in a `with` block into `StorageFull`; `attempt` reads "store the blob …"."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull(f"cannot {attempt}: no space left on device: free some and try again") from error


class Reserve:
    """A file that holds space for what must be written when nothing else can be: that something ended or is removed.

    Its size is for a hundred such transactions, each of which makes room for more.
    """

    SIZE = 1 << 20

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fill()

    def release(self) -> None:
        """Give the space back if the disk is full."""
        if self._free() < self.SIZE:
            self._path.unlink(missing_ok=True)

    def fill(self) -> None:
        """Take the space, if it is not taken and the disk has more than enough."""
        if self._path.exists() or self._free() < 4 * self.SIZE:
            return
        with open(self._path, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, self.SIZE)
            except OSError as error:
                # Filled by somebody else meanwhile, or a file system that cannot hold space back.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EOPNOTSUPP):
                    raise
                self._path.unlink()

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize
