"""How a layer says that something of the layers below it is gone.

In an archive by names (OCI image specification, layer.md, "Whiteouts"); in a directory of overlayfs by a
device and an extended attribute (kernel documentation, filesystems/overlayfs, "whiteouts and opaque
directories").
"""

from __future__ import annotations

import enum
import os
import stat

from transom.errors import CorruptContent, Unsupported

__all__ = [
    "AUFS_PREFIX",
    "OPAQUE_ATTRIBUTE",
    "OPAQUE_NAME",
    "PREFIX",
    "Whiteouts",
    "check_storable",
    "hidden_name",
    "is_attribute_of_layer",
    "is_whiteout_device",
    "whiteout_name",
]

#: A file of this prefix and a name says that the name is gone.
PREFIX = b".wh."
#: Other names that begin like this are aufs's own and mean nothing.
AUFS_PREFIX = b".wh..wh."
#: A file of this name says that all that the layers below have in its directory is gone.
OPAQUE_NAME = b".wh..wh..opq"
#: The attribute of a directory that hides what the layers below have there, if its value is `y`.
OPAQUE_ATTRIBUTE = b"trusted.overlay.opaque"

#: What overlayfs keeps for itself, and labels that belong to the machine and not to the layer.
_FOREIGN = (b"trusted.overlay.", b"user.overlay.", b"security.selinux")


class Whiteouts(enum.Enum):
    """What to do with the whiteouts of an archive."""

    #: Remove from the tree what they name, if it was there before.
    APPLY = enum.auto()
    #: Keep them in the tree, in overlayfs's form.
    OVERLAY = enum.auto()
    #: There are none: the archive is no layer, and every name means itself.
    NONE = enum.auto()


def hidden_name(name: bytes) -> bytes | None:
    """Return what a whiteout's file name hides: a name, b"" for the whole directory, None if nothing.

    Raises `CorruptContent` for a whiteout of no name or of the directory itself.
    """
    if name == OPAQUE_NAME:
        return b""
    if name.startswith(AUFS_PREFIX):
        return None
    hidden = name[len(PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise CorruptContent(f"the archive has a whiteout {name.decode()!r} that names nothing")
    return hidden


def whiteout_name(name: bytes) -> bytes:
    """Return the name of the file that hides a name."""
    return PREFIX + name


def is_whiteout_device(status: os.stat_result) -> bool:
    """Return whether this is what overlayfs hides a name with: a character device 0/0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_attribute_of_layer(name: bytes) -> bool:
    """Return whether an extended attribute is part of a layer. Others are neither written nor set."""
    return not name.startswith(_FOREIGN)


def check_storable(name: bytes, path: bytes) -> None:
    """Raise `Unsupported` for a file that an archive would turn into a whiteout."""
    if name.startswith(PREFIX):
        raise Unsupported(
            f"cannot store {path.decode('utf-8', 'backslashreplace')!r} in a layer: "
            "names that begin with .wh. say what was removed; rename it"
        )
