"""Dataclasses as JSON records, for what the database keeps.

A record is written with `dump` and read with `load`, which follows the type hints: nested dataclasses, tuples,
lists, dicts with string keys, enums, `Path`, `Digest`, and `X | None`. A field that is missing in the record gets its
default, so that a newer engine reads an older database; a field that is no longer known is left out.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

__all__ = ["dump", "load"]

T = TypeVar("T")


def dump(value: Any) -> Any:
    """Return a value made of what JSON has: dicts, lists, strings, numbers, booleans and None."""
    if dataclasses.is_dataclass(value):
        return {field.name: dump(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): dump(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [dump(item) for item in value]
    return value


def load(type: type[T], record: Any) -> T:
    """Return the value of the given type whose `dump` the record is."""
    return typing.cast("T", _load(type, record))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _load(hint: Any, record: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is None:
        if record is None or hint is Any:
            return record
        if dataclasses.is_dataclass(hint):
            hints = _hints(typing.cast("type", hint))
            return hint(**{name: _load(hints[name], item) for name, item in record.items() if name in hints})  # type: ignore[operator]
        if isinstance(hint, type) and not isinstance(record, hint):
            return hint(record)
        return record
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if record is None:
            return None
        return _load(next(item for item in arguments if item is not types.NoneType), record)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_load(arguments[0], item) for item in record)
        return tuple(_load(kind, item) for kind, item in zip(arguments, record, strict=True))
    if origin is list:
        return [_load(arguments[0], item) for item in record]
    if issubclass(origin, Mapping):
        return {key: _load(arguments[1], item) for key, item in record.items()}
    return record
