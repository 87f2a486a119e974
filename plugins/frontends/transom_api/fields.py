"""Untrusted JSON, read field by field with its type; errors name the field.

The rules are those of Go's decoder, which Docker's clients are written for: null is the same as absent, a name may be
written in other cases where none has its own, and fields that nobody asks for are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from transom.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fields", "parse_object"]

_INT64 = range(-(2**63), 2**63)


def parse_object(content: bytes | str) -> Fields:
    """Return a JSON object. Raises `InvalidParameter` for anything else."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"invalid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidParameter(f"invalid JSON: it should be an object, and is {_kind(value)}")
    return Fields(value)


class Fields:
    """One JSON object. Each method reads one field, or raises `InvalidParameter` if it has another type."""

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._value = value
        self._path = path
        self._folded: dict[str, Any] | None = None

    @property
    def empty(self) -> bool:
        """Whether it has no field at all."""
        return not self._value

    def __contains__(self, name: str) -> bool:
        return self.raw(name) is not None

    def raw(self, name: str) -> Any:
        """Return a field as it is, None if it is absent."""
        if name in self._value:
            return self._value[name]
        if self._folded is None:
            self._folded = {key.lower(): value for key, value in self._value.items()}
        return self._folded.get(name.lower())

    def string(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        if "\0" in value:
            raise InvalidParameter(f"invalid value for {self._path}{name}: it contains a zero byte")
        return value

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number of 64 bits."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
            raise self._wrong(name, "a whole number", value)
        return value

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, None if it is absent."""
        return self.integer(name) if name in self else None

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(Fields({name: item}, self._path).string(name) for item in self._list(name, "a list of strings"))

    def words(self, name: str) -> tuple[str, ...] | None:
        """Return a command: a list of strings, or one string as its only word; None if it is absent."""
        value = self.raw(name)
        if value is None:
            return None
        return (self.string(name),) if isinstance(value, str) else self.strings(name)

    def mapping(self, name: str) -> dict[str, str]:
        """Return an object whose values are strings; null is an empty one."""
        inner = self._object(name, "an object of strings")
        fields = Fields(inner, f"{self._path}{name}.")
        return {key: fields.string(key) for key in inner}

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the keys of an object that is used as a set: `{"80/tcp": {}}`."""
        return tuple(self._object(name, "an object"))

    def object(self, name: str) -> Fields:
        """Return an object, an empty one if it is absent."""
        return Fields(self._object(name, "an object"), f"{self._path}{name}.")

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        found = []
        for index, item in enumerate(self._list(name, "a list of objects")):
            if not isinstance(item, dict):
                raise self._wrong(name, "a list of objects", item)
            found.append(Fields(item, f"{self._path}{name}[{index}]."))
        return found

    def size(self, name: str) -> tuple[int, int]:
        """Return `[height, width]` in characters, (0, 0) if it is absent."""
        values = self._list(name, "[height, width]")
        if not values:
            return (0, 0)
        numbers = tuple(Fields({name: item}, self._path).integer(name) for item in values)
        if len(numbers) != 2 or not all(0 <= number < 2**16 for number in numbers):
            raise self._wrong(name, "[height, width]", values)
        return numbers[0], numbers[1]

    def path(self, name: str) -> str:
        """Return the name of a field with those of the objects around it, for messages."""
        return f"{self._path}{name}"

    def _list(self, name: str, wanted: str) -> list[Any]:
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, wanted, value)
        return value

    def _object(self, name: str, wanted: str) -> dict[str, Any]:
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, wanted, value)
        return value

    def _wrong(self, name: str, wanted: str, value: Any) -> InvalidParameter:
        return InvalidParameter(f"invalid value for {self._path}{name}: it should be {wanted}, and is {_kind(value)}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "an object"
