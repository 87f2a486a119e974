"""Mounting overlayfs with hundreds of layers (kernel documentation, filesystems/overlayfs).

Linux 6.8 and later take one layer at a time, by fsconfig(2) and the option `lowerdir+`. Earlier kernels
take all layers in one string that must fit into a page, which the paths of some twenty layers fill: there,
short symbolic links in a scratch directory stand for the layers, and the calling thread works in that
directory for the length of the call. It first parts with the working directory that it shares with the
process's other threads (unshare(2), CLONE_FS), so none of them notices.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from transom.runtime.syscalls.mounts import (
    MOUNT_ATTR_RDONLY,
    MS_RDONLY,
    fsconfig_create,
    fsconfig_flag,
    fsconfig_string,
    fsmount,
    fsopen,
    mount,
    move_mount,
)
from transom.runtime.syscalls.processes import CLONE_FS, unshare

__all__ = ["SCRATCH_PREFIX", "mount_by_page", "mount_overlay"]

#: How the names of scratch directories begin; one that is left over is nobody's.
SCRATCH_PREFIX = ".links-"

#: What would make a layer depend on more than its own two directories. Following redirections is turned
#: off, since an archive could bring them.
_OPTIONS = {"index": "off", "metacopy": "off", "redirect_dir": "nofollow"}

#: fsconfig(2) takes strings of up to 255 bytes.
_LONGEST = 255
#: Kernels differ in what they take these for in a path.
_SPECIAL = frozenset(b"\\,:")


def mount_overlay(target: Path, lower: Sequence[Path], upper: Path | None = None, work: Path | None = None) -> None:
    """Mount the directories `lower`, topmost first, below `upper`, at the directory `target`.

    Without `upper` the mount is read-only, and `lower` are at least two. Raises `OSError`.
    """
    try:
        _mount_one_by_one(target, lower, upper, work)
    except OSError as error:
        # EINVAL: a kernel that does not know `lowerdir+`; if it was something else, it comes again.
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        mount_by_page(target, lower, upper, work)


def _mount_one_by_one(target: Path, lower: Sequence[Path], upper: Path | None, work: Path | None) -> None:
    with ExitStack() as stack:
        filesystem = _kept(stack, fsopen("overlay"))
        fsconfig_string(filesystem, "source", "overlay")
        for key, value in _OPTIONS.items():
            fsconfig_string(filesystem, key, value)
        for path in lower:
            fsconfig_string(filesystem, "lowerdir+", _plain(stack, path))
        if upper is None or work is None:
            fsconfig_flag(filesystem, "ro")
        else:
            fsconfig_string(filesystem, "upperdir", _plain(stack, upper))
            fsconfig_string(filesystem, "workdir", _plain(stack, work))
        fsconfig_create(filesystem)
        tree = _kept(stack, fsmount(filesystem, MOUNT_ATTR_RDONLY if upper is None else 0))
        move_mount(tree, target)


def _plain(stack: ExitStack, path: Path) -> bytes:
    """Return a path that fsconfig(2) takes as it is:

    Itself, or by an open descriptor until the stack is closed.
    """
    name = os.fsencode(path)
    if len(name) <= _LONGEST and not _SPECIAL.intersection(name):
        return name
    return b"/proc/self/fd/%d" % _kept(stack, os.open(path, os.O_PATH | os.O_CLOEXEC))


def _kept(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def mount_by_page(target: Path, lower: Sequence[Path], upper: Path | None, work: Path | None) -> None:
    """The same for kernels before 6.8, by mount(2). The scratch directory is made beside `target`."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=target.parent) as scratch:
        names = {str(number): path for number, path in enumerate(lower)}
        options = {"lowerdir": ":".join(names)}
        if upper is not None and work is not None:
            names |= {"u": upper, "w": work}
            options |= {"upperdir": "u", "workdir": "w"}
        for name, path in names.items():
            Path(scratch, name).symlink_to(path)
        with _working_in(scratch):
            data = ",".join(f"{key}={value}" for key, value in (_OPTIONS | options).items())
            mount("overlay", target, "overlay", MS_RDONLY if upper is None else 0, data)


@contextmanager
def _working_in(directory: str) -> Iterator[None]:
    unshare(CLONE_FS)
    before = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        os.chdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
