"""What file systems are called."""

from __future__ import annotations

from pathlib import Path

from transom.runtime.syscalls.files import file_system_type

__all__ = ["file_system_name"]

#: Magic numbers (statfs(2)), and what Docker calls these file systems.
_NAMES = {
    0xEF53: "extfs",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0x794C7630: "overlayfs",
    0x65735546: "fuse",
    0x6969: "nfs",
}


def file_system_name(path: Path) -> str:
    """Return the name of the file system that a directory is on, or its magic number."""
    magic = file_system_type(path)
    return _NAMES.get(magic, hex(magic))
