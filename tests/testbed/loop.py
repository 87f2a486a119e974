"""File systems of other kinds than the machine's, in files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["btrfs", "file_system"]

#: Bytes; the file has holes where nothing was written.
_SIZE = 2 << 30
#: How file systems are made quietly, by their kind.
_MAKERS = {
    "btrfs": ("mkfs.btrfs", "--quiet"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q"),
}


@contextmanager
def file_system(kind: str, directory: Path, *options: str) -> Iterator[Path]:
    """Make a file system in a file in a directory, and give the path where it is mounted until the block ends."""
    image, target = directory / f"{kind}.img", directory / kind
    with open(image, "wb") as file:
        file.truncate(_SIZE)
    target.mkdir()
    subprocess.run([*_MAKERS[kind], image], check=True, stdout=subprocess.DEVNULL)
    # The loop device ends with the mount (losetup(8), autoclear), and that with the private host of a test that is
    # killed.
    subprocess.run(["mount", "-o", ",".join(["loop", *options]), "-t", kind, image, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)
        image.unlink()


@contextmanager
def btrfs(directory: Path) -> Iterator[Path]:
    """Make a Btrfs file system as `file_system` does."""
    with file_system("btrfs", directory) as target:
        yield target
