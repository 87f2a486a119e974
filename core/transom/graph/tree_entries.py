"""Files below a directory as entries with their content, to be put elsewhere without an archive in between."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from transom.drivers.graph import ChangeKind
from transom.graph.archive import Entry, Kind
from transom.graph.comparison import Difference, compare, read_attributes
from transom.graph.file_encoder import KINDS, entry_of
from transom.graph.sparse import Segments, find_segments

__all__ = ["BytesData", "file_entries", "tree_entries"]

_CHUNK = 1 << 20


class BytesData:
    """The content of a small file that is in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def segments(self) -> Segments:
        """All of it."""
        return ((0, len(self._content)),) if self._content else ()

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the data."""
        if self._content:
            yield 0, memoryview(self._content)

    def skip(self) -> None:
        """There is nothing to pass over."""


class _FileData:
    """The content of a file in an open directory."""

    def __init__(self, directory: int, name: bytes) -> None:
        self._directory = directory
        self._name = name

    @property
    def segments(self) -> Segments:
        with self._opened() as file:
            return find_segments(file.fileno(), os.fstat(file.fileno()))

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        with self._opened() as file:
            descriptor = file.fileno()
            for start, length in find_segments(descriptor, os.fstat(descriptor)):
                position, end = start, start + length
                while position < end and (data := os.pread(descriptor, min(end - position, _CHUNK), position)):
                    yield position, memoryview(data)
                    position += len(data)

    def _opened(self) -> io.FileIO:
        return io.FileIO(os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory))

    def skip(self) -> None:
        """There is nothing to pass over."""


class _Links:
    """Names that the files of one sequence of entries have got, by their inodes, so that later ones are links."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], bytes] = {}

    def entry(self, file: Difference, status: os.stat_result, name: bytes) -> Entry | None:
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        if kind is not Kind.DIRECTORY and status.st_nlink > 1:
            first = self._first.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                return entry_of(file, status, Kind.HARD_LINK, name, first)
        link = os.readlink(file.name, dir_fd=file.directory) if kind is Kind.SYMLINK else b""
        entry = entry_of(file, status, kind, name, link)
        if kind is not Kind.FILE:
            return entry
        return replace(entry, content=_FileData(file.directory, file.name))


def tree_entries(tree: Path, keep: Callable[[bytes, bool], bool] = lambda _path, _directory: True) -> Iterator[Entry]:
    """Yield what is in a directory, parents first and sorted, by names relative to it; sockets are left out.

    `keep` says of a name, and whether it is a directory's, that it is wanted; what is in a directory that is not is
    asked for all the same. Nothing may change in the tree, and the content of an entry is read before the next one is
    asked for. Files with several names are hard links after the first.
    """
    links = _Links()
    for file in compare(None, tree):
        if file.path and file.status is not None and keep(file.path, stat.S_ISDIR(file.status.st_mode)):
            entry = links.entry(file, file.status, file.path)
            if entry is not None:
                yield entry


def file_entries(directory: int, name: bytes) -> Iterator[Entry]:
    """Yield what has a name in an open directory, without what is in it; nothing for a socket.

    Raises `FileNotFoundError`.
    """
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    file = Difference(name, ChangeKind.ADDED, status, read_attributes(directory, name), directory)
    entry = _Links().entry(file, status, name)
    if entry is not None:
        yield entry
