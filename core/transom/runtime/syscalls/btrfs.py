"""What Btrfs does by ioctl(2): subvolumes, snapshots of them, and how they are found (btrfs-ioctl(2)).

A *subvolume* is a directory with a tree of inodes of its own. A snapshot is one that shares all that another has.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator

__all__ = [
    "BTRFS_MAGIC",
    "create_snapshot",
    "create_subvolume",
    "destroy_subvolume",
    "enable_quota",
    "is_subvolume",
    "limit_subvolume",
    "remove_qgroup",
    "start_cleaning",
    "subvolume_id",
    "subvolumes_in",
]

#: The type of the file system (statfs(2)).
BTRFS_MAGIC = 0x9123683E

_SNAP_CREATE = 0x50009401
_SYNC = 0x9408
_INO_LOOKUP = 0xD0009412
_QUOTA_CTL = 0xC0109428
_QGROUP_CREATE = 0x4010942A
_QGROUP_LIMIT = 0x8030942B
_QUOTA_RESCAN_WAIT = 0x942E
_SUBVOL_CREATE = 0x5000940E
_SNAP_DESTROY = 0x5000940F
_GET_SUBVOL_ROOTREF = 0xD000943D
_INO_LOOKUP_USER = 0xD000943E

# Requests are bytearrays: fcntl.ioctl takes bytes up to 1024 only.

#: struct btrfs_ioctl_vol_args: a descriptor and a name.
_VOL_ARGS = struct.Struct("=q4088s")
#: struct btrfs_ioctl_ino_lookup_user_args: a directory's inode, a subvolume in it, its name, the directory's path.
_LOOKUP_USER = struct.Struct("=QQ256s3824s")
#: struct btrfs_ioctl_get_subvol_rootref_args: where to begin, pairs of a subvolume and its directory, how many.
_ROOT_REFS = struct.Struct("=Q510QB7x")
#: struct btrfs_ioctl_ino_lookup_args: a subvolume, 0 for that of the descriptor, an inode, its path.
_LOOKUP = struct.Struct("=QQ4080s")
#: struct btrfs_ioctl_quota_ctl_args: what to do, and a status; BTRFS_QUOTA_CTL_ENABLE.
_CONTROL = struct.Struct("=QQ")
_ENABLE = 1
#: struct btrfs_ioctl_qgroup_create_args: whether to make or to remove it, and which.
_CREATE = struct.Struct("=QQ")
#: struct btrfs_ioctl_qgroup_limit_args: which, what of the rest counts, bytes referenced, bytes of its own, and two
#: that mean nothing; BTRFS_QGROUP_LIMIT_MAX_RFER.
_LIMIT = struct.Struct("=QQQQQQ")
_REFERENCED = 1
#: The inode of every subvolume's root (BTRFS_FIRST_FREE_OBJECTID).
_ROOT_INODE = 256


def create_subvolume(directory: int, name: bytes) -> None:
    """Make an empty subvolume in an open directory."""
    fcntl.ioctl(directory, _SUBVOL_CREATE, bytearray(_VOL_ARGS.pack(0, name)))


def create_snapshot(directory: int, name: bytes, source: int) -> None:
    """Make a writable snapshot, in an open directory, of the subvolume whose root is open as `source`."""
    fcntl.ioctl(directory, _SNAP_CREATE, bytearray(_VOL_ARGS.pack(source, name)))


def destroy_subvolume(directory: int, name: bytes) -> None:
    """Delete a subvolume in an open directory with all that is in it; ENOTEMPTY says that others are.

    Its space is given back in the background.
    """
    fcntl.ioctl(directory, _SNAP_DESTROY, bytearray(_VOL_ARGS.pack(0, name)))


def start_cleaning(directory: int) -> None:
    """Bring a file system to the disk, and have the space of deleted subvolumes given back now rather than later."""
    fcntl.ioctl(directory, _SYNC)


def enable_quota(directory: int) -> None:
    """Have a file system count what each subvolume refers to, if it does not yet, and wait until it has.

    From then on every subvolume has a *qgroup* of the number that it has itself.
    """
    try:
        fcntl.ioctl(directory, _QUOTA_CTL, bytearray(_CONTROL.pack(_ENABLE, 0)))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    fcntl.ioctl(directory, _QUOTA_RESCAN_WAIT)


def limit_subvolume(root: int, size: int) -> None:
    """Let the subvolume whose root is open refer to at most so many bytes; writing more is EDQUOT."""
    fcntl.ioctl(root, _QGROUP_LIMIT, bytearray(_LIMIT.pack(0, _REFERENCED, size, 0, 0, 0)))


def remove_qgroup(directory: int, number: int) -> None:
    """Remove the qgroup of a subvolume that was deleted. Raises EBUSY while that is not gone, ENOENT if there is none.

    Linux removes them by itself since 6.10.
    """
    fcntl.ioctl(directory, _QGROUP_CREATE, bytearray(_CREATE.pack(0, number)))


def subvolume_id(root: int) -> int:
    """Return the number of the subvolume that an open directory is in."""
    request = bytearray(_LOOKUP.pack(0, _ROOT_INODE, b""))
    fcntl.ioctl(root, _INO_LOOKUP, request)
    number: int = _LOOKUP.unpack(bytes(request))[0]
    return number


def is_subvolume(status: os.stat_result) -> bool:
    """Return whether what is on Btrfs and has a status is the root of a subvolume."""
    return status.st_ino == _ROOT_INODE


def subvolumes_in(root: int) -> Iterator[bytes]:
    """Yield the paths, relative to the open root of a subvolume, of the subvolumes that are directly in it."""
    beginning = 0
    while True:
        request = bytearray(_ROOT_REFS.size)
        _ROOT_REFS.pack_into(request, 0, beginning, *(0 for _ in range(510)), 0)
        more = False
        try:
            fcntl.ioctl(root, _GET_SUBVOL_ROOTREF, request)
        except OSError as error:
            # There are more than one call tells of.
            if error.errno != errno.EOVERFLOW:
                raise
            more = True
        beginning, *pairs, count = _ROOT_REFS.unpack(bytes(request))
        for index in range(count):
            yield _path(root, pairs[2 * index], pairs[2 * index + 1])
        if not more:
            return


def _path(root: int, subvolume: int, directory: int) -> bytes:
    """Return the path of a subvolume that is in the directory of an inode."""
    request = bytearray(_LOOKUP_USER.pack(directory, subvolume, b"", b""))
    fcntl.ioctl(root, _INO_LOOKUP_USER, request)
    _, _, name, above = _LOOKUP_USER.unpack(bytes(request))
    return bytes(above.split(b"\0", 1)[0] + name.split(b"\0", 1)[0])
