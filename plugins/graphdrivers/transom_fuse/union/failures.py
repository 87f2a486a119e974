"""The errors of a file system, by number (errno(3))."""

from __future__ import annotations

import os

__all__ = ["failure"]


def failure(number: int) -> OSError:
    """Return the error of a number, of the class that Python has for it."""
    return OSError(number, os.strerror(number))
