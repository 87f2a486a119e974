"""What is between a tree and its disk: flushing, caches that are dropped, background work that is waited for."""

from __future__ import annotations

import errno
import os
import re
import time
from functools import cache
from pathlib import Path
from typing import Final

from transom.graph.file_systems import file_system_name
from transom.runtime.syscalls.btrfs import BTRFS_MAGIC, start_cleaning
from transom.runtime.syscalls.files import file_system_type, syncfs
from transom_bench.scale import Scale

__all__ = ["describe", "flush", "forget", "forgetting", "settle", "used"]

#: Where a number says what the kernel is to drop of its caches (proc_sys_vm(5)), and that for pages, names and inodes.
_DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")
_ALL_CACHES: Final = "3"
#: Seconds between two looks at a file system, how many alike say that it is quiet, and how long it is waited for.
_INTERVAL: Final = 0.05
_ALIKE: Final = 4
_PATIENCE: Final = 30.0


def flush(tree: Path) -> None:
    """Bring all that is written to a tree's file system to the disk."""
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(descriptor)
    finally:
        os.close(descriptor)


def used(root: Path) -> int:
    """Return the bytes in use on a file system."""
    status = os.statvfs(root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def settle(root: Path) -> None:
    """Let what has been done to a file system be over: nothing is to be written, or given back, any more.

    Btrfs gives the space of deleted subvolumes back in the background, which would count as what is done next.
    """
    flush(root)
    if file_system_type(root) != BTRFS_MAGIC:
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        start_cleaning(descriptor)
    finally:
        os.close(descriptor)
    end = time.monotonic() + _PATIENCE
    seen = [used(root)]
    while seen[-_ALIKE:] != seen[-1:] * _ALIKE and time.monotonic() < end:
        time.sleep(_INTERVAL)
        seen.append(used(root))
    flush(root)


def forget(tree: Path, scale: Scale) -> None:
    """Drop from memory what was read of a tree; what is not written yet is written first.

    Where the kernel may be told, that is all it remembers of any file: pages, names, attributes, also those of a file
    system's own image. Otherwise it is the pages of the tree's files alone.
    """
    flush(tree)
    if scale.drop_caches and _may_drop_all():
        _DROP_CACHES.write_text(_ALL_CACHES)
        return
    for above, _, names in os.walk(tree):
        for name in names:
            descriptor = os.open(f"{above}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def forgetting(scale: Scale) -> str:
    """Return what `forget` means on this machine."""
    if scale.drop_caches and _may_drop_all():
        return "cold: the machine's caches of pages, names and inodes were dropped (drop_caches)"
    why = ", since drop_caches may not be written here" if scale.drop_caches else ""
    return f"cold: only the files' own pages were dropped (posix_fadvise){why}; names and attributes may be in memory"


@cache
def _may_drop_all() -> bool:
    try:
        with open(_DROP_CACHES, "w"):
            return True
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
            raise
        return False


def describe(path: Path) -> str:
    """Return what a directory is on: the file system, its device, that device's file if it has one, and options."""
    kind = file_system_name(path)
    found = _mount_of(path.resolve())
    if found is None:
        return kind
    source, options = found
    backing = Path("/sys/block", Path(source).name, "loop", "backing_file")
    if source.startswith("/dev/loop") and backing.exists():
        source = f"the loop device {source}, whose file is {backing.read_text().strip()}"
    return f"{kind} on {source} ({options})"


def _mount_of(path: Path) -> tuple[str, str] | None:
    """Return the source and the options of the mount that a path is on (proc_pid_mountinfo(5))."""
    found, longest = None, -1
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, file_system = line.partition(" - ")
        place = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount.split()[4]))
        # Of two mounts at one place the later is on top.
        if path.is_relative_to(place) and len(place.parts) >= longest:
            longest = len(place.parts)
            _, source, options = file_system.split(" ", 2)
            found = source, options
    return found
