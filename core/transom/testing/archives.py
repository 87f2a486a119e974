"""Layer archives for tests, written by the standard library's tarfile: a reader is best tested on what it
did not write.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO

__all__ = [
    "Member",
    "device",
    "directory",
    "fifo",
    "file",
    "hard_link",
    "layer_archive",
    "opaque",
    "symlink",
    "whiteout",
]

#: A time of which no digit is zero by chance, in nanoseconds.
MTIME = 1_234_567_890_123_456_789


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `type` is one of tarfile's."""

    name: bytes
    type: bytes
    mode: int
    content: bytes = b""
    link: bytes = b""
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


def file(
    name: bytes | str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = MTIME,
    xattrs: Mapping[str, bytes] | None = None,
) -> Member:
    """Return a regular file."""
    return Member(os.fsencode(name), tarfile.REGTYPE, mode, content, b"", uid, gid, mtime, xattrs=xattrs or {})


def directory(
    name: bytes | str,
    *,
    mode: int = 0o755,
    uid: int = 0,
    gid: int = 0,
    mtime: int = MTIME,
    xattrs: Mapping[str, bytes] | None = None,
) -> Member:
    """Return a directory."""
    return Member(os.fsencode(name), tarfile.DIRTYPE, mode, b"", b"", uid, gid, mtime, xattrs=xattrs or {})


def symlink(name: bytes | str, target: bytes | str, *, uid: int = 0, gid: int = 0) -> Member:
    """Return a symbolic link."""
    return Member(os.fsencode(name), tarfile.SYMTYPE, 0o777, b"", os.fsencode(target), uid, gid)


def hard_link(name: bytes | str, target: bytes | str) -> Member:
    """Return another name of a file that the archive has."""
    return Member(os.fsencode(name), tarfile.LNKTYPE, 0o644, b"", os.fsencode(target))


def device(name: bytes | str, major: int, minor: int, *, block: bool = False, mode: int = 0o600) -> Member:
    """Return a character or block device."""
    return Member(os.fsencode(name), tarfile.BLKTYPE if block else tarfile.CHRTYPE, mode, device=(major, minor))


def fifo(name: bytes | str, *, mode: int = 0o644) -> Member:
    """Return a named pipe."""
    return Member(os.fsencode(name), tarfile.FIFOTYPE, mode)


def whiteout(name: bytes | str) -> Member:
    """Return what removes a path of the layers below (OCI image specification, layer.md, "Whiteouts")."""
    above, slash, last = os.fsencode(name).rpartition(b"/")
    return file(above + slash + b".wh." + last)


def opaque(name: bytes | str) -> Member:
    """Return what removes all that the layers below have in a directory."""
    return file(os.fsencode(name) + b"/.wh..wh..opq")


def layer_archive(*members: Member) -> IO[bytes]:
    """Return a layer archive, in pax format, with these entries in this order."""
    return io.BytesIO(pack(members))


def pack(members: Iterable[Member]) -> bytes:
    """Return the bytes of a layer archive."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for member in members:
            archive.addfile(_information(member), io.BytesIO(member.content))
    return buffer.getvalue()


def _information(member: Member) -> tarfile.TarInfo:
    information = tarfile.TarInfo(os.fsdecode(member.name))
    information.type = member.type
    information.mode = member.mode
    information.size = len(member.content)
    information.linkname = os.fsdecode(member.link)
    information.uid, information.gid = member.uid, member.gid
    information.devmajor, information.devminor = member.device
    seconds, nanoseconds = divmod(member.mtime, 1_000_000_000)
    information.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09d}"}
    for name, value in member.xattrs.items():
        information.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return information
