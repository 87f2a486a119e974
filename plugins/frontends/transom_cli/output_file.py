"""A file that a command writes what it got to: all of it, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transom_cli.errors import CommandFailed

__all__ = ["check_path", "check_writable", "write_output", "write_to_standard_output"]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link directly",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device file",
    stat.S_IFBLK: "a block device file",
}


def write_to_standard_output(chunks: Iterable[bytes]) -> None:
    """Write binary data to standard output."""
    _write(1, chunks)


def check_path(path: str) -> None:
    """Raise `CommandFailed` if no file can be there, before anything is asked of the daemon."""
    target = Path(path)
    try:
        if not stat.S_ISDIR(target.parent.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandFailed(f"invalid output path: stat {target.parent}: {reason}") from error
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CommandFailed(f"failed to stat output path: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISREG(mode):
        raise CommandFailed(f"cannot write to {_KINDS[stat.S_IFMT(mode)]}")


def check_writable(path: str) -> None:
    """Raise `CommandFailed` if no file can be written there, before anything is asked of the daemon."""
    check_path(path)
    with _failing(path), tempfile.TemporaryFile(dir=Path(path).parent):
        pass


def write_output(path: str, chunks: Iterable[bytes]) -> None:
    """Write binary data to a file, which is there under its name only when all of it is. Raises `CommandFailed`."""
    target = Path(path)
    with _failing(path):
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        temporary = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                _write(file.fileno(), chunks)
            temporary.rename(target)
        except BaseException:
            temporary.unlink()
            raise


@contextmanager
def _failing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _write(descriptor: int, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view) :]
