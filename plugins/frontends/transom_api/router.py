"""What every request goes through: the version of the API, the form of errors, the headers of each answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from transom import __version__
from transom.errors import InvalidParameter, TransomError, Unavailable
from transom_api.connection import connection_of
from transom_api.jobs import engine_of

__all__ = [
    "API_VERSION",
    "HEADERS",
    "MINIMUM_API_VERSION",
    "add_headers",
    "answer",
    "edge",
    "empty",
    "open_stream",
    "since_version",
]

log = logging.getLogger(__name__)

API_VERSION = "1.50"
MINIMUM_API_VERSION = "1.24"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: What every answer has.
HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Transom/{__version__} (linux)",
}


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a value as JSON, which ends with a newline as Docker's does."""
    return web.Response(
        body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS),
        status=status,
        content_type="application/json",
    )


def empty(status: int = 204) -> web.Response:
    """Return an answer without a body."""
    return web.Response(status=status)


async def open_stream(
    request: web.Request, content_type: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Begin an answer whose body comes over time; its head is on the way to the client when this returns."""
    response = web.StreamResponse(headers={"Content-Type": content_type, **(headers or {})})
    await response.prepare(request)
    connection_of(request).begun = response
    return response


def since_version(request: web.Request, version: str) -> bool:
    """Return whether the client speaks at least a version of the API; one that names none speaks the newest."""
    asked = request.match_info.get("version")
    return not asked or _number(asked) >= _number(version)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer has."""
    response.headers.update(HEADERS)


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the version, run the handler, and turn errors into answers."""
    try:
        if "version" in request.match_info:
            _check_version(request.match_info["version"])
        return await handler(request)
    except TransomError as error:
        return _failure(request, error.status, str(error))
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return _failure(request, 404, "page not found")
    except ConnectionError:
        raise
    except Exception as error:
        if engine_of(request).stopping.is_set():
            return _failure(request, Unavailable.status, "the daemon is stopping")
        log.exception("%s %s failed", request.method, request.path)
        return _failure(
            request,
            TransomError.status,
            f"internal error in {request.method} {request.path}: {type(error).__name__}: {error}",
        )
    finally:
        if request.transport is not None:
            connection_of(request).answered()


def _failure(request: web.Request, status: int, message: str) -> web.StreamResponse:
    """Return an error's answer. Where an answer has begun, the connection is cut, so that it is not taken for whole."""
    if request.transport is not None and (begun := connection_of(request).begun) is not None:
        request.transport.abort()
        return begun
    if status == 304:
        return empty(304)
    return answer({"message": message}, status)


def _check_version(text: str) -> None:
    """Raise `InvalidParameter` for a version of the API that is not served."""
    version = _number(text)
    if version > _number(API_VERSION):
        raise InvalidParameter(f"client version {text} is too new. Maximum supported API version is {API_VERSION}")
    if version < _number(MINIMUM_API_VERSION):
        raise InvalidParameter(
            f"client version {text} is too old. Minimum supported API version is {MINIMUM_API_VERSION}, please upgrade"
            " your client to a newer version"
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
