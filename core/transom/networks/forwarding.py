"""Forwarding in user space: what reaches a published port where the packet filter does not lead it on.

That is what comes to [::1], to an IPv6 address for a container that has none, and all where there is no nftables.
Everything is non-blocking and buffers are bounded: a side that reads slowly is waited for.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from transom.runtime.streams import Loop

__all__ = ["DatagramForward", "StreamForward"]

_CHUNK = 64 << 10
_FULL = 256 << 10
#: Seconds without a datagram after which a client of UDP is forgotten, and how many there may be.
_IDLE = 90.0
_MOST_CLIENTS = 4096

Address = tuple[str, int]


class StreamForward:
    """A listening socket, each of whose connections is led to a target."""

    def __init__(self, loop: Loop, listener: socket.socket, target: Address) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._pairs: set[_Pair] = set()
        listener.setblocking(False)
        loop.add(listener.fileno(), select.EPOLLIN, self._accept)

    def close(self) -> None:
        """Stop listening, and end the connections."""
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        for pair in tuple(self._pairs):
            pair.close()

    def _accept(self, _events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            # It went away again, or there is no descriptor left: the next turn tries again.
            return
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        try:
            server = socket.socket(family, self._listener.type, self._listener.proto)
        except OSError:
            client.close()
            return
        client.setblocking(False)
        server.setblocking(False)
        if server.connect_ex(self._target) not in (0, 115):
            client.close()
            server.close()
            return
        self._pairs.add(_Pair(self._loop, client, server, self._pairs.discard))


class _Pair:
    """Two connections, each of which gets what the other sends."""

    def __init__(
        self, loop: Loop, client: socket.socket, server: socket.socket, on_close: Callable[[_Pair], None]
    ) -> None:
        self._loop = loop
        self._on_close = on_close
        self._ends = (_End(client), _End(server, connecting=True))
        self._closed = False
        for index, end in enumerate(self._ends):
            loop.add(end.socket.fileno(), 0, lambda events, index=index: self._ready(index, events))  # type: ignore[misc]
        self._watch()

    def close(self) -> None:
        """End both connections."""
        if self._closed:
            return
        self._closed = True
        for end in self._ends:
            self._loop.remove(end.socket.fileno())
            end.socket.close()
        self._on_close(self)

    def _ready(self, index: int, events: int) -> None:
        end, other = self._ends[index], self._ends[1 - index]
        try:
            if end.connecting:
                error = end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "connect")
                if events & select.EPOLLOUT:
                    end.connecting = False
            if not end.connecting:
                if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and other.has_room:
                    end.read_into(other)
                end.flush()
                if not other.connecting:
                    other.flush()
        except OSError:
            self.close()
            return
        if all(item.finished for item in self._ends):
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        for index, end in enumerate(self._ends):
            other = self._ends[1 - index]
            events = 0
            if end.connecting or end.waiting:
                events |= select.EPOLLOUT
            if not end.connecting and not end.read_all and other.has_room:
                events |= select.EPOLLIN
            if events != end.events:
                end.events = events
                self._loop.change(end.socket.fileno(), events)


class _End:
    """One connection of a pair, and what waits to be sent to it."""

    def __init__(self, connection: socket.socket, *, connecting: bool = False) -> None:
        self.socket = connection
        self.connecting = connecting
        self.waiting = bytearray()
        #: Its sender has said all, and so the other end gets no more.
        self.read_all = False
        self._ending = False
        self._ended = False
        self.events = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be read for it."""
        return len(self.waiting) < _FULL

    @property
    def finished(self) -> bool:
        """Whether nothing more comes from it or goes to it."""
        return self.read_all and self._ended

    def read_into(self, other: _End) -> None:
        """Read once, for the other end."""
        if self.read_all:
            return
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            other.waiting += data
        else:
            self.read_all = True
            other._ending = True

    def flush(self) -> None:
        """Send what waits, and then its end if that has come."""
        try:
            while self.waiting:
                del self.waiting[: self.socket.send(self.waiting[:_CHUNK])]
        except BlockingIOError:
            return
        if self._ending and not self._ended:
            self._ended = True
            self.socket.shutdown(socket.SHUT_WR)


class DatagramForward:
    """A bound UDP socket whose datagrams are led to a target, and the answers back to their client."""

    def __init__(self, loop: Loop, bound: socket.socket, target: Address) -> None:
        self._loop = loop
        self._bound = bound
        self._target = target
        self._clients: dict[Address, tuple[socket.socket, float]] = {}
        bound.setblocking(False)
        loop.add(bound.fileno(), select.EPOLLIN, self._from_client)

    def close(self) -> None:
        """Stop."""
        for client in tuple(self._clients):
            self._forget(client)
        self._loop.remove(self._bound.fileno())
        self._bound.close()

    def _from_client(self, _events: int) -> None:
        try:
            data, client = self._bound.recvfrom(_CHUNK)
            self._towards_target(client).send(data)
        except OSError:
            # As on any way that a datagram takes: it is lost.
            return

    def _towards_target(self, client: Address) -> socket.socket:
        now = time.monotonic()
        known = self._clients.get(client)
        if known is not None:
            self._clients[client] = known[0], now
            return known[0]
        for other, (_, last) in tuple(self._clients.items()):
            if now - last > _IDLE or len(self._clients) >= _MOST_CLIENTS:
                self._forget(other)
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_DGRAM)
        connection.setblocking(False)
        connection.connect(self._target)
        self._clients[client] = connection, now
        self._loop.add(connection.fileno(), select.EPOLLIN, lambda _: self._from_target(client, connection))
        return connection

    def _from_target(self, client: Address, connection: socket.socket) -> None:
        try:
            self._bound.sendto(connection.recv(_CHUNK), client)
        except OSError:
            return

    def _forget(self, client: Address) -> None:
        connection, _ = self._clients.pop(client)
        self._loop.remove(connection.fileno())
        connection.close()
