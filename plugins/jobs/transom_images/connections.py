"""Connections that can be given up while they wait.

A plain blocking `recv` that waits for a silent server cannot be told that its job was cancelled. The sockets
here wait in short turns, and between the turns ask whether to go on. `requests` is taught to use them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import resolve_cert_reqs

__all__ = ["TURN", "Adapter", "Patience", "Trust"]

#: Seconds of one turn of waiting: how long a cancelled job may go on.
TURN = 0.2

#: How much of a request's body is read and sent at once, in bytes.
_BLOCK = 256 << 10

#: Adds to a TLS context what a server, by name and port, is to be known by, and what it is to know us by.
Trust = Callable[[ssl.SSLContext, str, int], None]

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a connection, and for the next byte on it.

    `check` is called in every turn; what it raises ends the waiting.
    """

    check: Callable[[], None]
    connect: float = 10.0
    silence: float = 30.0

    def wait(self, turn: Callable[[], T]) -> T:
        """Call `turn` until it returns; each `TimeoutError` of it is one turn in vain."""
        deadline = time.monotonic() + self.silence
        while True:
            self.check()
            try:
                return turn()
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"nothing came for {self.silence:g} seconds") from None


class _Socket(socket.socket):
    """A TCP socket whose reads and writes are patient.

    It is `cut` when its peer has answered without taking all that it was sent: nothing can be said on it any more.
    """

    patience: Patience
    cut = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        receive = partial(super().recv_into, buffer, nbytes, flags)
        return self.patience.wait(receive)

    def sendall(self, data: Any, flags: int = 0) -> None:
        left = memoryview(data).cast("B")
        while left:
            left = left[self.patience.wait(partial(self._send_some, left, flags)) :]

    def _send_some(self, data: memoryview, flags: int) -> int:
        try:
            return self.send(data, flags)
        except TimeoutError:
            if not _is_readable(self):
                raise
        # A server that does not want the rest says so and stops to read. urllib3 reads the answer then.
        self.cut = True
        raise BrokenPipeError(errno.EPIPE, "the answer came before the whole request was sent")


class _TLSSocket(ssl.SSLSocket):
    """A TLS socket whose handshake and reads are patient. It finds its patience in its context."""

    def do_handshake(self, block: bool = False) -> None:
        self._patience.wait(partial(super().do_handshake, block))

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        return self._patience.wait(partial(super().recv_into, buffer, nbytes, flags))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send some bytes; `sendall` calls it."""
        return self._patience.wait(partial(super().send, data, flags))

    @property
    def _patience(self) -> Patience:
        return cast("_Context", self.context).patience


class _Context(ssl.SSLContext):
    """The TLS context of one connection."""

    patience: Patience
    sslsocket_class = _TLSSocket


def _is_readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _connect(host: str, port: int, patience: Patience) -> socket.socket:
    """Connect to the first of the host's addresses that answers. Raises `OSError`."""
    failure = OSError(errno.EHOSTUNREACH, f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = _Socket(family, kind, protocol)
        connection.patience = patience
        try:
            _connect_to(connection, address, patience)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(TURN)
            return connection
    raise failure


def _connect_to(connection: socket.socket, address: Any, patience: Patience) -> None:
    connection.setblocking(False)
    code = connection.connect_ex(address)
    if code == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        deadline = time.monotonic() + patience.connect
        while not poll.poll(TURN * 1000):
            patience.check()
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"no answer for {patience.connect:g} seconds")
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


class _HTTPConnection(HTTPConnection):
    def __init__(self, *arguments: Any, patience: Patience, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.patience = patience

    def _new_conn(self) -> socket.socket:
        try:
            return _connect(self._dns_host, self.port, self.patience)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise NewConnectionError(self, error.strerror or str(error)) from error

    @property
    def is_connected(self) -> bool:
        """Whether another request can be sent."""
        return super().is_connected and not getattr(self.sock, "cut", False)


class _HTTPSConnection(_HTTPConnection, HTTPSConnection):
    def __init__(self, *arguments: Any, trust: Trust, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.trust = trust

    def connect(self) -> None:
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.patience = self.patience
        verified = resolve_cert_reqs(self.cert_reqs) != ssl.CERT_NONE
        context.check_hostname = verified
        if verified:
            self.trust(context, self._tunnel_host or self.host, self._tunnel_port or self.port)
        self.ssl_context = context
        super().connect()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection

    def __init__(self, *arguments: Any, patience: Patience, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn_kw["patience"] = patience


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection

    def __init__(self, *arguments: Any, patience: Patience, trust: Trust, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn_kw.update(patience=patience, trust=trust)

    def _validate_conn(self, conn: Any) -> None:
        """Connect. urllib3 would warn of each server that is not verified, which is what the configuration asks for."""
        if conn.is_closed:
            conn.connect()


class Adapter(HTTPAdapter):
    """What a `requests.Session` mounts to have patient connections, `connections` of them per host.

    `trust` is called for each connection with TLS whose server is verified.
    """

    def __init__(self, patience: Patience, trust: Trust, connections: int) -> None:
        self._patience = patience
        self._trust = trust
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=_BLOCK, **options)
        self._use_patience(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pools for a proxy, as patient as the others."""
        pools = super().proxy_manager_for(proxy, blocksize=_BLOCK, **options)
        self._use_patience(pools)
        return pools

    def _use_patience(self, pools: Any) -> None:
        pools.pool_classes_by_scheme = {
            "http": partial(_HTTPPool, patience=self._patience),
            "https": partial(_HTTPSPool, patience=self._patience, trust=self._trust),
        }
