"""File systems of other kinds than the machine's, in files or in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["btrfs", "file_system", "loop_devices", "mounted"]

#: Bytes; the file has holes where nothing was written.
_SIZE = 2 << 30
#: How file systems are made quietly, by their kind.
_MAKERS = {
    "btrfs": ("mkfs.btrfs", "--quiet"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q"),
}


@contextmanager
def file_system(kind: str, directory: Path, *options: str, size: int = _SIZE) -> Iterator[Path]:
    """Make a file system in a file of a size in a directory, and give where it is mounted until the block ends."""
    image, target = directory / f"{kind}.img", directory / kind
    with open(image, "wb") as file:
        file.truncate(size)
    target.mkdir()
    subprocess.run([*_MAKERS[kind], image], check=True, stdout=subprocess.DEVNULL)
    # The loop device ends with the mount (losetup(8), autoclear), and that with the private host of a test that is
    # killed.
    with mounted(kind, image, target, "loop", *options):
        yield target
    image.unlink()


@contextmanager
def mounted(kind: str, source: str | Path, target: Path, *options: str) -> Iterator[Path]:
    """Mount a file system until the block ends, and give the path where it is."""
    subprocess.run(["mount", "-t", kind, *(["-o", ",".join(options)] if options else []), source, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


def loop_devices(directory: Path) -> list[str]:
    """Return the files below a directory that loop devices have."""
    command = ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"]
    found = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if line.startswith(f"{directory}/")]


@contextmanager
def btrfs(directory: Path, size: int = _SIZE) -> Iterator[Path]:
    """Make a Btrfs file system as `file_system` does."""
    with file_system("btrfs", directory, size=size) as target:
        yield target
