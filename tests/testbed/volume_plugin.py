"""A volume plugin as others write them: a process of its own in life, a thread of the test here."""

from __future__ import annotations

import contextlib
import json
import shutil
import socketserver
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

__all__ = ["VolumePlugin"]

Json = dict[str, Any]


class VolumePlugin:
    """Serves Docker's volume plugin protocol, with volumes as directories, until the `with` block ends.

    It listens at the socket `place`, or where that is None at a port of loopback, with TLS if there is a context. The
    option `colour` is the only one that it knows. `answers` replaces what it says to a method: another answer, a number
    for a status with the text of an error, or a function.
    """

    def __init__(self, root: Path, place: Path | None, context: ssl.SSLContext | None = None) -> None:
        self.root = root
        self.calls: list[tuple[str, Json]] = []
        self.answers: dict[str, Json | tuple[int, bytes] | Callable[[Json], Json]] = {}
        self.users: dict[str, set[str]] = {}
        root.mkdir(exist_ok=True)
        plugin = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                status, answer = plugin.answer(self.path[1:], json.loads(body or b"{}"))
                with contextlib.suppress(BrokenPipeError):  # who has stopped to wait
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def address_string(self) -> str:
                return "transom"

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        if place is None:
            self._server: socketserver.BaseServer = _TcpServer(("127.0.0.1", 0), Handler)
            self.port = self._server.socket.getsockname()[1]
            if context is not None:
                self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            self._server = _UnixServer(str(place), Handler)
        self._place = place
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> VolumePlugin:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, asked: Json) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        self.calls.append((method, asked))
        prepared = self.answers.get(method)
        if isinstance(prepared, tuple):
            return prepared
        if callable(prepared):
            prepared = prepared(asked)
        try:
            answer = prepared if prepared is not None else getattr(self, method.rpartition(".")[2].lower())(asked)
        except FileNotFoundError:
            answer = {"Err": f"volume {asked['Name']} not found"}
        return 200, json.dumps({"Err": "", **answer}).encode()

    def called(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(name == method for name, _ in self.calls)

    # The methods

    def activate(self, _asked: Json) -> Json:
        return {"Implements": ["VolumeDriver"]}

    def capabilities(self, _asked: Json) -> Json:
        return {"Capabilities": {"Scope": "global"}}

    def create(self, asked: Json) -> Json:
        for option in asked["Opts"] or {}:
            if option != "colour":
                return {"Err": f"unknown option {option}"}
        (self.root / asked["Name"]).mkdir()
        return {}

    def remove(self, asked: Json) -> Json:
        (self.root / asked["Name"]).stat()
        shutil.rmtree(self.root / asked["Name"])
        return {}

    def mount(self, asked: Json) -> Json:
        (self.root / asked["Name"]).stat()
        self.users.setdefault(asked["Name"], set()).add(asked["ID"])
        return self.path(asked)

    def unmount(self, asked: Json) -> Json:
        (self.root / asked["Name"]).stat()
        self.users.get(asked["Name"], set()).discard(asked["ID"])
        return {}

    def path(self, asked: Json) -> Json:
        return {"Mountpoint": str(self.root / asked["Name"])}

    def get(self, asked: Json) -> Json:
        (self.root / asked["Name"]).stat()
        return {"Volume": {"Name": asked["Name"], **self.path(asked), "Status": {"users": len(self.users)}}}

    def list(self, _asked: Json) -> Json:
        return {"Volumes": [{"Name": path.name, "Mountpoint": str(path)} for path in self.root.iterdir()]}


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
