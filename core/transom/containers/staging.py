"""What is mounted outside a container for the container to bind: memory that it shares, parts of volumes and images.

All of it is in one directory, `<exec-root>/shims/<container>/mounts`, which is recorded by being there: whoever removes
the shim's directory calls `unstage` first.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from transom.errors import InvalidParameter
from transom.runtime.syscalls.files import RESOLVE_BENEATH, openat2
from transom.runtime.syscalls.mounts import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    UMOUNT_NOFOLLOW,
    is_mount_point,
    mount,
    move_mount,
    open_tree,
    umount2,
)

__all__ = ["SHARED_MEMORY", "stage_part", "stage_shared_memory", "unstage"]

#: The name of a shareable container's /dev/shm in the directory.
SHARED_MEMORY = "shm"


def stage_shared_memory(directory: Path, size: int) -> Path:
    """Make the /dev/shm, of so many bytes, that a container shares with those that join it, and return where it is."""
    place = directory / SHARED_MEMORY
    place.mkdir(mode=0o700, parents=True)
    mount("shm", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777,size={size}")
    return place


def stage_part(directory: Path, root: Path, subpath: str, *, resolve: int = RESOLVE_BENEATH) -> Path:
    """Make a file or directory below a volume's or image's root visible by itself, and return where it is.

    It is opened once, beneath the root, so that no link, and nobody who changes it meanwhile, leads anywhere else.
    Raises `InvalidParameter` if there is none.
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = openat2(top, subpath, os.O_PATH, resolve=resolve)
    except OSError as error:
        reason = "it leads out of it" if error.errno == errno.EXDEV else os.strerror(error.errno or 0).lower()
        raise InvalidParameter(f"cannot access path {root / subpath}: {reason}") from error
    finally:
        os.close(top)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = directory / f"part{sum(1 for _ in directory.iterdir())}"
        if stat.S_ISDIR(os.fstat(found).st_mode):
            place.mkdir()
        else:
            place.touch()
        tree = open_tree(f"/proc/self/fd/{found}", recursive=True)
        try:
            move_mount(tree, place)
        finally:
            os.close(tree)
    finally:
        os.close(found)
    return place


def unstage(directory: Path) -> None:
    """Take away all that was staged in a directory. Harmless if there is nothing."""
    if not directory.is_dir():
        return
    for place in directory.iterdir():
        while is_mount_point(place):
            umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW)
