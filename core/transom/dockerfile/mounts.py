"""What `RUN --mount` takes: what is there for one command and in no layer."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from transom.dockerfile.source import with_suggestion
from transom.errors import InvalidParameter

__all__ = ["RunMount", "parse_mount"]

_TYPES: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING: Final = ("shared", "private", "locked")
_KEYS: Final = (
    "type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw", "id",
    "sharing", "required", "size", "mode", "uid", "gid", "env",
)  # fmt: skip
_NAMES: Final = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_UNITS: Final = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}
_UNITS_MORE: Final = {"t": 2**40, "tb": 2**40, "p": 2**50, "pb": 2**50}
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True)
class RunMount:
    """A mount of one command.

    bind
        Files of the context, or of what `from_` names, at `target`. Changes are lost.
    cache
        A directory that stays from build to build, known by its `id`; who may use it at once says `sharing`.
    tmpfs
        `size` is its limit in bytes, 0 for none.
    secret
        A file, or with `env` a variable, that the client gives by `id`. Without `required` it may be missing.
    ssh
        The client's SSH agent of that `id`.

    `mode` is that of the file or of a new directory; it, `uid` and `gid` are None where nothing is said. `env` is
    None where the secret is a file.
    """

    type: str = "bind"
    target: str = ""
    source: str = ""
    from_: str = ""
    id: str = ""
    sharing: str = ""
    readonly: bool = True
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None


def parse_mount(text: str, expand: Callable[[str], str] | None = None) -> RunMount:
    """Return the mount that a flag describes. Raises `InvalidParameter`.

    Without a way to expand variables, what has some in it is left out, and so is what depends on it.
    """
    mount, said_readonly, complete = RunMount(), False, True
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if key not in _KEYS:
            raise InvalidParameter(with_suggestion(f"unexpected key '{key}' in '{field}'", key, _KEYS))
        name = _NAMES.get(key, key)
        said_readonly = said_readonly or name in ("readonly", "readwrite")
        if not equals:
            mount = _without_value(mount, name, field)
            continue
        if expand is not None:
            value = expand(value)
        elif "$" in value:
            if name == "from":
                raise InvalidParameter("'from' doesn't support variable expansion, define alias stage instead")
            complete = False
            continue
        mount = _with_value(mount, name, key, value)
    if not said_readonly:
        mount = replace(mount, readonly=mount.type not in ("cache", "tmpfs"))
    if complete:
        _check(mount)
    return mount


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise InvalidParameter(f"failed to parse csv mounts: {error}") from None
    if len(rows) != 1:
        raise InvalidParameter("failed to parse csv mounts: there is nothing in it, or a line's end")
    return rows[0]


def _without_value(mount: RunMount, name: str, field: str) -> RunMount:
    if name in ("readonly", "readwrite"):
        return replace(mount, readonly=name == "readonly")
    if name == "required":
        return replace(mount, required=True)
    if name == "env":
        return replace(mount, env="")
    raise InvalidParameter(f"invalid field '{field}' must be a key=value pair")


def _with_value(mount: RunMount, name: str, key: str, value: str) -> RunMount:
    changed: Any
    if name == "type":
        changed = value.lower()
        if changed not in _TYPES:
            raise InvalidParameter(with_suggestion(f'unsupported mount type "{value}"', value, _TYPES))
    elif name == "sharing":
        changed = value.lower()
        if changed not in _SHARING:
            raise InvalidParameter(with_suggestion(f'unsupported sharing value "{value}"', value, _SHARING))
    elif name in ("readonly", "readwrite", "required"):
        if value not in _TRUE + _FALSE:
            raise InvalidParameter(f"invalid value for {key}: {value}")
        changed = value in _TRUE
        if name == "readwrite":
            name, changed = "readonly", not changed
    elif name in ("mode", "uid", "gid"):
        changed = _number(name, value)
    elif name == "size":
        changed = _size(value)
    else:
        name, changed = ("from_" if name == "from" else name), value
    return replace(mount, **{name: changed})


def _number(name: str, value: str) -> int:
    digits = "01234567" if name == "mode" else "0123456789"
    if not value or len(value) > 20 or value.strip(digits):
        raise InvalidParameter(f"invalid value {value} for {name}")
    number = int(value, len(digits))
    if number >= 2**32:
        raise InvalidParameter(f"invalid value {value} for {name}")
    return number


def _size(value: str) -> int:
    unit = value.lstrip("0123456789.").strip().lower().removesuffix("ib")
    amount = value[: len(value) - len(value.lstrip("0123456789."))]
    factor = {**_UNITS, **_UNITS_MORE}.get(unit)
    try:
        size = int(float(amount) * factor) if factor is not None and len(amount) < 20 else None
    except ValueError:
        size = None
    if size is None or size >= 2**63:
        raise InvalidParameter(f"invalid value for size: {value}")
    return size


def _check(mount: RunMount) -> None:
    """Refuse what has no meaning for the type of a mount."""
    for name in ("mode", "uid", "gid"):
        if getattr(mount, name) is not None and mount.type not in ("secret", "ssh", "cache"):
            raise InvalidParameter(f'{name} not allowed for "{mount.type}" type mounts')
    if mount.sharing and mount.type != "cache":
        raise InvalidParameter(f"invalid cache sharing set for {mount.type} mount")
    if mount.required and mount.type not in ("secret", "ssh"):
        raise InvalidParameter(f"unexpected key 'required' for mount type '{mount.type}'")
    if mount.size and mount.type != "tmpfs":
        raise InvalidParameter(f"unexpected key 'size' for mount type '{mount.type}'")
    if mount.env is not None and mount.type != "secret":
        raise InvalidParameter(f"unexpected key 'env' for mount type '{mount.type}'")
    if mount.type == "secret":
        if mount.from_:
            raise InvalidParameter("secret mount should not have a from")
        if not (mount.source or mount.target or mount.id):
            raise InvalidParameter("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise InvalidParameter("both source and id can't be set")
    if mount.type == "ssh" and mount.source:
        raise InvalidParameter("ssh does not support source")
