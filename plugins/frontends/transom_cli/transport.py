"""HTTP/1.1 (RFC 9112) over one socket, as much of it as a client of the Docker Engine API needs.

The standard library's `http.client` imports `email` and `ssl`, which takes longer than all the rest of `ps`,
and has no way to take over a connection that was upgraded.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from transom_cli.errors import CommandFailed, Unreachable

__all__ = ["Address", "Connection", "Response", "encode_query", "parse_host"]

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Address(NamedTuple):
    """Where a daemon listens: a path for a Unix socket, or a host name and a port."""

    host: str
    path: str = ""
    name: str = ""
    port: int = 0

    def connect(self) -> socket.socket:
        """Return a connected socket. Raises `OSError`."""
        if not self.path:
            connected = socket.create_connection((self.name, self.port))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        unix = socket.socket(socket.AF_UNIX)
        try:
            unix.connect(self.path)
        except BaseException:
            unix.close()
            raise
        return unix


def parse_host(host: str) -> Address:
    """Return the address that a `-H` or DOCKER_HOST means: `unix://PATH`, `tcp://NAME:PORT` or `http://NAME:PORT`."""
    scheme, found, rest = host.partition("://")
    if found and scheme == "unix" and rest:
        return Address(host, path=rest)
    if found and scheme in ("tcp", "http"):
        name, _, port = rest.rstrip("/").rpartition(":")
        if name and port.isdecimal() and int(port) < 65536:
            return Address(host, name=name.strip("[]"), port=int(port))
    raise CommandFailed(f"invalid host {host!r}: write unix:///PATH or tcp://NAME:PORT")


def encode_query(parameters: dict[str, Any]) -> str:
    """Return parameters as a query string with its question mark; None and False are left out."""
    pairs = []
    for name, value in parameters.items():
        if value is None or value is False:
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            text = "1" if item is True else json.dumps(item) if isinstance(item, dict) else str(item)
            pairs.append(f"{name}={quote(text)}")
    return "?" + "&".join(pairs) if pairs else ""


def quote(text: str) -> str:
    """Percent-encode everything but RFC 3986's unreserved characters."""
    return "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode(errors="surrogateescape")
    )


class Response:
    """The head of an answer, and its body as it arrives."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.connection = connection
        self._reader = connection.reader
        version, self.status = self._status_line()
        self.headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        coding = self.headers.get("transfer-encoding", "").lower()
        self._bodiless = method == "HEAD" or self.status in (101, 204, 304)
        self._chunked = coding == "chunked"
        length = self.headers.get("content-length")
        self._length = int(length) if length is not None and length.isdecimal() else None
        bounded = self._bodiless or self._chunked or self._length is not None
        self.reusable = bounded and version == "HTTP/1.1" and self.headers.get("connection", "").lower() != "close"

    def _line(self) -> str:
        try:
            line = self._reader.readline(65537)
        except OSError as error:
            raise self.connection.lost(error.strerror) from error
        if not line.endswith(b"\n"):
            raise self.connection.lost("it closed the connection before it answered")
        return line.strip().decode("latin-1")

    def _status_line(self) -> tuple[str, int]:
        version, _, rest = self._line().partition(" ")
        code = rest.partition(" ")[0]
        if not version.startswith("HTTP/1.") or not code.isdecimal():
            raise self.connection.lost("its answer is not HTTP")
        return version, int(code)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive."""
        if self._bodiless:
            return
        if self._chunked:
            while size := self._chunk_size():
                yield from self._exactly(size)
                self._line()
            while self._line():
                pass
        elif self._length is not None:
            yield from self._exactly(self._length)
        else:
            while data := self._some(65536):
                yield data

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.chunks())

    def lines(self) -> Iterator[bytes]:
        """Yield the body's lines as they arrive, without their ends; empty ones are left out."""
        pending = b""
        for data in self.chunks():
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line.strip()
        if pending.strip():
            yield pending.strip()

    def _chunk_size(self) -> int:
        text = self._line().partition(";")[0]
        try:
            return int(text, 16)
        except ValueError:
            raise self.connection.lost("its answer has a malformed chunk") from None

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self._some(min(size, 65536))
            if not data:
                raise self.connection.lost("it closed the connection in the middle of an answer")
            size -= len(data)
            yield data

    def _some(self, size: int) -> bytes:
        try:
            return self._reader.read1(size)
        except OSError as error:
            raise self.connection.lost(error.strerror) from error


class Connection:
    """One connection to a daemon. Raises `OSError` if it cannot be made."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket = address.connect()
        self.reader = self.socket.makefile("rb")

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> Response:
        """Send a request and return the answer's head. Raises `Unreachable` if the daemon hangs up."""
        host = f"{self.address.name}:{self.address.port}" if self.address.name else "localhost"
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: transom"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        elif method == "POST":
            head.append("Content-Length: 0")
        try:
            self.socket.sendall("\r\n".join([*head, "", ""]).encode() + (body or b""))
        except OSError as error:
            raise self.lost(error.strerror) from error
        return Response(self, method)

    def idle(self) -> bool:
        """Return whether a next request can be sent: nothing has arrived unasked, not even the end."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        self.reader.close()
        self.socket.close()

    def lost(self, reason: str | None) -> Unreachable:
        """Return the error for a connection that broke."""
        return Unreachable(f"the connection to the daemon at {self.address.host} broke: {reason}")
