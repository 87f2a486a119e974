"""What comes with a request besides its path: query parameters, JSON bodies, credentials."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from transom.errors import InvalidParameter
from transom.graph.model import Platform
from transom.registry import Credentials
from transom.runtime.streams import detach_sequence
from transom_api.fields import Fields, parse_object
from transom_api.times import parse_time

__all__ = ["Query", "parse_credentials", "read_body", "read_content", "read_credentials", "read_filters"]

_FALSE = frozenset(("", "0", "no", "false", "none"))


class Query:
    """The query parameters of one request, by type. Errors are `InvalidParameter` and name the parameter."""

    def __init__(self, request: web.Request) -> None:
        self._values = request.query
        self._raw = request.rel_url.raw_query_string

    def text(self, name: str) -> str:
        """Return a parameter, empty if it is absent."""
        value = self._values.get(name, "")
        if "\0" in value:
            raise InvalidParameter(f"invalid value for {name}: it contains a zero byte")
        return value

    def path(self, name: str) -> bytes:
        """Return a path, which has any bytes but zero. Raises `InvalidParameter` if it is absent or empty."""
        pairs = parse_qsl(self._raw, keep_blank_values=True, errors="surrogateescape")
        path = os.fsencode(next((value for key, value in pairs if key == name), ""))
        if not path or b"\0" in path:
            raise InvalidParameter(
                f"bad parameter: '{name}' cannot be empty" if not path else f"bad parameter: '{name}'"
            )
        return path

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that may come more than once."""
        values = tuple(self._values.getall(name, ()))
        if any("\0" in value for value in values):
            raise InvalidParameter(f"invalid value for {name}: it contains a zero byte")
        return values

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean: everything is true but an empty value, 0, no, false and none."""
        if name not in self._values:
            return default
        return self._values.get(name, "").strip().lower() not in _FALSE

    def number(self, name: str) -> int | None:
        """Return a whole number, None if it is absent or empty."""
        text = self._values.get(name, "")
        if not text:
            return None
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
            raise InvalidParameter(f"invalid value {text!r} for {name}: it should be a whole number")
        return int(text)

    def size(self, name: str) -> int:
        """Return the height or width of a terminal in characters, which must be there."""
        value = self.number(name)
        if value is None or not 0 <= value < 2**16:
            raise InvalidParameter(f"invalid value {self.text(name)!r} for {name}: it should be a number of characters")
        return value

    def time(self, name: str) -> int | None:
        """Return a time in nanoseconds, None if it is absent or 0."""
        return parse_time(self._values.get(name, ""), name)

    def platform(self, name: str) -> Platform | None:
        """Return a platform that is a JSON object, as clients send one since version 1.48; None if it is absent."""
        text = self.text(name)
        if not text:
            return None
        fields = parse_object(text)
        platform = Platform(fields.string("os"), fields.string("architecture"), fields.string("variant"))
        if not platform.os or not platform.architecture:
            raise InvalidParameter(f"invalid value for {name}: a platform has an os and an architecture")
        return platform

    def filters(self) -> dict[str, tuple[str, ...]]:
        """Return the parameter `filters`."""
        return read_filters(self._values.get("filters", ""))

    def detach_keys(self) -> str:
        """Return the parameter `detachKeys`, a sequence of keys that exists."""
        text = self.text("detachKeys")
        try:
            detach_sequence(text)
        except ValueError as error:
            raise InvalidParameter(str(error)) from None
        return text


def read_filters(text: str) -> dict[str, tuple[str, ...]]:
    """Return filters by name: JSON, `{"name": ["value"]}`, or as old clients send it `{"name": {"value": true}}`."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"invalid filters: they should be JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidParameter("invalid filters: they should be an object of lists of strings")
    return {name: _values(name, item) for name, item in value.items() if item}


def _values(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping) and all(isinstance(item, bool) for item in value.values()):
        return tuple(key for key, wanted in value.items() if wanted)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidParameter(f"invalid filter '{name}': it should be a list of strings")


async def read_body(request: web.Request) -> Fields:
    """Return the JSON object that a request carries. Raises `InvalidParameter` if there is none."""
    content = await read_content(request)
    if not content.strip():
        raise InvalidParameter(f"missing body: {request.method} {request.path} needs a JSON object")
    if request.headers.get("Content-Type") and request.content_type != "application/json":
        raise InvalidParameter(f"Content-Type specified ({request.content_type}) must be 'application/json'")
    return parse_object(content)


async def read_content(request: web.Request) -> bytes:
    """Return a request's body. Raises `InvalidParameter` for one that is too long."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise InvalidParameter(f"the body of {request.method} {request.path} is too long") from None
    except web.RequestPayloadError as error:
        raise InvalidParameter(f"the body of {request.method} {request.path} cannot be read: {error}") from None


def read_credentials(request: web.Request) -> Credentials | None:
    """Return what `X-Registry-Auth` says (base64url of a JSON object), None if it says nothing.

    Raises `InvalidParameter`, without showing the content.
    """
    header = request.headers.get("X-Registry-Auth", "")
    if not header:
        return None
    try:
        content = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
        credentials = parse_credentials(parse_object(content))
    except (InvalidParameter, ValueError):
        raise InvalidParameter(
            "invalid X-Registry-Auth header: it should be a JSON object in base64url encoding"
        ) from None
    return None if credentials == Credentials() else credentials


def parse_credentials(fields: Fields) -> Credentials:
    """Return what Docker's `AuthConfig` says. Raises `InvalidParameter`, without showing the content."""
    credentials = Credentials(
        username=fields.string("username"),
        password=fields.string("password"),
        identity_token=fields.string("identitytoken"),
        registry_token=fields.string("registrytoken"),
    )
    if credentials.username or "auth" not in fields:
        return credentials
    try:
        name, _, password = base64.b64decode(fields.string("auth"), validate=True).decode().partition(":")
    except ValueError:
        name = ""
    if not name and fields.string("auth"):
        raise InvalidParameter("invalid auth: it should be NAME:PASSWORD in base64 encoding")
    return Credentials(username=name, password=password)
