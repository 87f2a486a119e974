"""File systems of other kinds than the machine's, in files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["btrfs"]

#: Bytes; the file has holes where nothing was written.
_SIZE = 2 << 30


@contextmanager
def btrfs(directory: Path) -> Iterator[Path]:
    """Make a Btrfs file system in a file in a directory, and give the path where it is mounted until the block ends."""
    image, target = directory / "btrfs.img", directory / "btrfs"
    with open(image, "wb") as file:
        file.truncate(_SIZE)
    target.mkdir()
    subprocess.run(["mkfs.btrfs", "--quiet", image], check=True)
    # The loop device ends with the mount (losetup(8), autoclear).
    subprocess.run(["mount", "-o", "loop", "-t", "btrfs", image, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)
        image.unlink()
