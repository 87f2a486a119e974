"""A daemon that answers what a test tells it to, on a Unix socket."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from transom_cli.main import main

Reply = Callable[["Request"], None]


@dataclass
class Request:
    """One request, and the connection that it came on."""

    method: str
    target: str
    body: bytes
    connection: socket.socket
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without the version and the query."""
        return re.sub(r"^/v[\d.]+", "", self.target.partition("?")[0])

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def answer(self, value: Any = None, status: int = 200, headers: str = "") -> None:
        """Send JSON, or nothing for None."""
        body = b"" if value is None else json.dumps(value).encode()
        self.connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def upgrade(self) -> None:
        """Turn the connection into a raw stream."""
        self.connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")

    def hang_up(self) -> None:
        """End the connection, for a reader that has it too."""
        self.connection.shutdown(socket.SHUT_RDWR)


def _body(reader: IO[bytes], headers: dict[str, str]) -> bytes | None:
    """Return a request's body, whether its length was said before or with each chunk; None if it breaks off."""
    if headers.get("transfer-encoding") != "chunked":
        return reader.read(int(headers.get("content-length", 0)))
    body = b""
    while line := reader.readline():
        size = int(line, 16)
        body += reader.read(size)
        reader.readline()
        if not size:
            return body
    return None


def frame(stream: int, data: bytes) -> bytes:
    """Return data as a frame of the multiplexed stream."""
    return struct.pack(">BxxxL", stream, len(data)) + data


@dataclass
class FakeDaemon:
    """Answers by method and path; what no route matches is 404. `requests` has all but the pings."""

    path: Path
    api_version: str = "1.50"
    routes: dict[tuple[str, str], Reply | Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    @property
    def asked(self) -> list[str]:
        """The requests as `METHOD /path`."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def on(self, method: str, path: str, reply: Reply | Any) -> None:
        """Answer a request with JSON, or by calling something with the request."""
        self.routes[method, path] = reply

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        # A client may go away before it has its answer.
        with suppress(ConnectionError), connection, reader:
            while line := reader.readline():
                method, target, _ = line.decode().split(" ")
                headers = {}
                while header := reader.readline().strip().decode():
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = _body(reader, headers)
                if body is None:
                    return
                self._reply(Request(method, target, body, connection, headers))

    def _reply(self, request: Request) -> None:
        if request.target == "/_ping":
            request.answer(headers=f"Api-Version: {self.api_version}\r\n")
            return
        self.requests.append(request)
        reply = self.routes.get((request.method, request.path))
        if reply is None:
            request.answer({"message": f"No such thing: {request.path}"}, 404)
        elif callable(reply):
            reply(request)
        else:
            request.answer(reply)


@pytest.fixture(autouse=True)
def nobodys_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the user of the tests has configured is not looked at."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-configuration"))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    fake = FakeDaemon(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(fake.path))
    listener.listen()
    threading.Thread(target=fake.serve, args=(listener,), daemon=True).start()
    yield fake
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def transom(daemon: FakeDaemon) -> Callable[..., int]:
    """Run the command against the fake daemon; returns the exit status."""

    def run(*arguments: str) -> int:
        return main(["-H", daemon.host, *arguments])

    return run


@pytest.fixture
def framed() -> Callable[[int, bytes], bytes]:
    return frame
