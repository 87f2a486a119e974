"""SSH agents of the client, at a socket of the machine: what connects there talks to the client's agent."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from transom.errors import TransomError

__all__ = ["Agent"]

_CHUNK = 1 << 16
#: More than this, in bytes, is not read for an end that does not read itself.
_FULL = 1 << 18


class Agent:
    """One socket. `serve` is done in a thread of its own until `close`; `connect` opens a connection to the agent."""

    def __init__(self, path: Path, connect: Callable[[], socket.socket], owner: tuple[int, int], mode: int) -> None:
        self._connect = connect
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # The path that it has may be longer than an address can be.
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
        os.chown(path, *owner)
        path.chmod(mode)
        self._listener.listen()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._waiting: dict[socket.socket, bytearray] = {}
        self._ended: set[socket.socket] = set()

    def close(self) -> None:
        """Let `serve` end."""
        os.write(self._wake_writer, b"x")

    def serve(self) -> None:
        """Pass data between those who connect and the agent, until `close`."""
        with ExitStack() as stack:
            for descriptor in (self._wake_reader, self._wake_writer):
                stack.callback(os.close, descriptor)
            stack.callback(self._listener.close)
            stack.callback(self._drop_all)
            while True:
                readable = [one for one in self._peers if one not in self._ended and len(self._for(one)) < _FULL]
                writable = [one for one, data in self._waiting.items() if data]
                waiting: list[socket.socket | int] = [self._wake_reader, self._listener, *readable]
                ready, room, _ = select.select(waiting, writable, [])
                if self._wake_reader in ready:
                    return
                for one in room:
                    self._write(one)
                for item in ready:
                    if item is self._listener:
                        self._accept()
                    elif isinstance(item, socket.socket) and item in self._peers:
                        self._read(item)

    def _for(self, one: socket.socket) -> bytearray:
        """Return what one end has said and the other has not got yet."""
        return self._waiting[self._peers[one]]

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = self._connect()
        except TransomError:
            # The client has none, or is gone: whoever connects sees an agent that hangs up.
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setblocking(False)
            self._peers[one] = other
            self._waiting[one] = bytearray()

    def _read(self, one: socket.socket) -> None:
        try:
            data = one.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._drop(one)
            return
        if data:
            self._for(one).extend(data)
            self._write(self._peers[one])
            return
        self._ended.add(one)
        self._finish(self._peers[one])

    def _write(self, one: socket.socket) -> None:
        data = self._waiting.get(one)
        if data is None:
            return
        try:
            while data:
                del data[: one.send(data)]
        except BlockingIOError:
            return
        except OSError:
            self._drop(one)
            return
        self._finish(one)

    def _finish(self, one: socket.socket) -> None:
        """Tell one end that the other says no more, when it has got all; forget both when neither does."""
        other = self._peers[one]
        if other in self._ended and not self._waiting[one]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_WR)
            if one in self._ended and not self._waiting[other]:
                self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        for item in (one, other):
            if item is not None:
                self._peers.pop(item, None)
                self._waiting.pop(item, None)
                self._ended.discard(item)
                item.close()

    def _drop_all(self) -> None:
        while self._peers:
            self._drop(next(iter(self._peers)))
