"""The daemon as the commands see it: requests, answers and streams, in a version that both sides speak."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transom_cli.errors import CommandFailed, DaemonError, Unreachable
from transom_cli.transport import Address, Connection, Response, encode_query, parse_host

if TYPE_CHECKING:
    from transom_cli.configuration import ConfigFile

__all__ = ["API_VERSION", "DEFAULT_HOST", "Client", "version_key"]

API_VERSION = "1.50"
OLDEST_VERSION = "1.24"
#: Where the daemon listens that a command starts by itself; the same as `transom.config.DEFAULT_HOST`.
DEFAULT_HOST = "unix:///run/transom.sock"


#: What has a name or an ID behind it in a path.
_NAMED = {"containers": "container", "networks": "network", "volumes": "volume"}


def version_key(version: str) -> tuple[int, ...]:
    """Return an API version as something that compares: `1.9` before `1.41`."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


class Client:
    """A client of the API at one address. `start` is called if nothing listens there.

    `directory` is where the user's configuration is, if there is one.
    """

    def __init__(self, host: str, start: Callable[[Address], None] | None = None, directory: str = "") -> None:
        self.address = parse_host(host)
        self.directory = directory
        self._start = start
        self._idle: Connection | None = None
        # DOCKER_API_VERSION is taken at its word, so that a client can be held to an older version.
        self._version = os.environ.get("DOCKER_API_VERSION", "").removeprefix("v")
        self._file: ConfigFile | None = None

    @property
    def file(self) -> ConfigFile:
        """The user's `config.json`, which need not be there."""
        if self._file is None:
            from transom_cli.configuration import ConfigFile  # few users have one

            self._file = ConfigFile(self._path)
        return self._file

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What the user's `config.json` says, empty if there is none."""
        there = self.directory and os.path.exists(self._path)  # noqa: PTH110 pathlib takes longer to import
        return self.file.content if there else {}

    @property
    def _path(self) -> str:
        return f"{self.directory}/config.json" if self.directory else ""

    def setting(self, name: str) -> str:
        """Return a text of the configuration, empty if it is not there or is no text."""
        value = self.configuration.get(name)
        return value if isinstance(value, str) else ""

    @property
    def host(self) -> str:
        """The address as it was given."""
        return self.address.host

    @property
    def version(self) -> str:
        """The API version that is spoken: the older of ours and the daemon's (`Api-Version` of `/_ping`)."""
        if not self._version:
            response = self._exchange("HEAD", "/_ping", {}, None)
            response.read()
            self._release(response)
            offered = response.headers.get("api-version", API_VERSION)
            if version_key(offered) < version_key(OLDEST_VERSION):
                raise CommandFailed(
                    f"the daemon at {self.host} speaks version {offered} of the API, and the oldest that is"
                    f" supported is {OLDEST_VERSION}: update the daemon"
                )
            self._version = min(offered, API_VERSION, key=version_key)
        return self._version

    # Requests

    def get(self, path: str, **query: Any) -> Any:
        """Return what a GET answers, parsed. Raises `DaemonError`, `Unreachable`."""
        return json.loads(self.get_text(path, **query))

    def get_text(self, path: str, **query: Any) -> bytes:
        """Return what a GET answers, as it came."""
        return self._simple("GET", path, query, None)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what a POST with a JSON body answers, parsed, or None if it answers nothing."""
        answer = self._simple("POST", path, query, body)
        return json.loads(answer) if answer.strip() else None

    def delete(self, path: str, **query: Any) -> Any:
        """Return what a DELETE answers, parsed, or None if it answers nothing."""
        answer = self._simple("DELETE", path, query, None)
        return json.loads(answer) if answer.strip() else None

    def stream(self, method: str, path: str, /, *, headers: dict[str, str] | None = None, **query: Any) -> Response:
        """Return an answer whose body arrives over time, on a connection of its own."""
        target = self._target(path, query)
        response = self._connect().request(method, target, headers or {})
        self._check(response)
        return response

    def upload(
        self,
        method: str,
        path: str,
        body: Iterable[bytes],
        /,
        *,
        content_type: str = "application/x-tar",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Response:
        """Send a body that is made while it is sent, and return the answer, on a connection of its own."""
        target = self._target(path, query)
        response = self._connect().upload(method, target, {"Content-Type": content_type, **(headers or {})}, body)
        self._check(response)
        return response

    @contextmanager
    def exchange(
        self,
        method: str,
        path: str,
        body: Iterable[bytes],
        /,
        *,
        content_type: str = "application/x-tar",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Iterator[Response]:
        """Give the answer to a request whose body is still being made and sent, on a connection of its own.

        What fails in the block because the body could not be made fails by the reason for that.
        """
        target = self._target(path, query)
        connection = self._connect()
        try:
            sending = connection.send(method, target, {"Content-Type": content_type, **(headers or {})}, body)
            try:
                response = Response(connection)
                self._check(response)
                yield response
            except CommandFailed as failure:
                raise (sending.failure or failure) from failure.__cause__
        finally:
            connection.close()

    def upgrade(self, path: str, body: Any = None, **query: Any) -> Connection:
        """POST, and return the connection as a raw stream both ways (Docker Engine API, "attach")."""
        target = self._target(path, query)
        payload = None if body is None else json.dumps(body).encode()
        connection = self._connect()
        response = connection.request("POST", target, {"Connection": "Upgrade", "Upgrade": "tcp"}, payload)
        self._check(response)
        return connection

    def _simple(self, method: str, path: str, query: dict[str, Any], body: Any) -> bytes:
        payload = None if body is None else json.dumps(body).encode()
        response = self._exchange(method, self._target(path, query), {}, payload)
        self._check(response)
        answer = response.read()
        self._release(response)
        return answer

    def _target(self, path: str, query: dict[str, Any]) -> str:
        _, kind, *rest = path.split("/")
        if kind in _NAMED and rest[:1] == [""]:
            raise CommandFailed(f"invalid {_NAMED[kind]} name or ID: value is empty")
        return f"/v{self.version}{path}{encode_query(query)}"

    def _exchange(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        """Send a request on the idle connection, which belongs to this exchange until `_release`.

        A signal handler may send another request meanwhile; it makes a connection of its own.
        """
        connection, self._idle = self._idle, None
        if connection is not None and not connection.reusable():
            connection.close()
            connection = None
        return (connection or self._connect()).request(method, target, headers, body)

    def _release(self, response: Response) -> None:
        if self._idle is None and response.connection.reusable():
            self._idle = response.connection
        else:
            response.connection.close()

    def _connect(self) -> Connection:
        try:
            try:
                return self._connection()
            except (FileNotFoundError, ConnectionRefusedError):
                if self._start is None:
                    raise
                self._start(self.address)
                return self._connection()
        except PermissionError as error:
            raise Unreachable(
                f"permission denied while trying to connect to the daemon at {self.host}:"
                " run the command as root,"
                " or as a member of the socket's group"
            ) from error
        except OSError as error:
            raise Unreachable(
                f"Cannot connect to the Transom daemon at {self.host}. Is the transom daemon running?"
            ) from error

    def _connection(self) -> Connection:
        headers = self.configuration.get("HttpHeaders")
        return Connection(self.address, headers if isinstance(headers, dict) else {})

    def _check(self, response: Response) -> None:
        """Raise `DaemonError` for an answer that is an error."""
        if response.status < 400:
            return
        answer = response.read()
        response.connection.close()
        try:
            reason = json.loads(answer)["message"]
        except (ValueError, KeyError, TypeError):
            reason = answer.decode(errors="replace").strip() or f"it answered with the status {response.status}"
        raise DaemonError(response.status, reason)
