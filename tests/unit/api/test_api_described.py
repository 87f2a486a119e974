"""Requests as the Engine API's description has them: each parameter and each field is known, with its type.

The tests are made from the description. Without it there is nothing to make them from.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from compatibility_table import missing_parameters
from testbed.description import DESCRIPTION, Operation, described_path, find, resolve
from transom.errors import NotFound
from transom_api.routes import ROUTES

pytestmark = pytest.mark.skipif(not DESCRIPTION.exists(), reason=f"{DESCRIPTION} is not there to be compared with")

#: Routes that the description does not know.
_STREAM = "/session/{name}/streams/{number}"
OWN_ROUTES = {
    ("GET", "/drivers"),
    ("GET", "/images/{name}/layers"),
    ("POST", "/drivers/compare"),
    *((method, _STREAM) for method in ("DELETE", "GET", "POST")),
}
#: Query parameters that are left alone, each with the reason.
LEFT_ALONE: Mapping[tuple[str, str], str] = {
    ("/containers/{id}/start", "detachKeys"): "dockerd looks at those of the attach alone, too",
    ("/images/create", "changes"): "it is for an import, which is refused",
    ("/images/create", "message"): "it is for an import, which is refused",
    ("/images/json", "digests"): "digests are always told, as dockerd does",
    ("/networks/{id}", "scope"): "all networks are local",
    ("/networks/{id}", "verbose"): "there is no more to be told about networks that are no swarm's",
}
#: What an endpoint has, in the same object as what is asked for.
_MADE = (
    "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address",
    "GlobalIPv6PrefixLen", "DNSNames",
)  # fmt: skip
#: Fields of bodies that are left alone whatever their type, each with the reason.
FIELDS_LEFT_ALONE: Mapping[str, str] = {
    **{f"EndpointConfig.{name}": "clients send back what an endpoint has; it cannot be asked for" for name in _MADE},
    "email": "nobody asks for it any more",
    "HostConfig.Mounts[0].Consistency": "it is for Docker Desktop",
}


SERVED = [
    operation
    for method, route, _ in ROUTES
    if (method, route) not in OWN_ROUTES and (operation := find(method, described_path(route))) is not None
]


class EverythingIsMissing(dict[str, Any]):
    """The results of all jobs: there is nothing of the name."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return NotFound(f"No such thing: {name}")


@pytest.fixture
def nothing(engine: Any, api: Any) -> Any:
    """A client of an engine that has nothing."""
    engine.results = EverythingIsMissing()
    return api


#: Query parameters without which there is nothing to be done.
_LEAST_QUERY = {
    "/containers/{id}/logs": {"stdout": "1"},
    "/containers/{id}/resize": {"h": "5", "w": "5"},
    "/exec/{id}/resize": {"h": "5", "w": "5"},
    "/images/search": {"term": "x"},
}
#: Fields without which a body, or a thing in a list of one, says nothing.
_LEAST_BODY: Mapping[str, Any] = {
    "/containers/create": {"Image": "busybox"},
    "/containers/{id}/exec": {"Cmd": ["true"]},
    "/networks/{id}/connect": {"Container": "nosuch"},
    "/networks/{id}/disconnect": {"Container": "nosuch"},
}


def _target(operation: Operation, **query: str) -> str:
    path = re.sub(r"\{\w+\}", "nosuch", operation.path)
    pairs = "&".join(
        f"{name}={quote(value)}" for name, value in {**_LEAST_QUERY.get(operation.path, {}), **query}.items()
    )
    return f"{path}?{pairs}" if pairs else path


def _name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_every_route_is_described() -> None:
    served = {(operation.method, operation.path) for operation in SERVED}
    assert {(method, described_path(route)) for method, route, _ in ROUTES} - served - OWN_ROUTES == set()


def _query_parameters() -> Iterator[Any]:
    for operation in SERVED:
        for name in operation.parameters("query"):
            yield pytest.param(operation, name, id=f"{_name(operation)} {name}")


@pytest.mark.parametrize(("operation", "name"), list(_query_parameters()))
def test_a_query_parameter_is_known(operation: Operation, name: str) -> None:
    [handler] = [
        handler
        for method, route, handler in ROUTES
        if (method, described_path(route)) == (operation.method, operation.path)
    ]
    assert name not in missing_parameters(operation, handler) or (operation.path, name) in LEFT_ALONE


def _checked_parameters() -> Iterator[Any]:
    """Give the query parameters that a text can be wrong for: every text is one, and every text is true or false."""
    for operation in SERVED:
        for name, parameter in operation.parameters("query").items():
            wrong = "{" if name == "filters" else "x" if parameter.get("type") == "integer" else None
            if wrong is not None and (operation.path, name) not in LEFT_ALONE:
                yield pytest.param(operation, name, wrong, id=f"{_name(operation)} {name}")


