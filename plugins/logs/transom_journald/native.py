"""What is said to journald: its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), and that it should have
everything on disk (io.systemd.Journal, https://varlink.org).

An entry is a datagram with fields. One that is too long for that is sent as a file in memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

__all__ = ["Journal", "encode_field", "field_name"]

_LENGTH = struct.Struct("<Q")
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_SYNCHRONIZE = b'{"method":"io.systemd.Journal.Synchronize"}\0'
#: Seconds that journald may take to write everything to disk.
_PATIENCE = 5


def field_name(text: str) -> str:
    """Return text as the name of a field: upper-case letters, digits and underscores, and none of these in front."""
    upper = (character.upper() if "a" <= character <= "z" else character for character in text)
    name = "".join(character if character.isascii() and character.isalnum() else "_" for character in upper)
    return name.lstrip("_")


def encode_field(name: str, value: bytes) -> bytes:
    """Return a field as journald takes it."""
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name.encode(), _LENGTH.pack(len(value)), value)
    return b"%b=%b\n" % (name.encode(), value)


class Journal:
    """A connection to journald. Everything raises `OSError` if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._connect()

    def send(self, entry: bytes) -> None:
        """Send an entry; if journald was restarted, to the new one."""
        try:
            self._send(entry)
        except (ConnectionRefusedError, ConnectionResetError):
            self._connect()
            self._send(entry)

    def synchronize(self) -> None:
        """Wait until journald has everything on disk, if it can say that, and not for long."""
        try:
            with socket.socket(socket.AF_UNIX) as varlink:
                varlink.settimeout(_PATIENCE)
                varlink.connect(str(self._path.with_name("io.systemd.journal")))
                varlink.sendall(_SYNCHRONIZE)
                varlink.recv(4096)
        except OSError:
            # What was sent is in the socket all the same; readers see it a moment later.
            return

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _connect(self) -> None:
        try:
            self._socket.connect(str(self._path))
        except OSError as error:
            raise OSError(error.errno, f"journald does not listen: {error.strerror}", str(self._path)) from error

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            file = os.memfd_create("transom-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                with open(file, "wb", closefd=False) as content:
                    content.write(entry)
                fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
                socket.send_fds(self._socket, [b""], [file])
            finally:
                os.close(file)
