"""What the engine itself does in a container's file system, before the container runs. Names in it are untrusted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from transom.runtime.syscalls.files import openat2

__all__ = ["find_directory", "make_directory"]


def make_directory(root: Path, path: str, owner: tuple[int, int] = (0, 0), mode: int = 0o755) -> None:
    """Make a directory of the container's file system, with the missing ones above it, all with an owner and a mode.

    Names are resolved beneath the root. Raises `NotADirectoryError` where something else is in the way.
    """
    current = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    top = os.dup(current)
    try:
        walked = ""
        for part in path.strip("/").split("/"):
            walked = f"{walked}/{part}"
            try:
                following = openat2(top, walked, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                try:
                    os.mkdir(part, mode, dir_fd=current)
                except FileExistsError as error:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), walked) from error
                os.chown(part, *owner, dir_fd=current)
                # Whatever this process may not give to what is new.
                os.chmod(part, mode, dir_fd=current)
                following = openat2(top, walked, os.O_PATH | os.O_DIRECTORY)
            os.close(current)
            current = following
    finally:
        os.close(current)
        os.close(top)


def find_directory(root: Path, path: str) -> Path | None:
    """Return where a directory of the container's file system is outside, or None if there is none at that path.

    No component of the result is a symbolic link, so it is beneath the root for as long as nobody changes the tree.
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = openat2(top, path, os.O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(top)
    try:
        return Path(f"/proc/self/fd/{found}").readlink()
    finally:
        os.close(found)
