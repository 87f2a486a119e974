"""Attributes of outputs and caches that say yes or no, or a number."""

from __future__ import annotations

from collections.abc import Mapping

from transom.errors import InvalidParameter

__all__ = ["flag", "number"]

_YES = ("1", "t", "T", "true", "TRUE", "True")
_NO = ("0", "f", "F", "false", "FALSE", "False")


def flag(attributes: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return what an attribute says, in the words that Go's `strconv.ParseBool` takes. Raises `InvalidParameter`."""
    value = attributes.get(name)
    if value is None:
        return default
    if value not in (*_YES, *_NO):
        raise InvalidParameter(f"non-bool value {value!r} specified for {name}")
    return value in _YES


def number(attributes: Mapping[str, str], name: str) -> int | None:
    """Return the number that an attribute is, None if it is absent. Raises `InvalidParameter`."""
    value = attributes.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdecimal():
        raise InvalidParameter(f"non-integer value {value!r} specified for {name}")
    return int(value)
