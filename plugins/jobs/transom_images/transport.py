"""HTTP as a registry's client needs it: bounded, patient, and careful with secrets.

A redirect to another host takes no credentials along; one from HTTPS to plain HTTP is refused, and so is
plain HTTP to any host that is neither loopback nor configured as insecure.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError

from transom import __version__
from transom.config import Config
from transom.errors import RegistryError, TransomError
from transom_images.certificates import Certificates
from transom_images.connections import TURN, Adapter, Patience
from transom_images.insecure import InsecureRegistries, is_loopback

__all__ = ["Answer", "Body", "Interrupted", "Transport", "Unreachable", "reason_of"]

#: The most bytes that one read returns.
CHUNK = 256 << 10

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10


class Unreachable(RegistryError):
    """No connection could be made: no such name, nothing listens, no trust in the certificate."""


class Interrupted(RegistryError):
    """A failure that may pass: a lost connection, silence, a busy or failing server.

    `retry_after` is the number of seconds that the server asked to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Body(Protocol):
    """What is sent with a request and is not in memory; it has a length, which is not 0."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def read(self, count: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""


class Answer:
    """A server's answer: status, headers, and a body that is read as it comes. Close it, or use `with`."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.url = response.url
        self.method = response.request.method
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def host(self) -> str:
        """The server that answered, as `host` or `host:port`."""
        return urlsplit(self.url).netloc

    @property
    def status_line(self) -> str:
        """The status with its name: `404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def read_some(self) -> bytes:
        """Return the bytes that are there, waiting for the first; none at the end.

        Raises `Interrupted` if the connection is lost, falls silent, or ends before the announced length.
        """
        try:
            data: bytes = self._response.raw.read1(CHUNK, decode_content=False)
        except TransomError:
            raise
        except (HTTPError, OSError) as error:
            raise Interrupted(f"the connection to {self.host} was lost: {reason_of(error)}") from error
        return data

    def read(self, limit: int) -> bytes:
        """Return the whole body. Raises `RegistryError` for more than `limit` bytes, and `Interrupted`."""
        body = bytearray()
        while data := self.read_some():
            body += data
            if len(body) > limit:
                raise RegistryError(f"the answer of {self.host} to {self.url} is longer than {limit} bytes")
        return bytes(body)

    def close(self) -> None:
        """Give the connection up, or back if the whole body was read."""
        self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _SetAlready(AuthBase):
    """Stops `requests` from looking for a password in ~/.netrc and putting it in place of ours."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Leave redirects to `Transport`; `requests` would read the whole body of each."""
        del resp


class Transport:
    """Sends requests, to as many as `connections` of a server at once. One of them serves the threads of one job."""

    def __init__(self, patience: Patience, config: Config, connections: int = 10) -> None:
        self._insecure = InsecureRegistries(config.insecure_registries)
        self._session = _Session()
        self._session.auth = _SetAlready()
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": f"transom/{__version__}", "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, Adapter(patience, Certificates(config.certificates), connections))

    def insecure(self, host: str) -> bool:
        """Whether a server (`host` or `host:port`) may be spoken to without TLS or without verifying it."""
        return host in self._insecure

    def get(self, url: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
        """Get a URL, or its head, through redirects. An answer of any status is returned.

        Raises `Unreachable`, `Interrupted`, or `RegistryError` for a redirect that is not followed.
        """
        headers = dict(headers)
        for _ in range(_MOST_REDIRECTS):
            answer = self.send(method, url, headers)
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            target = self.follow(url, answer.headers.get("Location", ""))
            if _origin(target) != _origin(url):
                headers.pop("Authorization", None)
            url = target
        raise RegistryError(f"{urlsplit(url).netloc} redirects in a circle: {url}")

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def allows(self, url: str) -> bool:
        """Whether secrets can be sent to a URL: HTTPS, or a server that is allowed to be insecure."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and self.insecure(parts.netloc))
        )

    def follow(self, url: str, location: str) -> str:
        """Return where an answer to a request for `url` leads with its `Location`. Raises `RegistryError`."""
        host = urlsplit(url).netloc
        try:
            target = urljoin(url, location)
            web = urlsplit(target).scheme in ("http", "https") and bool(urlsplit(target).hostname)
        except ValueError:
            web = False
        if not web:
            raise RegistryError(f"{host} redirects from {url} to {location!r}, which is not a web address")
        if url.startswith("https:") and not self.allows(target):
            raise RegistryError(
                f"{host} redirects to {target}, which is not followed because it is not HTTPS; if that server"
                " can be trusted, add it to insecure-registries"
            )
        return target

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | Mapping[str, str] | bytes = b""
    ) -> Answer:
        """Send one request, with a form or with content, and return the answer. Redirects are not followed.

        Raises `Unreachable`, `Interrupted`, `RegistryError`.
        """
        host = urlsplit(url).netloc
        try:
            response = self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=(TURN, TURN),
                allow_redirects=False,
                stream=True,
                verify=False if self.insecure(host) else _authorities(),
                proxies=_proxies(url),
            )
        except requests.exceptions.SSLError as error:
            raise Unreachable(f"cannot connect to {url}: {reason_of(error)}") from error
        except requests.exceptions.ConnectionError as error:
            if _never_connected(error):
                raise Unreachable(f"cannot connect to {host}: {reason_of(error)}") from error
            raise Interrupted(f"the connection to {host} was lost: {reason_of(error)}") from error
        except requests.exceptions.Timeout as error:
            raise Interrupted(f"{host} does not answer: {reason_of(error)}") from error
        except (requests.exceptions.RequestException, HTTPError, ValueError) as error:
            raise RegistryError(f"cannot ask {host} for {url}: {reason_of(error)}") from error
        return Answer(response)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _proxies(url: str) -> dict[str, str]:
    """Return what keeps `requests` from sending a request to this machine through a proxy."""
    parts = urlsplit(url)
    return {"no_proxy": parts.hostname or ""} if is_loopback(parts.netloc) else {}


def _authorities() -> str | bool:
    """Return the machine's own certificate authorities if it has some, or else those of `requests`."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    if paths.capath and any(Path(paths.capath).iterdir()):
        return paths.capath
    return True


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def reason_of(error: BaseException) -> str:
    """Return what the innermost error says, without the objects that the outer ones print."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
