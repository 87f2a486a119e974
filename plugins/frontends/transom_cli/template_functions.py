"""The functions that templates call, with the values that JSON does not have and how values are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["FUNCTIONS", "NIL", "NO_VALUE", "NULL_MAP", "CallFailed", "encode_json", "is_true", "show"]


class CallFailed(Exception):
    """What a function cannot do with its arguments."""


class _Missing:
    """Something that is shown in a way of its own, and is null in JSON."""

    def __init__(self, text: str) -> None:
        self.text = text


class _NullMap(dict[str, Any]):
    """A mapping that is null: it is shown as empty."""


#: What a key that is not there means.
NO_VALUE = _Missing("<no value>")
#: Null where a thing could be.
NIL = _Missing("<nil>")
#: Null where a mapping could be.
NULL_MAP = _NullMap()


def show(value: Any) -> str:
    """Return a value as Go prints it. JSON's null is shown as an empty list, which it mostly is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Missing):
        return value.text
    if value is None:
        return "[]"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{show(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Sequence):
        return "[" + " ".join(show(item) for item in value) + "]"
    return str(value)


def is_true(value: Any) -> bool:
    """Return whether `if` takes a value for true: it is not null, false, zero or empty."""
    return not isinstance(value, _Missing) and bool(value)


def encode_json(value: Any, *, escape_html: bool = False) -> str:
    """Return a value as compact JSON; methods of a row are left out."""
    if isinstance(value, (_Missing, _NullMap)):
        value = None
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if escape_html:
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _length(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, (str, bytes, Mapping, Sequence)):
        return len(value.encode()) if isinstance(value, str) else len(value)
    raise CallFailed(f"len of {show(value)}, which has no length")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, NO_VALUE)
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise CallFailed(f"index out of range: {key}")
            value = value[key]
        else:
            raise CallFailed(f"can't index {show(value)} with {show(key)}")
    return value


def _slice(value: Any, first: int = 0, last: int | None = None) -> Any:
    if not isinstance(value, (str, Sequence)) or not 0 <= first <= (len(value) if last is None else last) <= len(value):
        raise CallFailed(f"cannot slice {show(value)} so")
    return value[first:last]


def _equal(value: Any, *others: Any) -> bool:
    if not others:
        raise CallFailed("missing argument for comparison")
    return any(type(value) is type(other) and value == other for other in others)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(one: Any, other: Any) -> bool:
        try:
            return compare(one, other)
        except TypeError:
            raise CallFailed("incompatible types for comparison") from None

    return ordered


def _format(pattern: str, *values: Any) -> str:
    """Go's Printf with the verbs that make sense for what comes from JSON."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        flags, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        if verb in "dxf" and not isinstance(value, (int, float)):
            return f"%!{verb}({show(value)})"
        if verb in "dxf":
            return str(f"%{flags}{verb}" % value)
        return str(f"%{flags}s" % (json.dumps(show(value), ensure_ascii=False) if verb == "q" else show(value)))

    return re.sub(r"%([-+ 0]*\d*(?:\.\d+)?)([vsqtdxf%])", one, pattern)


def _join(values: Any, separator: str) -> str:
    return separator.join(show(value) for value in values or ())


def _and(*values: Any) -> Any:
    return next((value for value in values if not is_true(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if is_true(value)), values[-1])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": _and,
    "eq": _equal,
    "ge": _ordered(lambda one, other: bool(one >= other)),
    "gt": _ordered(lambda one, other: bool(one > other)),
    "index": _index,
    "join": _join,
    "json": encode_json,
    "le": _ordered(lambda one, other: bool(one <= other)),
    "len": _length,
    "lower": lambda text: show(text).lower(),
    "lt": _ordered(lambda one, other: bool(one < other)),
    "ne": lambda one, other: not _equal(one, other),
    "not": lambda value: not is_true(value),
    "or": _or,
    "pad": lambda text, before, after: " " * before + show(text) + " " * after,
    "print": lambda *values: "".join(show(value) for value in values),
    "printf": _format,
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "slice": _slice,
    "split": lambda text, separator: show(text).split(separator),
    "title": lambda text: show(text)[:1].upper() + show(text)[1:],
    "truncate": lambda text, length: show(text)[:length],
    "upper": lambda text: show(text).upper(),
}
