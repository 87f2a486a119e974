"""Directory trees: what one is, as a value that two can be compared by, and what a container does to one."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from transom.testing.archives import MTIME

__all__ = ["Description", "content_digest", "describe", "edit", "mounts_below"]

_OVERLAYFS = "trusted.overlay."


@dataclass(frozen=True)
class Description:
    """One file of a tree. `content` is a digest, a link's target or a device's number; `names` are the
    paths in the tree that are the same file, if there are several. A root directory's own time is left out.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: bytes = b""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    names: tuple[bytes, ...] = ()


def describe(tree: Path) -> dict[bytes, Description]:
    """Return what is in a tree by path relative to it, which is b"" for the tree itself."""
    root = os.fsencode(tree)
    paths = [b""]
    for above, directories, files in os.walk(root):
        paths += [(above + b"/" + name)[len(root) + 1 :] for name in (*directories, *files)]
    links: dict[tuple[int, int], list[bytes]] = {}
    for path in sorted(paths):
        status = os.lstat(root + b"/" + path)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            links.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {path: _describe(root, path, links) for path in sorted(paths)}


def _describe(root: bytes, path: bytes, links: dict[tuple[int, int], list[bytes]]) -> Description:
    name = root + b"/" + path if path else root
    status = os.lstat(name)
    # An overlay counts the names that a file of a layer below has there, also where they are hidden.
    names = links.get((status.st_dev, status.st_ino), [])
    return Description(
        stat.filemode(status.st_mode)[0],
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns if path else 0,
        _content(name, status),
        tuple(
            (attribute, os.getxattr(name, attribute, follow_symlinks=False))
            for attribute in sorted(os.listxattr(name, follow_symlinks=False))
            if not attribute.startswith(_OVERLAYFS)
        ),
        tuple(names) if len(names) > 1 else (),
    )


def content_digest(content: bytes) -> bytes:
    """Return what `Description.content` is for a file."""
    return hashlib.sha256(content).digest()


def _content(name: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISREG(status.st_mode):
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name)  # noqa: PTH115 a name of any bytes
    return b"%d" % status.st_rdev


def edit(path: Path) -> None:
    """Add, change, replace and delete files of every kind in a tree, as a container does.

    It has files `etc/changed`, `etc/deleted`, `replaced/old` and `deleted/file`.
    """
    (path / "etc/changed").write_text("after, and longer")
    (path / "etc/deleted").unlink()
    (path / "etc/added").write_text("new")
    os.link(path / "etc/added", path / "etc/linked")
    (path / "replaced/old").unlink()
    (path / "replaced").rmdir()
    (path / "replaced").mkdir(mode=0o700)
    (path / "replaced/new").touch()
    (path / "deleted/file").unlink()
    (path / "deleted").rmdir()
    (path / "link").symlink_to("etc/added")
    os.mkfifo(path / "fifo")
    os.mknod(path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.setxattr(path / "etc/added", "user.test", b"value")
    with open(path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 20)
        sparse.write(b"start")
    os.utime(path / "etc/added", ns=(MTIME, MTIME))


def mounts_below(directory: Path) -> list[bytes]:
    """Return the lines of /proc/self/mountinfo about a directory and what is in it (proc(5))."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return [line for line in lines if os.fsencode(directory) in line]
