"""The Docker Engine API's description (Swagger 2.0), where it lies beside the project, and answers checked against it.

The description is not quite what dockerd does, and clients are written for dockerd: a list or an object may be null
everywhere (Go's nil), and a field that the description does not name may be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["DESCRIPTION", "Operation", "check_answer", "described_path", "find", "operations", "problems", "resolve"]

#: Version 1.50. It is no part of the project.
DESCRIPTION = Path(__file__).parents[2].parent / "shared/reference/docker-engine-api-v1.50.yaml"
VERSION = "1.50"

_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


_SCALARS = ("boolean", "integer", "number", "string")
#: What dockerd answers with null, against the description; behind a space it is at the top.
_NULL_IN_DOCKERD = (".HostConfig.MemorySwappiness", ".HostConfig.OomKillDisable", " .ExitCode")
#: What dockerd answers with a string (`docker.volumedriver/1.0`), against the description.
_STRING_IN_DOCKERD = (".Config.Interface.Types[0]",)


class Operation(NamedTuple):
    """One method of one path, as the description has it."""

    method: str
    path: str
    details: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> re.Pattern[str]:
        """What requests for it look like, without a version. Names of images have slashes."""
        parts = re.split(r"(\{\w+\})", self.path)
        return re.compile("".join(".+" if part.startswith("{") else re.escape(part) for part in parts))

    def parameters(self, place: str) -> dict[str, Mapping[str, Any]]:
        """Return the parameters in a place (`query`, `path`, `body`, `header`), by name."""
        return {one["name"]: one for one in self.details.get("parameters", ()) if one["in"] == place}

    def body(self) -> Mapping[str, Any] | None:
        """Return the schema of the request's body, None if it has none that is JSON."""
        for parameter in self.parameters("body").values():
            schema: Mapping[str, Any] = resolve(parameter["schema"])
            return schema if schema.get("type") != "string" else None
        return None


@cache
def _document() -> Mapping[str, Any]:
    import yaml

    with open(DESCRIPTION) as file:
        found: Mapping[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return found


@cache
def operations() -> tuple[Operation, ...]:
    """Return all that the description knows; empty where there is no description."""
    if not DESCRIPTION.exists():
        return ()
    methods = ("get", "head", "post", "put", "delete")
    paths = _document()["paths"]
    return tuple(
        Operation(method.upper(), path, paths[path][method])
        for path in paths
        for method in methods
        if method in paths[path]
    )


def described_path(route: str) -> str:
    """Return the path of one of our routes as the description writes it: `{id:.+}` is `{id}`."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route)


def find(method: str, path: str) -> Operation | None:
    """Return the operation that a request is for, the most literal one of those that match."""
    found = [one for one in operations() if one.method == method and one.pattern.fullmatch(path)]
    return min(found, key=lambda one: one.path.count("{"), default=None)


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without references and `allOf` at its top."""
    while "$ref" in schema:
        *_, name = schema["$ref"].split("/")
        schema = {**_document()["definitions"][name], **{key: item for key, item in schema.items() if key != "$ref"}}
    if "allOf" not in schema:
        return schema
    merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in (*map(resolve, schema["allOf"]), {key: item for key, item in schema.items() if key != "allOf"}):
        merged["properties"].update(part.get("properties", {}))
        merged["required"] += part.get("required", [])
        merged.update({key: item for key, item in part.items() if key not in ("properties", "required")})
    return merged


def check_answer(method: str, target: str, status: int, content_type: str, body: bytes) -> list[str]:
    """Return what is wrong with an answer: one sentence for each thing, none if it is as described.

    Nothing is said about another version than 1.50, paths that the description does not know, and streams.
    """
    path = target.partition("?")[0]
    version = re.match(r"/v([0-9.]+)(?=/)", path)
    if version and version[1] != VERSION:
        return []
    operation = find(method, path[version.end() :] if version else path)
    if operation is None:
        return []
    if status >= 400:
        return list(_check_error(body, content_type)) if method != "HEAD" else []
    described = operation.details["responses"].get(status)
    if described is None:
        return [
            f"{method} {operation.path} answers {status}, which is none of {sorted(operation.details['responses'])}"
        ]
    schema = described.get("schema")
    if schema is None or not body or not content_type.startswith("application/json"):
        return []
    try:
        values = [json.loads(line) for line in (body.splitlines() if b"\n{" in body else [body])]
    except ValueError:
        return [f"{method} {operation.path} answers what is no JSON"]
    return [f"{method} {operation.path}: {problem}" for value in values for problem in problems(value, schema)]


def _check_error(body: bytes, content_type: str) -> Iterator[str]:
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        yield f"an error's answer is no JSON with a message: {body[:100]!r}"
        return
    if not isinstance(message, str) or not message or "\n" in message.strip():
        yield f"an error's message is no sentence: {message!r}"
    if not content_type.startswith("application/json"):
        yield f"an error's answer is of the type {content_type}"


def problems(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Give what differs between a value and its schema: types, required fields, words that are none of those listed."""
    schema = resolve(schema)
    kind = schema.get("type", "object" if "properties" in schema else "")
    if value is None:
        if kind in _SCALARS and not schema.get("x-nullable") and not f" {path}".endswith(_NULL_IN_DOCKERD):
            yield f"{path or '.'} is null and not a {kind}"
        return
    if isinstance(value, str) and path.endswith(_STRING_IN_DOCKERD):
        return
    if kind and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{path or '.'} is {json.dumps(value)[:60]}, and should be of the type {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path or '.'} is {value!r}, and should be one of {schema['enum']}"
    if isinstance(value, dict):
        yield from _field_problems(value, schema, path)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], f"{path}[{index}]")


def _field_problems(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name} is missing"
    more = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            yield from problems(item, properties[name], f"{path}.{name}")
        elif isinstance(more, dict):
            yield from problems(item, more, f"{path}.{name}")
