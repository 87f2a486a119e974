"""The job `auth`: are these credentials good at a registry?"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from transom.errors import InvalidParameter, RegistryError, Unauthorized
from transom.graph.reference import DEFAULT_DOMAIN
from transom.job import Job
from transom.registry import Credentials, LoginResult
from transom_images.connections import Patience
from transom_images.endpoints import Endpoint
from transom_images.transport import Transport

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["auth"]

_DOCKER_IO = ("", DEFAULT_DOMAIN, "index.docker.io", "registry-1.docker.io")


def auth(engine: Engine, job: Job, *, server: str, credentials: Credentials) -> LoginResult:
    """Return what becomes of credentials at a registry.

    `server` is a host, with a port or without, or an address; empty for docker.io. Raises `Unauthorized` if the
    registry does not accept the credentials, `RegistryError` if it cannot be asked, `InvalidParameter` for what is no
    server.
    """
    with closing(Transport(Patience(job.check), engine.config)) as transport:
        endpoint = Endpoint.registry(transport, _domain(server), credentials)
        endpoint.authenticator.offline = True
        with endpoint.get("/v2/", {}, "") as answer:
            if answer.status == 200:
                return LoginResult(endpoint.authenticator.identity_token)
            kind = Unauthorized if answer.status in (401, 403) else RegistryError
            raise kind(f"login attempt to {answer.url} failed with status: {answer.status_line}")


def _domain(server: str) -> str:
    """Return the domain of a server, as references have it."""
    try:
        host = urlsplit(server if "://" in server else f"//{server}").netloc
    except ValueError:
        host = ""
    if (server and not host) or "@" in host:
        raise InvalidParameter(f"unable to parse server address {server!r}: it should be HOST or HOST:PORT")
    return DEFAULT_DOMAIN if host in _DOCKER_IO else host
