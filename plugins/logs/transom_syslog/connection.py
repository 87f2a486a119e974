"""The way to a syslog server: a socket of its protocol, which is made again when it breaks."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from transom_syslog.address import Address

__all__ = ["Connection"]

#: Seconds that a server may take to take a connection.
_PATIENCE = 10
_KINDS = {"unix": socket.SOCK_STREAM, "unixgram": socket.SOCK_DGRAM}
#: Where the machine's own server listens.
_LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")


class Connection:
    """A connection to a server. Everything raises `OSError` if it is not there."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = _connect(address)

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages. What could not be sent is tried once more on a new connection."""
        if self._socket is not None:
            try:
                self._send(self._socket, messages)
                return
            except OSError:
                self.close()
        self._socket = _connect(self._address)
        self._send(self._socket, messages)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, connection: socket.socket, messages: Sequence[bytes]) -> None:
        if connection.type is socket.SOCK_DGRAM:
            for message in messages:
                connection.send(message)
        else:
            connection.sendall(b"".join(messages))


def _connect(address: Address) -> socket.socket:
    if not address.protocol:
        return _connect_here()
    try:
        if address.protocol in ("unix", "unixgram"):
            return _connect_to(_KINDS[address.protocol], address.path)
        return _connect_over_network(address)
    except OSError as error:
        place = address.path or f"{address.host}:{address.port}"
        protocol = address.protocol.removesuffix("+tls")
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"dial {protocol} {place}: connect: {reason[:1].lower()}{reason[1:]}") from error


def _connect_over_network(address: Address) -> socket.socket:
    if address.protocol == "udp":
        return _connect_over_udp(address)
    connection = socket.create_connection((address.host, address.port), _PATIENCE)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.protocol == "tcp+tls":
            connection = _secure(connection, address)
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_here() -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for path in _LOCAL:
            try:
                return _connect_to(kind, path)
            except OSError:
                continue
    raise OSError("Unix syslog delivery error: nobody listens on this machine")


def _connect_to(kind: socket.SocketKind, path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_over_udp(address: Address) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


def _secure(connection: socket.socket, address: Address) -> socket.socket:
    import ssl

    context = ssl.create_default_context(cafile=address.ca_cert or None)
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if address.cert:
        context.load_cert_chain(address.cert, address.key or None)
    return context.wrap_socket(connection, server_hostname=address.host)
