"""How overlayfs writes into an upper layer what it hides (kernel documentation, filesystems/overlayfs)."""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["WHITEOUT", "is_own_attribute", "is_opaque", "mark_opaque", "opaque_attribute"]

#: The mode of a whiteout, a character device 0/0.
WHITEOUT = stat.S_IFCHR

#: What overlayfs calls its attributes for root, and for others (mount option `userxattr`).
_PREFIXES = (b"trusted.overlay.", b"user.overlay.")
_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP)


def is_own_attribute(name: bytes) -> bool:
    """Return whether an extended attribute belongs to the union and not to its files."""
    return name.startswith(_PREFIXES)


def opaque_attribute(work: int) -> bytes:
    """Return the name of the attribute that marks opaque directories, for who works here.

    It is found out with a working directory, which has the attribute afterwards: it is never shown.
    """
    for prefix in _PREFIXES:
        try:
            os.setxattr(work, prefix + b"opaque", b"n")
        except PermissionError:
            continue
        return prefix + b"opaque"
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def is_opaque(descriptor: int) -> bool:
    """Return whether an open directory hides what is below it."""
    for prefix in _PREFIXES:
        try:
            if os.getxattr(descriptor, prefix + b"opaque") == b"y":
                return True
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
    return False


def mark_opaque(descriptor: int, attribute: bytes) -> None:
    """Let an open directory hide what is below it."""
    os.setxattr(descriptor, attribute, b"y")
