"""Rooms: directories in memory, for what a container is given and no disk may see.

`<exec-root>/rooms/<name>` is a tmpfs of its own for as long as it is needed. After a crash its directory says that it
is there, and the next engine takes it away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.runtime.syscalls.mounts import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOSUID,
    UMOUNT_NOFOLLOW,
    is_mount_point,
    mount,
    umount2,
)

__all__ = ["Rooms"]


class Rooms:
    """The rooms of one engine, below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def open(self, name: str) -> Iterator[Path]:
        """Give an empty room of a name that no other has, for the length of a `with` block."""
        path = self._root / name
        path.mkdir(mode=0o700, parents=True)
        try:
            mount("room", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")
            yield path
        finally:
            self._remove(path)

    def recover(self) -> None:
        """Called at the engine's start: take away what an earlier engine left."""
        if self._root.is_dir():
            for path in self._root.iterdir():
                self._remove(path)

    def _remove(self, path: Path) -> None:
        while is_mount_point(path):
            umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW)
        os.rmdir(path)  # noqa: PTH106 it is empty, but for what was mounted there
