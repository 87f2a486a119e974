"""The client's half of a build's session: secrets, SSH agents, local directories, and where results go.

The daemon asks for each on a stream of JSON lines, `{"stream": 1, "kind": "secret", "id": "token"}`, and is answered on
a connection of its own (see `transom_api.sessions`). One thread listens, and one answers each question.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.transport import Response

__all__ = ["Answers", "Session", "opened"]

_CHUNK = 64 << 10


@dataclass(frozen=True)
class Answers:
    """What the daemon may ask for, each by its name: how a secret is read, where an agent listens, what makes a
    directory an archive, and what takes a result."""

    secrets: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, Callable[[], Iterable[bytes]]] = field(default_factory=dict)
    outputs: Mapping[str, Callable[[Iterator[bytes]], None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.secrets or self.agents or self.contexts or self.outputs)


class Session:
    """An open session. `failure` is the first reason for which something could not be answered."""

    def __init__(self, client: Client, answers: Answers) -> None:
        self.name = os.urandom(16).hex()
        self.failure: CommandFailed | None = None
        self._client = client
        self._answers = answers
        self._response: Response = client.stream("POST", "/session", headers={"X-Transom-Session": self.name})
        self._threads: list[threading.Thread] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def finish(self) -> None:
        """Wait for the results that are still on their way. Raises the failure, if there was one."""
        for thread in self._threads:
            thread.join()
        if self.failure:
            raise self.failure

    def close(self) -> None:
        """End the session, and with it the build, if that still runs."""
        connection = self._response.connection
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        connection.close()

    def _listen(self) -> None:
        # The daemon, or `close`, ends the session; who waits for the build hears why.
        with suppress(CommandFailed):
            for wanted in map(json.loads, self._response.lines()):
                thread = threading.Thread(target=self._answer, args=(wanted,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _answer(self, wanted: dict[str, Any]) -> None:
        path = f"/session/{self.name}/streams/{wanted['stream']}"
        try:
            with self._noted():
                self._give(path, str(wanted["kind"]), str(wanted["id"]))
        except CommandFailed:
            with suppress(OSError):
                self._response.connection.socket.shutdown(socket.SHUT_RDWR)

    def _give(self, path: str, kind: str, name: str) -> None:
        answers = self._answers
        if kind == "secret" and name in answers.secrets:
            self._send(path, [answers.secrets[name]()])
        elif kind == "context" and name in answers.contexts:
            self._send(path, self._noting(answers.contexts[name]()))
        elif kind == "ssh" and name in answers.agents:
            self._connect(path, answers.agents[name])
        elif kind == "output" and name in answers.outputs:
            response = self._client.stream("GET", path)
            with closing(response.connection), self._noted():
                answers.outputs[name](response.chunks())
        else:
            self._client.stream("DELETE", path).connection.close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep the reason for a failure, before the daemon is told by a connection that ends."""
        try:
            yield
        except CommandFailed as failure:
            self.failure = self.failure or failure
            raise

    def _noting(self, body: Iterable[bytes]) -> Iterator[bytes]:
        with self._noted():
            yield from body

    def _send(self, path: str, body: Iterable[bytes]) -> None:
        """Send a body, as much of it as is wanted."""
        with self._client.exchange("POST", path, body):
            return

    def _connect(self, path: str, agent: str) -> None:
        with socket.socket(socket.AF_UNIX) as local:
            try:
                local.connect(agent)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise CommandFailed(f"failed to connect to the SSH agent at {agent}: {reason}") from error
            connection = self._client.upgrade(path)
            local.sendall(connection.early)
            _relay(local, connection.socket)
            connection.close()


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Copy between two sockets until either ends."""
    to = {one.fileno(): other, other.fileno(): one}
    poll = select.poll()
    for descriptor in to:
        poll.register(descriptor, select.POLLIN)
    with suppress(ConnectionError):
        while True:
            for descriptor, _ in poll.poll():
                data = os.read(descriptor, _CHUNK)
                if not data:
                    return
                to[descriptor].sendall(data)


@contextmanager
def opened(client: Client, answers: Answers) -> Iterator[Session | None]:
    """Give a session for a build, or None if there is nothing that the daemon could ask for.

    What fails in the block because something could not be answered fails by the reason for that.
    """
    if not answers:
        yield None
        return
    session = Session(client, answers)
    try:
        try:
            yield session
            session.finish()
        except CommandFailed as failure:
            raise (session.failure or failure) from failure.__cause__
    finally:
        session.close()
