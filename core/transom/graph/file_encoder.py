"""Files on disk as entries of an archive, with what they hold."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace

from transom.errors import Conflict
from transom.graph.archive import Entry, Kind, shown
from transom.graph.archive_writer import encode_entry, padding
from transom.graph.comparison import Difference
from transom.graph.sparse import Segments, find_segments
from transom.graph.whiteouts import is_attribute_of_layer
from transom.runtime.syscalls.files import GONE

__all__ = ["KINDS", "FileEncoder", "entry_of"]

_CHUNK = 1 << 20
_SMALL = 1 << 16
_ZEROS = bytes(_CHUNK)
_SECOND = 1_000_000_000
#: The kinds of what a layer can have, by the type bits of `st_mode`.
KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
}


class FileEncoder:
    """Encodes the files of one archive, one after the other, and remembers those that have several names.

    Files that are `live` may change meanwhile, as a running container's do: one that is gone is left out, and one that
    has become shorter is filled up with zeros; without that, both are a `Conflict`. With `whole_seconds` times have no
    fraction, which makes entries shorter.
    """

    def __init__(self, *, live: bool = False, whole_seconds: bool = False) -> None:
        self._live = live
        self._whole_seconds = whole_seconds
        self._links: dict[tuple[int, int], bytes] = {}

    def encode(self, file: Difference, status: os.stat_result, name: bytes) -> Iterator[bytes]:
        """Yield the entry of a file, which is no socket, by a name without a slash at its end, and its content."""
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        if kind is Kind.DIRECTORY:
            yield encode_entry(self._entry(file, status, kind, name + b"/"))
            return
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                yield encode_entry(self._entry(file, status, Kind.HARD_LINK, name, first))
                return
        if kind is Kind.FILE:
            yield from self._encode_file(file, status, name)
            return
        link = b""
        if kind is Kind.SYMLINK:
            try:
                link = os.readlink(file.name, dir_fd=file.directory)
            except OSError as error:
                # EINVAL: something else has its name now.
                if self._live and error.errno in (*GONE, errno.EINVAL):
                    return
                raise
        yield encode_entry(self._entry(file, status, kind, name, link))

    def linked(self) -> list[tuple[int, int]]:
        """Return the devices and inodes of the files with several names that were encoded, in their order."""
        return list(self._links)

    def _entry(self, file: Difference, status: os.stat_result, kind: Kind, name: bytes, link: bytes = b"") -> Entry:
        entry = entry_of(file, status, kind, name, link)
        return replace(entry, mtime=entry.mtime // _SECOND * _SECOND) if self._whole_seconds else entry

    def _encode_file(self, file: Difference, status: os.stat_result, name: bytes) -> Iterator[bytes]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(file.name, flags, dir_fd=file.directory)
        except OSError as error:
            # ELOOP: a symbolic link has its name now, ENXIO: a device or a socket.
            if error.errno not in (*GONE, errno.ELOOP, errno.ENXIO):
                raise
            if self._live:
                self._forget(status, name)
                return
            raise _changed(file) from error
        try:
            opened = os.fstat(descriptor)
            if not os.path.samestat(opened, status) or not stat.S_ISREG(opened.st_mode):
                if self._live:
                    self._forget(status, name)
                    return
                raise _changed(file)
            yield from self._encode_content(file, descriptor, opened, name)
        finally:
            os.close(descriptor)

    def _encode_content(
        self, file: Difference, descriptor: int, status: os.stat_result, name: bytes
    ) -> Iterator[bytes]:
        segments = find_segments(descriptor, status)
        whole: Segments = ((0, status.st_size),) if status.st_size else ()
        header = encode_entry(self._entry(file, status, Kind.FILE, name), None if segments == whole else segments)
        if segments == whole and status.st_size <= _SMALL:
            # Most files of most layers: in one piece.
            data = os.pread(descriptor, status.st_size, 0)
            if len(data) == status.st_size:
                yield b"".join((header, data, padding(len(data))))
                return
        yield header
        stored = 0
        for start, length in segments:
            stored += length
            while length:
                data = os.pread(descriptor, min(length, _CHUNK), start)
                if not data:
                    if not self._live:
                        raise _changed(file)
                    data = _ZEROS[:length]
                yield data
                start += len(data)
                length -= len(data)
        yield padding(stored)

    def _forget(self, status: os.stat_result, name: bytes) -> None:
        """Take back the name that later ones of the same file would have been links to."""
        if self._links.get((status.st_dev, status.st_ino)) == name:
            del self._links[status.st_dev, status.st_ino]


def entry_of(file: Difference, status: os.stat_result, kind: Kind, name: bytes, link: bytes = b"") -> Entry:
    """Return the entry, without content, that a file on disk has by a name."""
    device = kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
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
        {name: value for name, value in file.attributes.items() if is_attribute_of_layer(name)},
    )


def _changed(file: Difference) -> Conflict:
    return Conflict(
        f"cannot store {shown(b'/' + file.path)!r} in a layer: it changed while it was read; "
        "pause the container and try again"
    )
