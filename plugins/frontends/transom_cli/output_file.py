"""A file that a command writes what it got to: all of it, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from transom_cli.errors import CommandFailed

__all__ = ["check_path", "write_output", "write_to_standard_output"]


def write_to_standard_output(chunks: Iterable[bytes]) -> None:
    """Write binary data to standard output."""
    _write(1, chunks)


def check_path(path: str) -> None:
    """Raise `CommandFailed` if no file can be there, before anything is asked of the daemon."""
    target = Path(path)
    if not target.parent.is_dir():
        raise CommandFailed(f'invalid output path: directory "{target.parent}" does not exist')
    if target.is_dir() or target.is_socket() or target.is_block_device():
        raise CommandFailed(f'invalid output path: "{path}" must be a regular file, a pipe or a terminal')


def write_output(path: str, chunks: Iterable[bytes]) -> None:
    """Write binary data to a file, which is there under its name only when all of it is. Raises `CommandFailed`."""
    target = Path(path).resolve()
    try:
        if target.exists() and not target.is_file():
            # A device or a pipe, which nothing can take the place of.
            with open(target, "wb", buffering=0) as device:
                _write(device.fileno(), chunks)
            return
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        temporary = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                _write(file.fileno(), chunks)
            temporary.rename(target)
        except BaseException:
            temporary.unlink()
            raise
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _write(descriptor: int, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view) :]