@pytest.mark.parametrize(("operation", "name", "wrong"), list(_checked_parameters()))
def test_a_query_parameter_of_the_wrong_type_is_refused_by_its_name(
    nothing: Any, operation: Operation, name: str, wrong: str
) -> None:
    answer = nothing.request(operation.method, _target(operation, **{name: wrong}), _least_body(operation))
    assert (answer.status, name in answer.message) == (400, True), answer.message


WITH_BODY = [operation for operation in SERVED if operation.body() is not None]


def _least_body(operation: Operation) -> Any:
    """Return a body that lacks nothing, None where there is none."""
    if operation.body() is None:
        return None
    return copy.deepcopy(_LEAST_BODY.get(operation.path, {}))


@pytest.mark.parametrize("operation", WITH_BODY, ids=_name)
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "invalid JSON"),
        (b'{"a": 1} x', "invalid JSON"),
        (b"[]", "invalid JSON: it should be an object, and is a list"),
        (b'"text"', "invalid JSON: it should be an object, and is a string"),
        (b'{"a": "\xff"}', "invalid JSON"),
    ],
)
def test_a_body_that_is_no_object_is_refused(nothing: Any, operation: Operation, body: bytes, problem: str) -> None:
    answer = nothing.request(operation.method, _target(operation), body)
    assert (answer.status, answer.message.startswith(problem)) == (400, True), answer.message


@pytest.mark.parametrize("operation", WITH_BODY, ids=_name)
def test_fields_that_nobody_knows_are_left_alone(nothing: Any, operation: Operation) -> None:
    expected = nothing.request(operation.method, _target(operation), _least_body(operation))
    body = {**_least_body(operation), "SomethingNew": {"a": [1]}}
    answer = nothing.request(operation.method, _target(operation), body)
    assert (answer.status, answer.body) == (expected.status, expected.body)


def _wrong(kind: str) -> Any:
    return {"string": 3, "integer": "x", "number": "x", "boolean": "x", "array": 3, "object": 3}[kind]


def _fields(schema: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give the paths of all fields of a body with their types; that of a list's things is `0`."""
    schema = resolve(schema)
    for name, inner in schema.get("properties", {}).items():
        found = resolve(inner)
        kind = found.get("type", "object")
        yield (*path, name), kind
        if kind == "object":
            yield from _fields(found, (*path, name))
        elif kind == "array" and resolve(found["items"]).get("type", "object") == "object":
            yield from _fields(found["items"], (*path, name, 0))


def _bodies() -> Iterator[Any]:
    for operation in WITH_BODY:
        schema = operation.body()
        assert schema is not None
        for path, kind in _fields(schema):
            written = ".".join(str(part) for part in path).replace(".0", "[0]")
            yield pytest.param(operation, path, kind, written, id=f"{_name(operation)} {written}")


def _least_item(path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return a thing of a list that has nothing wrong."""
    if "IPAM" in path:
        return {"Subnet": "10.9.0.0/24"}
    if "Mounts" not in path:
        return {}
    kind = next((part.removesuffix("Options").lower() for part in map(str, path) if part.endswith("Options")), "")
    kind = kind if kind in ("bind", "volume", "tmpfs", "image") else "volume" if "VolumeOptions" in path else "bind"
    source = {"bind": {"Source": "/x"}, "image": {"Source": "x"}}.get(kind, {})
    return {"Type": kind, "Target": "/t", **source}


@pytest.mark.parametrize(("operation", "path", "kind", "written"), list(_bodies()))
def test_a_field_of_the_wrong_type_is_refused_by_its_name(
    nothing: Any, engine: Any, operation: Operation, path: tuple[str | int, ...], kind: str, written: str
) -> None:
    body = _least_body(operation)
    place = body
    for part, following in pairwise(path):
        inner: Any = [_least_item(path)] if following == 0 else {}
        place = place.setdefault(part, inner) if isinstance(place, dict) else place[0]
    place[path[-1]] = _wrong(kind)
    answer = nothing.request(operation.method, _target(operation), body)
    names = [str(part) for part in path if part != 0]
    names = [name for name in names if name not in ("HostConfig", "NetworkingConfig")] or names
    refused = answer.status in (400, 501) and any(name in answer.message for name in names)
    assert refused is not (written in FIELDS_LEFT_ALONE), (answer.status, body, answer.message)
    assert engine.jobs == [] or not refused
