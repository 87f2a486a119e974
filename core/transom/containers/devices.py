"""Devices of the machine that a container gets (`--device`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transom.containers.model import Device
from transom.errors import InvalidParameter, Unsupported

__all__ = ["Node", "check_device", "find_nodes"]

#: What of a directory of devices is the container's own.
_OWN = frozenset(("pts", "ptmx", "shm", "fd", "mqueue", "console"))


@dataclass(frozen=True)
class Node:
    """A device node to be made: its path in the container, its kind (`b` or `c`), numbers, permissions and owner."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str


def check_device(device: Device) -> None:
    """Raise `InvalidParameter` for a device that cannot be, `Unsupported` for one by its CDI name."""
    if not device.source.startswith("/"):
        if "=" in device.source:
            raise Unsupported(
                f"devices by CDI name are not supported: give the path of the device, not {device.source}"
            )
        raise InvalidParameter(f"invalid device path: {device.source!r} must be absolute")
    if not device.destination.startswith("/"):
        raise InvalidParameter(f"{device.destination} is not an absolute path")
    if not device.permissions or not set(device.permissions) <= set("rwm"):
        raise InvalidParameter(f"invalid device mode: {device.permissions}")


def find_nodes(device: Device) -> Iterator[Node]:
    """Give the nodes of a device, or of all devices in a directory. Raises `InvalidParameter` if there are none."""
    found = False
    for path in _paths(device.source):
        node = _node(path, device)
        if node is not None:
            found = True
            yield node
    if not found:
        raise _missing(device, "not a device node")


def _paths(source: str) -> Iterator[Path]:
    """Give a path, or all files below a directory but for those that every container has of its own."""
    yield Path(source)
    for directory, below, files in os.walk(source):
        below[:] = [name for name in below if name not in _OWN]
        yield from (Path(directory, name) for name in sorted(files) if name not in _OWN)


def _node(path: Path, device: Device) -> Node | None:
    named = path == Path(device.source)
    try:
        # In a directory a link is no device, and what is there may go away.
        status = path.stat(follow_symlinks=named)
    except OSError as error:
        if not named:
            return None
        raise _missing(device, (error.strerror or "").lower()) from error
    if not stat.S_ISBLK(status.st_mode) and not stat.S_ISCHR(status.st_mode):
        return None
    below = os.path.relpath(path, device.source)
    return Node(
        path=device.destination if below == "." else f"{device.destination.rstrip('/')}/{below}",
        kind="b" if stat.S_ISBLK(status.st_mode) else "c",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        access=device.permissions,
    )


def _missing(device: Device, reason: str) -> InvalidParameter:
    return InvalidParameter(
        f'error gathering device information while adding custom device "{device.source}": {reason}'
    )
