"""The flags of `build` whose values have parts: outputs, caches, secrets, SSH agents, named contexts, variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from transom_cli.build_context import is_remote, pack_directory
from transom_cli.errors import CommandFailed
from transom_cli.local_archive import Chunks, unpack
from transom_cli.output_file import check_path, write_output, write_to_standard_output

__all__ = [
    "Output",
    "fields_of",
    "parse_arguments",
    "parse_contexts",
    "parse_outputs",
    "parse_secrets",
    "taking_directory",
]

_TYPES = ("image", "local", "tar", "docker", "oci", "registry", "cacheonly")
#: Types that are written to a file or to standard output.
_ARCHIVES = ("tar", "docker", "oci")
#: Bytes of a secret, as many as BuildKit takes.
_LONGEST_SECRET = 500 * 1024
_REMOTE_CONTEXTS = ("docker-image://", "target:", "http://", "https://", "git://")


class Output(NamedTuple):
    """One result: its type and attributes, and what takes it if it comes to this side."""

    type: str
    attributes: dict[str, str]
    take: Callable[[Iterator[bytes]], None] | None = None


def fields_of(text: str) -> dict[str, str]:
    """Return a line of comma-separated `key=value`. Raises `ValueError`."""
    import csv  # few builds have one

    fields = {}
    for field in next(csv.reader([text], strict=True), []):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        fields[key.strip().lower()] = value
    return fields


def parse_outputs(given: Iterable[str], *, load: bool, push: bool) -> list[Output]:
    """Return the outputs of `-o`, `--load` and `--push`; none means an image. Raises `CommandFailed`."""
    outputs = [_parse_output(text) for text in given]
    if load and not any(output.type == "image" for output in outputs):
        outputs.append(Output("image", {}))
    if push:
        images = [index for index, output in enumerate(outputs) if output.type in ("image", "registry")]
        for index in images:
            outputs[index] = outputs[index]._replace(type="registry")
        if not images:
            outputs.append(Output("registry", {}))
    if sum(output.attributes.get("dest") == "-" for output in outputs) > 1:
        raise CommandFailed("multiple outputs to stdout are not possible: give all but one of them a dest")
    return outputs


def _parse_output(text: str) -> Output:
    if "=" not in text and "," not in text:
        fields = {"type": "tar" if text == "-" else "local", "dest": text}
    else:
        try:
            fields = fields_of(text)
        except ValueError as error:
            raise CommandFailed(f"invalid output {text!r}: {error}") from error
    kind = fields.pop("type", "")
    if kind not in _TYPES:
        raise CommandFailed(
            f"invalid output {text!r}: the type should be one of {', '.join(_TYPES)}" if kind else
            f"invalid output {text!r}: type is required"
        )  # fmt: skip
    dest = fields.get("dest", "")
    if kind == "local":
        return Output(kind, fields, taking_directory(dest))
    if kind in _ARCHIVES and (dest or kind != "docker"):
        fields["dest"] = dest or "-"
        return Output(kind, fields, _taking_file(kind, dest or "-"))
    if kind == "docker" or (kind == "image" and fields.get("push") != "true"):
        return Output("image", fields)
    return Output("registry" if kind == "image" else kind, fields)


def _taking_file(kind: str, dest: str) -> Callable[[Iterator[bytes]], None]:
    if dest != "-":
        check_path(dest)
        return partial(write_output, dest)
    if os.isatty(1):
        raise CommandFailed(f"dest file is required for {kind} output: refusing to write to a terminal")
    return write_to_standard_output


def taking_directory(dest: str) -> Callable[[Iterator[bytes]], None]:
    """Return what unpacks a result into a directory. Raises `CommandFailed` for what cannot be one."""
    if not dest or dest == "-":
        raise CommandFailed("dest is required for local output: give a directory")
    if os.path.lexists(dest) and not Path(dest).is_dir():
        raise CommandFailed(f"destination {dest} of local output should be a directory")

    def take(chunks: Iterator[bytes]) -> None:
        try:
            Path(dest).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandFailed(f"cannot make {dest}: {(error.strerror or str(error)).lower()}") from error
        unpack(Chunks(chunks), dest, lambda name: name)

    return take


def parse_secrets(given: Iterable[str]) -> dict[str, Callable[[], bytes]]:
    """Return how each `--secret` is read: `id=NAME[,src=FILE|,env=VARIABLE]`. Raises `CommandFailed`."""
    secrets: dict[str, Callable[[], bytes]] = {}
    for text in given:
        try:
            fields = fields_of(text)
        except ValueError as error:
            raise CommandFailed(f"failed to parse secret: {error}") from error
        kind = fields.pop("type", "")
        name, variable = fields.pop("id", ""), fields.pop("env", "")
        source = fields.pop("src", "") or fields.pop("source", "")
        if kind not in ("", "file", "env"):
            raise CommandFailed(f"failed to parse secret: unsupported secret type {kind!r}")
        if fields:
            raise CommandFailed(f"failed to parse secret: unexpected key '{next(iter(fields))}' in '{text}'")
        if kind == "env" and source and not variable:
            variable, source = source, ""
        if not name:
            raise CommandFailed(f"failed to parse secret: id is required in '{text}'")
        if not variable and not source:
            variable, source = (name, "") if kind == "env" or (not kind and name in os.environ) else ("", name)
        if variable:
            secrets[name] = partial(_read_variable, variable)
        else:
            _check_secret(source)
            secrets[name] = partial(_read_secret, source)
    return secrets


def _read_variable(name: str) -> bytes:
    return os.environb.get(os.fsencode(name), b"")


def _check_secret(path: str) -> None:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise CommandFailed(f"failed to stat {path}: {(error.strerror or str(error)).lower()}") from error
    if status.st_size > _LONGEST_SECRET:
        raise CommandFailed(f"secret {path} too big. max size 500KB")


def _read_secret(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandFailed(f"failed to read secret {path}: {(error.strerror or str(error)).lower()}") from error


def parse_contexts(given: Iterable[str]) -> tuple[dict[str, str], dict[str, Callable[[], Iterable[bytes]]]]:
    """Return named contexts as the daemon takes them, and archives of those that are here. Raises `CommandFailed`."""
    places: dict[str, str] = {}
    local: dict[str, Callable[[], Iterable[bytes]]] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise CommandFailed(f"invalid context value: {text}, expected key=value")
        if place.startswith("oci-layout://"):
            path, suffix = _split_layout(place.removeprefix("oci-layout://"))
            places[name] = f"oci-layout://{name}{suffix}"
        elif place.startswith(_REMOTE_CONTEXTS) or is_remote(place):
            places[name] = place
            continue
        else:
            path = place
            places[name] = f"session://{name}"
        if not Path(path).is_dir():
            raise CommandFailed(f"failed to get build context {name}: {path} is not a directory")
        local[name] = partial(pack_directory, path)
    return places, local


def _split_layout(place: str) -> tuple[str, str]:
    """Return the directory of an OCI layout, and the tag and digest that may stand behind it."""
    path, at, digest = place.partition("@")
    head, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{head}{slash}{last}", f"{colon}{tag}{at}{digest}"


def parse_arguments(given: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return `--build-arg`s as `NAME=VALUE`; a name alone has the client's own value, or is left out without one."""
    found = []
    for text in given:
        name, equals, _ = text.partition("=")
        if equals:
            found.append(text)
        elif name in environment:
            found.append(f"{name}={environment[name]}")
    return found


def attributes_for_daemon(output: Output) -> dict[str, Any]:
    """Return the attributes of an output that are not this side's business."""
    return {name: value for name, value in output.attributes.items() if name != "dest"}
