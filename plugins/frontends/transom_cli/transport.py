"""HTTP/1.1 over one socket that can be taken over, when it was upgraded, as a raw stream both ways.

h11 speaks the protocol. The standard library's `http.client` imports `email` and `ssl`, which takes longer than all the
rest of `ps`, and does not give away the bytes behind an upgrade.
"""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import h11

from transom_cli.errors import CommandFailed, Unreachable

__all__ = ["Address", "Connection", "Response", "Sending", "encode_query", "parse_host"]

_NAME_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORT = 2375
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
    """Return the address that a `-H` or DOCKER_HOST means: `unix://PATH`, `tcp://NAME[:PORT]` or `http://NAME[:PORT]`."""
    scheme, found, rest = host.partition("://")
    if found and scheme == "unix" and rest:
        return Address(host, path=rest)
    if found and scheme in ("tcp", "http"):
        match = _NAME_AND_PORT.fullmatch(rest.rstrip("/"))
        if match and int(match[2] or _DEFAULT_PORT) < 65536:
            return Address(host, name=match[1].strip("[]"), port=int(match[2] or _DEFAULT_PORT))
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
    """The head of an answer, its header names in lower case, and its body as it arrives."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        event = connection.next_event()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = connection.next_event()
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise connection.lost("it closed the connection before it answered")
        self.status: int = event.status_code
        self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}

    def chunks(self) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive."""
        while isinstance(event := self.connection.next_event(), h11.Data):
            yield bytes(event.data)

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


class Sending:
    """A body on its way to the daemon. `failure` is why it could not be made, on which the connection is cut."""

    def __init__(self, connection: socket.socket, body: Iterable[bytes]) -> None:
        import threading  # few commands send long bodies

        self.failure: CommandFailed | None = None
        self._connection = connection
        self._body = body
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for piece in self._body:
                if piece:
                    self._connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self._connection.sendall(b"0\r\n\r\n")
        except CommandFailed as failure:
            self.failure = failure
            self._cut()
        except OSError:
            # The daemon does not read on: its answer says why.
            return

    def _cut(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Connection:
    """One connection to a daemon, with headers for all requests. Raises `OSError` if it cannot be made."""

    def __init__(self, address: Address, headers: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._headers = {"User-Agent": "transom", **(headers or {})}
        self.socket = address.connect()
        self._http = h11.Connection(h11.CLIENT)

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> Response:
        """Send a request and return the answer's head. Raises `Unreachable` if the daemon hangs up."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        fields = {"Host": self._host, **self._headers, **headers}
        if body is not None:
            fields["Content-Type"] = "application/json"
        if body is not None or method == "POST":
            fields["Content-Length"] = str(len(body or b""))
        parts: list[h11.Event] = [h11.Request(method=method, target=target, headers=list(fields.items()))]
        parts += [h11.Data(data=body or b""), h11.EndOfMessage()]
        self._send(*parts)
        return Response(self)

    def upload(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Response:
        """Send a request whose body is made while it is sent, and return the answer's head.

        The body ends early if the daemon refuses it. Raises `Unreachable` if the daemon hangs up.
        """
        fields = {"Host": self._host, **self._headers, "Transfer-Encoding": "chunked", **headers}
        self._send(h11.Request(method=method, target=target, headers=list(fields.items())))
        for piece in body:
            if not self._send(h11.Data(data=piece)):
                break
        else:
            self._send(h11.EndOfMessage())
        return Response(self)

    def send(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Sending:
        """Send a request whose body is made and sent in a thread, so that the answer can be read meanwhile."""
        fields = {"Host": self._host, **self._headers, "Transfer-Encoding": "chunked", **headers}
        self._send(h11.Request(method=method, target=target, headers=list(fields.items())))
        return Sending(self.socket, body)

    def _send(self, *parts: h11.Event) -> bool:
        """Send parts of a request; return False if the daemon does not read on, whose answer may be there already."""
        try:
            self.socket.sendall(b"".join(self._http.send(part) or b"" for part in parts))
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            raise self.lost(error.strerror) from error
        return True

    @property
    def _host(self) -> str:
        return f"{self.address.name}:{self.address.port}" if self.address.name else "localhost"

    def next_event(self) -> object:
        """Return the next part of an answer, as h11 names them. Raises `Unreachable`."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(self.socket.recv(65536))
        except OSError as error:
            raise self.lost(error.strerror) from error
        except h11.RemoteProtocolError as error:
            raise self.lost(f"its answer is not HTTP, or was cut ({error})") from error
        return event

    @property
    def early(self) -> bytes:
        """What came behind the answer's head of an upgraded connection and is not in the socket any more."""
        return self._http.trailing_data[0]

    def reusable(self) -> bool:
        """Return whether a next request can be sent: the last answer was read, and nothing has arrived unasked."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def lost(self, reason: str | None) -> Unreachable:
        """Return the error for a connection that broke."""
        return Unreachable(f"the connection to the daemon at {self.address.host} broke: {reason}")
