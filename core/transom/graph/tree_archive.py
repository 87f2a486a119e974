"""A directory tree, or one file, as an archive, which need not be a layer: names mean themselves."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from transom.drivers.graph import ChangeKind
from transom.graph.archive_writer import END
from transom.graph.comparison import Difference, compare, read_attributes
from transom.graph.file_encoder import FileEncoder
from transom.runtime.syscalls.files import GONE

__all__ = ["write_file", "write_tree"]


def write_tree(tree: Path, name: bytes, *, with_root: bool = True) -> Iterator[bytes]:
    """Yield, in pieces, the archive of a directory, parents first and sorted, in which the directory is called `name`.

    An empty `name` puts what is in it at the top; then `with_root` cannot be. The tree may change meanwhile. Sockets
    have no form in an archive and are left out. Times are in whole seconds, as in Docker's archives.
    """
    encoder = FileEncoder(live=True, whole_seconds=True)
    prefix = name if not name or name.endswith(b"/") else name + b"/"
    for file in compare(None, tree):
        if file.status is None or stat.S_ISSOCK(file.status.st_mode):
            continue
        if file.path:
            yield from encoder.encode(file, file.status, prefix + file.path)
        elif with_root:
            yield from encoder.encode(file, file.status, name.rstrip(b"/"))
    yield END


def write_file(directory: int, name: bytes) -> Iterator[bytes]:
    """Yield, in pieces, the archive of one file in an open directory, which is no directory itself.

    A socket, and what is not there any more, give an empty archive.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in GONE:
            raise
        yield END
        return
    if not stat.S_ISSOCK(status.st_mode):
        file = Difference(name, ChangeKind.ADDED, status, read_attributes(directory, name), directory)
        yield from FileEncoder(live=True, whole_seconds=True).encode(file, status, name)
    yield END
