"""Libraries of the machine that are optional."""

from __future__ import annotations

import ctypes

__all__ = ["can_load", "find_symbol"]


def can_load(name: str) -> bool:
    """Return whether the dynamic loader finds a library (dlopen(3)) by a name such as `libfuse3.so.3`."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def find_symbol(library: int, name: str, version: str) -> int:
    """Return the address that a name has in a loaded library in one of its versions (dlvsym(3)); 0 if there is none.

    Without a version the linker may give the name's oldest meaning. Where the C library knows none, it has one meaning.
    """
    process = ctypes.CDLL(None)
    try:
        find, versions = process.dlvsym, [version.encode()]
    except AttributeError:
        find, versions = process.dlsym, []
    find.restype = ctypes.c_void_p
    return find(ctypes.c_void_p(library), name.encode(), *versions) or 0
