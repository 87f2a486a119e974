"""Whether unions can be mounted here, found out by trying what they need, and if not, why."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from transom.errors import DriverUnavailable
from transom.graph.file_systems import file_system_name
from transom.runtime.syscalls.libraries import can_load
from transom.runtime.syscalls.mounts import MNT_DETACH, MS_RDONLY, mount, umount2
from transom_fuse.union import Union

__all__ = ["DEVICE", "find_libfuse", "mount_device", "probe_fuse"]

DEVICE = "/dev/fuse"
#: What libfuse 3 is called since 3.17, and before; and libfuse 2, which can do less.
_LIBFUSE_NAMES = ("libfuse3.so.4", "libfuse3.so.3", "libfuse.so.2")


def find_libfuse() -> str | None:
    """Return the name of the library to be loaded: what mfusepy's variable says, or the best there is."""
    chosen = os.environ.get("FUSE_LIBRARY_PATH")
    return next(filter(can_load, [chosen] if chosen else _LIBFUSE_NAMES), None)


def mount_device(device: int, target: Path, *, read_only: bool) -> None:
    """Mount what is served on an open /dev/fuse (kernel documentation, filesystems/fuse). Raises `OSError`."""
    options = (
        f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},default_permissions,allow_other"
    )
    mount("transom", target, "fuse.transom", MS_RDONLY if read_only else 0, options)


def probe_fuse(root: Path) -> None:
    """Try a mount and a union in `root`, and take all of it away again. Raises `DriverUnavailable`."""
    if find_libfuse() is None:
        raise DriverUnavailable("libfuse is not installed", "install it (Debian's package is libfuse3-3)")
    device = _open_device()
    try:
        try:
            scratch = Path(tempfile.mkdtemp(prefix=".probe-", dir=root))
        except OSError as error:
            raise DriverUnavailable(f"cannot write to {root}: {error.strerror}", "choose another data root") from error
        try:
            _try_mount(device, scratch)
            _try_union(scratch, root)
        finally:
            shutil.rmtree(scratch)
    finally:
        os.close(device)


def _open_device() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DriverUnavailable(
            f"there is no {DEVICE}", f"run modprobe fuse, or in a container give it the device ({DEVICE})"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENXIO):
            raise DriverUnavailable(
                "the kernel has no FUSE", "run modprobe fuse, or use a kernel with CONFIG_FUSE_FS"
            ) from error
        raise DriverUnavailable(
            f"{DEVICE} cannot be opened ({os.strerror(error.errno or 0)})",
            f"run as root, and in a container allow the device ({DEVICE})",
        ) from error


def _try_mount(device: int, scratch: Path) -> None:
    target = scratch / "target"
    target.mkdir()
    try:
        mount_device(device, target, read_only=True)
    except OSError as error:
        raise DriverUnavailable(
            f"mounting by FUSE was refused ({os.strerror(error.errno or 0)})",
            "run as root with CAP_SYS_ADMIN, or choose the graph driver vfs",
        ) from error
    umount2(target, MNT_DETACH)


def _try_union(scratch: Path, root: Path) -> None:
    """Delete a file of a lower layer that was changed, and replace a directory."""
    lower, upper, work = (scratch / name for name in ("lower", "upper", "work"))
    for directory in (lower, upper, work, lower / "directory"):
        directory.mkdir()
    (lower / "file").touch()
    try:
        union = Union([lower], upper, work)
        try:
            union.set_mode(union.lookup(union.root, b"file"), 0o600)
            union.unlink(union.root, b"file")
            union.remove_directory(union.root, b"directory")
            union.make_directory(union.root, b"directory", 0o700)
        finally:
            union.close()
    except OSError as error:
        raise DriverUnavailable(
            f"the file system of {root} ({file_system_name(root)}) cannot keep what a layer deletes"
            f" ({os.strerror(error.errno or 0)})",
            "put the data root on a local file system such as ext4, XFS or Btrfs, or choose another graph driver",
        ) from error
