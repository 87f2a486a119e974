"""A file that a command sends to the daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from transom_cli.errors import CommandFailed

__all__ = ["open_input"]

_CHUNK = 1 << 18


@contextmanager
def open_input(path: str) -> Iterator[Iterator[bytes]]:
    """Give the content of a file, or of standard input for `-`, piece by piece. Raises `CommandFailed`."""
    if path == "-":
        yield _read(0, "standard input")
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandFailed(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        yield _read(descriptor, path)
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: str) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise CommandFailed(f"read {path}: {(error.strerror or str(error)).lower()}") from error
        if not data:
            return
        yield data
