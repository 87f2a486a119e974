"""System calls about mounts, the old interface and the new one (fsopen(2), move_mount(2), mount_setattr(2))."""

from __future__ import annotations

import ctypes
import os
import sys

from transom.runtime.syscalls._libc import check, encode, libc

__all__ = [
    "AT_RECURSIVE",
    "MNT_DETACH",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "MS_BIND",
    "MS_MOVE",
    "MS_NOATIME",
    "MS_NODEV",
    "MS_NODIRATIME",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_RELATIME",
    "MS_REMOUNT",
    "MS_SHARED",
    "MS_SLAVE",
    "MS_STRICTATIME",
    "MS_SYNCHRONOUS",
    "MS_UNBINDABLE",
    "UMOUNT_NOFOLLOW",
    "fsconfig_create",
    "fsconfig_flag",
    "fsconfig_string",
    "fsmount",
    "fsopen",
    "is_mount_point",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "umount2",
]

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08

AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_NO_AUTOMOUNT = 0x800
_STATX_ATTR_MOUNT_ROOT = 0x2000

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6

_SYS_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_MOUNT_SETATTR = 442

Path = str | bytes | os.PathLike[str]


def mount(source: Path, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    check(
        libc.mount(
            encode(source),
            encode(target),
            encode(kind),
            ctypes.c_ulong(flags),
            data.encode() if data else None,
        ),
        "mount",
        target,
    )


def umount2(target: Path, flags: int = 0) -> None:
    """umount2(2)."""
    check(libc.umount2(encode(target), flags), "umount2", target)


def pivot_root(new: Path, old: Path) -> None:
    """pivot_root(2)."""
    check(libc.syscall(_SYS_PIVOT_ROOT, encode(new), encode(old)), "pivot_root", new)


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at a path, also where the path is a bind of the same file system.

    A path that does not exist is no mount point. statx(2), STATX_ATTR_MOUNT_ROOT.
    """
    buffer = ctypes.create_string_buffer(256)
    try:
        flags = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT
        check(libc.statx(-100, encode(path), flags, 0, buffer), "statx", path)
    except FileNotFoundError:
        return False
    return bool(int.from_bytes(buffer.raw[8:16], sys.byteorder) & _STATX_ATTR_MOUNT_ROOT)


def fsopen(kind: str) -> int:
    """fsopen(2): return the descriptor of a file system to be configured."""
    return check(libc.syscall(_SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC), "fsopen", kind)


def fsconfig_string(filesystem: int, key: str, value: Path) -> None:
    """fsconfig(2): set an option."""
    check(
        libc.syscall(_SYS_FSCONFIG, filesystem, _FSCONFIG_SET_STRING, key.encode(), encode(value), 0),
        f"fsconfig {key}",
        value,
    )


def fsconfig_flag(filesystem: int, key: str) -> None:
    """fsconfig(2): set an option that has no value."""
    check(libc.syscall(_SYS_FSCONFIG, filesystem, _FSCONFIG_SET_FLAG, key.encode(), None, 0), f"fsconfig {key}")


def fsconfig_create(filesystem: int) -> None:
    """fsconfig(2): make the file system with the options set so far."""
    check(libc.syscall(_SYS_FSCONFIG, filesystem, _FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig create")


def fsmount(filesystem: int, attributes: int = 0) -> int:
    """fsmount(2): return the descriptor of a mount that is not attached anywhere yet."""
    return check(libc.syscall(_SYS_FSMOUNT, filesystem, _FSMOUNT_CLOEXEC, attributes), "fsmount")


def open_tree(path: Path, *, recursive: bool = False) -> int:
    """open_tree(2): return the descriptor of a detached copy of the mount at a path, a bind without a target yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return check(libc.syscall(_SYS_OPEN_TREE, -100, encode(path), flags), "open_tree", path)


def move_mount(tree: int, target: Path | int) -> None:
    """move_mount(2): attach a detached mount at a path, or at the file that a descriptor stands for."""
    if isinstance(target, int):
        flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
        check(libc.syscall(_SYS_MOVE_MOUNT, tree, b"", target, b"", flags), "move_mount")
    else:
        check(
            libc.syscall(_SYS_MOVE_MOUNT, tree, b"", -100, encode(target), _MOVE_MOUNT_F_EMPTY_PATH),
            "move_mount",
            target,
        )


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def mount_setattr(
    tree: int,
    path: Path = "",
    *,
    set: int = 0,
    clear: int = 0,
    propagation: int = 0,
    recursive: bool = False,
) -> None:
    """mount_setattr(2): change the attributes of the mount that a descriptor, or a path below it, stands for."""
    attributes = _MountAttributes(set, clear, propagation, 0)
    name = os.fsencode(path)
    flags = (0 if name else _AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    check(
        libc.syscall(_SYS_MOUNT_SETATTR, tree, name, flags, ctypes.byref(attributes), ctypes.sizeof(attributes)),
        "mount_setattr",
        path,
    )
