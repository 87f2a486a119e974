"""Libraries of the machine that are optional."""

from __future__ import annotations

import ctypes

__all__ = ["can_load"]


def can_load(name: str) -> bool:
    """Return whether the dynamic loader finds a library (dlopen(3)) by a name such as `libfuse3.so.3`."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
