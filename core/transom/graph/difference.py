"""What a layer changes, from two trees or from an overlay's upper directory: listed, measured, and as an
archive.

The archive is a layer as OCI image specification, layer.md, "Creating" has it: everything that was added or
modified, whole, with the directories that it is in, and whiteouts for what was deleted. It is sorted, so the
same trees always give the same bytes. Sockets have no form in an archive and are left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from transom.drivers.graph import Change, ChangeKind, Usage
from transom.errors import Conflict
from transom.graph.archive import Entry, Kind, shown
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.comparison import Difference, compare
from transom.graph.sparse import Segments, find_segments
from transom.graph.whiteouts import (
    OPAQUE_ATTRIBUTE,
    OPAQUE_NAME,
    check_storable,
    is_attribute_of_layer,
    whiteout_name,
)

__all__ = [
    "find_changes",
    "find_upper_changes",
    "measure_difference",
    "write_difference",
    "write_upper",
]

_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
}


def find_changes(lower: Path | None, upper: Path) -> Iterator[Change]:
    """Yield what differs between two trees, as `docker diff` lists it.

    The root is left out. A directory in which anything differs is modified, and never for its time alone.
    """
    yield from _changes(compare(lower, upper))


def find_upper_changes(upper: Path, lower: Path | None) -> Iterator[Change]:
    """Yield the same as `find_changes`, from an overlay's upper directory and the whole tree of its lower
    layers.

    Only what is in the upper directory is looked at. Raises `Unsupported` as `compare` does.
    """
    yield from _changes(compare(lower, upper, overlay=True))


def write_difference(lower: Path | None, upper: Path) -> Iterator[bytes]:
    """Yield, in pieces, the layer archive that turns a tree like `lower` into one like `upper`.

    Raises `Conflict` if a file changes meanwhile, and `Unsupported` for a name that begins with `.wh.`.
    """
    yield from _write(compare(lower, upper, directory_times=True))


def write_upper(upper: Path) -> Iterator[bytes]:
    """Yield, in pieces, the archive of an overlay's upper directory. Raises as `write_difference` does."""
    yield from _write(compare(None, upper, overlay=True), overlay=True)


def measure_difference(lower: Path | None, upper: Path) -> Usage:
    """Return what below the upper root is not so in the lower tree: bytes on disk, and inodes, each once."""
    inodes: set[tuple[int, int]] = set()
    size = 0
    for difference in compare(lower, upper):
        status = difference.status
        if difference.path and status is not None and (status.st_dev, status.st_ino) not in inodes:
            inodes.add((status.st_dev, status.st_ino))
            size += status.st_blocks * 512
    return Usage(size, len(inodes))


def _changes(differences: Iterable[Difference]) -> Iterator[Change]:
    for difference in differences:
        if difference.path:
            yield Change(b"/" + difference.path, difference.kind)


def _write(differences: Iterable[Difference], *, overlay: bool = False) -> Iterator[bytes]:
    links: dict[tuple[int, int], bytes] = {}
    for difference in differences:
        status = difference.status
        if status is None:
            yield _encode_whiteout(difference.path)
        elif stat.S_ISSOCK(status.st_mode):
            # What was there before is not there any more.
            if difference.kind is ChangeKind.MODIFIED:
                yield _encode_whiteout(difference.path)
        else:
            check_storable(difference.name, difference.path)
            yield from _encode(difference, status, links)
            if overlay and difference.attributes.get(OPAQUE_ATTRIBUTE) == b"y":
                yield encode_entry(_whiteout(difference.path + b"/" + OPAQUE_NAME if difference.path else OPAQUE_NAME))
    yield END


def _whiteout(path: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o600)


def _encode_whiteout(path: bytes) -> bytes:
    above, slash, name = path.rpartition(b"/")
    return encode_entry(_whiteout(above + slash + whiteout_name(name)))


def _encode(difference: Difference, status: os.stat_result, links: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    """Yield an entry with its content. `links` has the first path of each inode with several names."""
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    if kind is Kind.DIRECTORY:
        yield encode_entry(_entry(difference, status, kind, difference.path + b"/" if difference.path else b"./"))
        return
    if status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), difference.path)
        if first != difference.path:
            yield encode_entry(_entry(difference, status, Kind.HARD_LINK, difference.path, first))
            return
    if kind is Kind.FILE:
        yield from _encode_file(difference, status)
        return
    link = os.readlink(difference.name, dir_fd=difference.directory) if kind is Kind.SYMLINK else b""
    yield encode_entry(_entry(difference, status, kind, difference.path, link))


def _entry(difference: Difference, status: os.stat_result, kind: Kind, name: bytes, link: bytes = b"") -> Entry:
    device = kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
    attributes = {name: value for name, value in difference.attributes.items() if is_attribute_of_layer(name)}
    return Entry(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if kind is Kind.FILE else 0,
        status.st_mtime_ns,
        link,
        os.major(status.st_rdev) if device else 0,
        os.minor(status.st_rdev) if device else 0,
        attributes,
    )


def _encode_file(difference: Difference, status: os.stat_result) -> Iterator[bytes]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(difference.name, flags, dir_fd=difference.directory)
    except FileNotFoundError as error:
        raise _changed(difference) from error
    try:
        opened = os.fstat(descriptor)
        if not os.path.samestat(opened, status) or not stat.S_ISREG(opened.st_mode):
            raise _changed(difference)
        segments = find_segments(descriptor, opened)
        whole: Segments = ((0, opened.st_size),) if opened.st_size else ()
        yield encode_entry(
            _entry(difference, opened, Kind.FILE, difference.path), None if segments == whole else segments
        )
        stored = 0
        for start, length in segments:
            stored += length
            while length:
                data = os.pread(descriptor, min(length, _CHUNK), start)
                if not data:
                    raise _changed(difference)
                yield data
                start += len(data)
                length -= len(data)
        yield padding(stored)
    finally:
        os.close(descriptor)


def _changed(difference: Difference) -> Conflict:
    return Conflict(
        f"cannot store {shown(b'/' + difference.path)!r} in a layer: it changed while it was read; "
        "pause the container and try again"
    )
