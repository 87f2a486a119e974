"""How the modules of this package reach libc."""

from __future__ import annotations

import ctypes
import os

__all__ = ["check", "encode", "libc"]

libc = ctypes.CDLL(None, use_errno=True)


def encode(path: str | bytes | os.PathLike[str] | None) -> bytes | None:
    """Return a path as the bytes that the kernel sees."""
    return None if path is None else os.fsencode(path)


def check(result: int, call: str, path: str | bytes | os.PathLike[str] | None = None) -> int:
    """Return the result of a system call, or raise `OSError` if it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        name = os.fsdecode(path) if path is not None else None
        raise OSError(number, f"{call}: {os.strerror(number)}", name)
    return result
