"""How a registry is told who asks: challenges, token servers and passwords.

A registry that wants to know answers 401 with a challenge (RFC 9110, section 11.6.1). `Basic` asks for name
and password; `Bearer` names a token server, which gives a token for a scope, to anybody or for a password
or an identity token (the distribution project's token specification).
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from transom.errors import RegistryError, Unauthorized
from transom.registry import Credentials
from transom_images.transport import Answer, Interrupted, Transport

__all__ = ["Authenticator", "Challenge", "parse_challenges"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"[ \t,]*({_TOKEN})(?:[ \t]+|(?=,)|\Z)")
_PARAMETER = re.compile(rf'[ \t,]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*(?=,|\Z)')
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|\Z)")

_TOKEN_LIMIT = 1 << 20
_CLIENT_ID = "transom"


@dataclass(frozen=True)
class Challenge:
    """One way that a server offers to say who asks; scheme and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a `WWW-Authenticate` header. Raises `RegistryError` for what is not one."""
    challenges: list[Challenge] = []
    position = 0
    while header[position:].strip(" \t,"):
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            raise RegistryError(f"the registry asks for authentication in an unknown way: {header[:200]!r}")
        position = scheme.end()
        parameters: dict[str, str] = {}
        if (token68 := _TOKEN68.match(header, position)) is not None:
            position = token68.end()
        while (parameter := _PARAMETER.match(header, position)) is not None:
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = parameter.end()
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return tuple(challenges)


class Authenticator:
    """Answers the challenges of one server, and remembers the answer per scope. Usable from many threads."""

    def __init__(self, transport: Transport, credentials: Credentials | None) -> None:
        self._transport = transport
        self._credentials = credentials or Credentials()
        #: Whether a password is to be turned into an identity token, and the one that came of it.
        self.offline = False
        self.identity_token = ""
        self._authorizations: dict[str, str] = {}
        self._lock = threading.Lock()

    def authorization(self, scope: str) -> str:
        """Return the `Authorization` header that served the scope before; empty at first."""
        with self._lock:
            return self._authorizations.get(scope, "")

    def renew(self, url: str, challenge: str, scope: str, refused: str) -> str:
        """Return an `Authorization` header that answers a challenge to a request for `url`.

        `refused` is the header that was refused; when another thread has got a new one meanwhile, that is
        the answer. It is the same again where there is nothing else to say. Raises `Unauthorized` if there are
        no credentials for what the server wants, or a token server refuses them.
        """
        with self._lock:
            known = self._authorizations.get(scope, "")
            if known != refused:
                return known
            offered = {item.scheme: item for item in reversed(parse_challenges(challenge))}
            if "bearer" in offered:
                header = f"Bearer {self._token(offered['bearer'], scope)}"
            elif "basic" in offered:
                header = self._basic(url)
            else:
                raise Unauthorized(
                    f"{urlsplit(url).netloc} wants authentication, and offers none of the ways that are known"
                    f" (Bearer, Basic): {challenge[:200]!r}"
                )
            self._authorizations[scope] = header
            return header

    def _basic(self, url: str) -> str:
        credentials = self._credentials
        if not credentials.username:
            raise Unauthorized("no basic auth credentials")
        if not self._transport.allows(url):
            raise Unauthorized(f"the password is not sent to {urlsplit(url).netloc}, which does not use HTTPS")
        pair = f"{credentials.username}:{credentials.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _token(self, challenge: Challenge, scope: str) -> str:
        credentials = self._credentials
        if credentials.registry_token:
            return credentials.registry_token
        realm = challenge.parameters.get("realm", "")
        if not self._transport.allows(realm):
            raise RegistryError(
                f"the registry's token server {realm!r} cannot be used because it is not an HTTPS address"
            )
        query = {"service": challenge.parameters.get("service", "")} | ({"scope": scope} if scope else {})
        if credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": _CLIENT_ID,
            }
            answer = self._transport.send("POST", realm, {}, query | form)
        else:
            headers = {}
            if credentials.username:
                query["account"] = credentials.username
                headers["Authorization"] = self._basic(realm)
                if self.offline:
                    query |= {"offline_token": "true", "client_id": _CLIENT_ID}
            separator = "&" if urlsplit(realm).query else "?"
            asked = urlencode({**query, "scope": scope.split()}, doseq=True)
            answer = self._transport.get(realm + separator + asked, headers)
        with answer:
            token, self.identity_token = _read_tokens(answer)
            return token


def _read_tokens(answer: Answer) -> tuple[str, str]:
    """Return the access token and the identity token that a token server gives; the second may be empty."""
    if answer.status >= 500 or answer.status == 429:
        raise Interrupted(f"the token server {answer.host} answers with status {answer.status}")
    reply: Any = None
    with suppress(orjson.JSONDecodeError):
        reply = orjson.loads(answer.read(_TOKEN_LIMIT))
    reply = reply if isinstance(reply, dict) else {}
    if answer.status in (401, 403):
        details = reply.get("details")
        if not isinstance(details, str) or not details:
            details = f"the token server {answer.host} does not accept the credentials"
        raise Unauthorized(f"unauthorized: {details[:1000]}")
    if answer.status != 200:
        raise RegistryError(f"the token server {answer.host} gives no token (status {answer.status})")
    token, refresh = reply.get("token") or reply.get("access_token"), reply.get("refresh_token")
    # What else is in a token would end the header and begin another.
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise RegistryError(f"the token server {answer.host} gives no token (status {answer.status})")
    return token, refresh if isinstance(refresh, str) else ""
