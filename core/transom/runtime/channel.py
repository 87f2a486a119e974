"""Messages between the daemon, the spawner and the shims: one JSON object per packet, with file descriptors.

The socket is of type SOCK_SEQPACKET, so a packet is a whole message and the other end's death is an end of file. The
modules of this package are loaded in every shim: they import little, and use plain dicts for messages.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

__all__ = ["Channel", "connect", "listen"]

Message = dict[str, Any]

#: The longest message, below the kernel's default limit for a packet (net.core.wmem_default).
LIMIT = 128 << 10
_MOST_DESCRIPTORS = 4


class Channel:
    """One end of a connection. Sending is atomic; receiving is for one reader."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected ends."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(left), cls(right)

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Channel:
        """Take over a descriptor that was inherited or received."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Return the descriptor, for polling."""
        return self._socket.fileno()

    def send(self, message: Message, *descriptors: int) -> None:
        """Send a message. Raises `OSError` if the other end is gone or the message is longer than `LIMIT`."""
        data = json.dumps(message, separators=(",", ":")).encode()
        if descriptors:
            socket.send_fds(self._socket, [data], descriptors)
        else:
            self._socket.send(data)

    def receive(self) -> tuple[Message, list[int]] | None:
        """Return the next message and its descriptors, the caller's to close; None when the other end is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, LIMIT, _MOST_DESCRIPTORS)
        except ConnectionError:
            return None
        if not data:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return json.loads(data), descriptors

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def listen(directory: Path, name: str) -> socket.socket:
    """Return a listening socket `name` in a directory, in the place of one that an earlier process left."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _reachable(directory) as path:
        try:
            os.unlink(f"{path}/{name}")
        except FileNotFoundError:
            pass
        listener.bind(f"{path}/{name}")
    listener.listen(8)
    return listener


def connect(directory: Path, name: str) -> Channel:
    """Connect to the socket `name` in a directory. Raises `OSError` if nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _reachable(directory) as path:
            connection.connect(f"{path}/{name}")
    except BaseException:
        connection.close()
        raise
    return Channel(connection)


class _reachable:  # noqa: N801 used as a function in a with statement
    """A short path of a directory, since a socket's address has 108 bytes and data roots may be deep."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> str:
        self._descriptor = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
