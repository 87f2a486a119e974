"""Whether overlayfs works on a directory, found out by using it, and if not, why."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from transom.errors import DriverUnavailable
from transom.graph.file_systems import file_system_name
from transom.runtime.syscalls.mounts import MNT_DETACH, umount2
from transom_overlay.mounting import mount_overlay

__all__ = ["probe_overlay"]

_ELSEWHERE = "put the data root on a local file system such as ext4, XFS or Btrfs, or choose another graph driver"


def probe_overlay(root: Path) -> None:
    """Mount an overlay of directories in `root`, delete a file in it, and take all of it away again.

    Raises `DriverUnavailable`.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".probe-", dir=root))
    except OSError as error:
        raise DriverUnavailable(f"cannot write to {root}: {error.strerror}", "choose another data root") from error
    try:
        lower, upper, work, target = (scratch / name for name in ("lower", "upper", "work", "target"))
        for directory in (lower, upper, work, target):
            directory.mkdir()
        (lower / "file").touch()
        try:
            mount_overlay(target, [lower], upper, work)
        except OSError as error:
            raise _reason(root, error) from error
        try:
            _probe_whiteouts(target, upper, root)
        finally:
            umount2(target, MNT_DETACH)
    finally:
        shutil.rmtree(scratch)


def _probe_whiteouts(target: Path, upper: Path, root: Path) -> None:
    try:
        (target / "file").unlink()
        os.setxattr(upper, "trusted.overlay.opaque", b"y")
        works = (upper / "file").is_char_device()
    except OSError:
        works = False
    if not works:
        raise DriverUnavailable(
            f"the file system of {root} ({file_system_name(root)}) cannot keep what a layer deletes",
            _ELSEWHERE,
        )


def _reason(root: Path, error: OSError) -> DriverUnavailable:
    """Say what the failure of a mount means."""
    if error.errno == errno.ENODEV:
        return DriverUnavailable(
            "the kernel has no overlayfs", "run modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS"
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return DriverUnavailable(
            "no permission to mount overlayfs",
            "run as root with CAP_SYS_ADMIN, or choose the graph driver vfs",
        )
    filesystem = file_system_name(root)
    if filesystem == "overlayfs":
        return DriverUnavailable(
            f"{root} is on overlayfs itself, which cannot hold the layers of another one", _ELSEWHERE
        )
    return DriverUnavailable(f"overlayfs cannot be mounted on {root} ({filesystem}): {error.strerror}", _ELSEWHERE)
