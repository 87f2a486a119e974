"""The functions that templates call: Go's (text/template, funcs.go), and those that Docker's client adds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from transom_cli.template_printf import format_text
from transom_cli.template_values import FreeForm, Missing, encode_json, is_true, show, show_all, type_name

__all__ = ["FUNCTIONS", "CallFailed", "Function"]


class CallFailed(Exception):
    """What a function cannot do with its arguments."""


class Function(NamedTuple):
    """A function, the Go types of its arguments, and that of those that may follow, empty if none may."""

    call: Callable[..., Any]
    takes: tuple[str, ...] = ()
    more: str = ""


_KINDS = {"bool": "bool", "int": "int", "float64": "float", "string": "string", "json.Number": "string"}


def _length(value: Any) -> int:
    if isinstance(value, Missing):
        raise CallFailed("reflect: call of reflect.Value.Type on zero Value")
    if value is None:
        return 0
    if isinstance(value, (str, Mapping, list)):
        return len(value.encode(errors="surrogateescape")) if isinstance(value, str) else len(value)
    raise CallFailed(f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    if isinstance(value, Missing):
        raise CallFailed("index of untyped nil")
    for key in keys:
        if isinstance(value, Missing):
            raise CallFailed("index of nil pointer")
        if isinstance(value, Mapping):
            if not isinstance(key, str):
                raise CallFailed(f"value has type {type_name(key)}; should be string")
            value = value.get(key, value.zero if isinstance(value, FreeForm) else Missing("<no value>"))
        elif isinstance(value, (str, list)) or value is None:
            items = value.encode(errors="surrogateescape") if isinstance(value, str) else value or []
            number = _position(key, len(items))
            if number == len(items):
                what = "string" if isinstance(value, str) else "slice"
                raise CallFailed(f"reflect: {what} index out of range")
            value = items[number]
        else:
            raise CallFailed(f"can't index item of type {type_name(value)}")
    return value


def _position(key: Any, length: int) -> int:
    """Return a key as a place in something of a length, its end included."""
    if isinstance(key, bool) or not isinstance(key, int):
        what = "nil" if isinstance(key, Missing) or key is None else f"type {type_name(key)}"
        raise CallFailed(f"cannot index slice/array with {what}")
    if not 0 <= key <= length:
        raise CallFailed(f"index out of range: {key}")
    return key


def _slice(value: Any, *keys: Any) -> Any:
    if isinstance(value, Missing):
        raise CallFailed("slice of untyped nil")
    if len(keys) > 3:
        raise CallFailed(f"too many slice indexes: {len(keys)}")
    if isinstance(value, str) and len(keys) == 3:
        raise CallFailed("cannot 3-index slice a string")
    if not isinstance(value, (str, list)) and value is not None:
        raise CallFailed(f"can't slice item of type {type_name(value)}")
    items = value.encode(errors="surrogateescape") if isinstance(value, str) else value or []
    bounds = [_position(key, len(items)) for key in keys]
    first, last = (*bounds[:2], *(0, len(items))[len(bounds[:2]) :])
    for low, high in zip([first, last], [last, *bounds[2:]], strict=False):
        if low > high:
            raise CallFailed(f"invalid slice index: {low} > {high}")
    cut = items[first:last]
    return cut.decode(errors="surrogateescape") if isinstance(cut, bytes) else cut


def _equal(value: Any, *others: Any) -> bool:
    if not others:
        raise CallFailed("missing argument for comparison")
    return any(_same(value, other) for other in others)


def _same(value: Any, other: Any) -> bool:
    kind, others = (_KINDS.get(type_name(item), "") for item in (value, other))
    if kind != others:
        if isinstance(value, Missing) or isinstance(other, Missing):
            return False
        raise CallFailed("incompatible types for comparison")
    if kind:
        return bool(value == other)
    for item in (value, other):
        if not isinstance(item, Missing) and item is not None:
            raise CallFailed(f"non-comparable type {show(item, True)}: {type_name(item)}")
    return True


def _less(value: Any, other: Any) -> bool:
    kind, others = (_KINDS.get(type_name(item), "") for item in (value, other))
    if not kind or not others:
        raise CallFailed("invalid type for comparison")
    if kind != others:
        raise CallFailed("incompatible types for comparison")
    if kind == "bool":
        raise CallFailed("invalid type for comparison")
    return bool(value < other)


def _title(text: str) -> str:
    """Return a text with the first letter of each word in upper case, as Go's `strings.Title` finds words."""
    return re.sub(r"(?<![\w])\w", lambda match: match[0].upper(), text)


def _printed(values: Sequence[Any]) -> str:
    return show_all(["<no value>" if isinstance(value, Missing) else value for value in values])


def _html(*values: Any) -> str:
    text = _printed(values)
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(character, escaped)
    return text.replace("\0", "\ufffd")


def _javascript(*values: Any) -> str:
    named = {"\\": "\\\\", "'": "\\'", '"': '\\"'}

    def one(character: str) -> str:
        if character in named:
            return named[character]
        if character in "<>&=" or character < " " or (character > "~" and not character.isprintable()):
            return f"\\u{ord(character):04X}"
        return character

    return "".join(map(one, _printed(values)))


def _query(*values: Any) -> str:
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    return "".join(
        "+" if byte == 32 else chr(byte) if byte in unreserved else f"%{byte:02X}"
        for byte in _printed(values).encode(errors="surrogateescape")
    )


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _truncate(text: str, length: int) -> str:
    if length < 0:
        raise CallFailed(f"runtime error: slice bounds out of range [:{length}]")
    return text[:length]


FUNCTIONS: Mapping[str, Function] = {
    # The first three are the renderer's: it looks at the arguments of two one by one, and nothing can be called.
    "and": Function(lambda *values: values[-1], ("any",), "any"),
    "or": Function(lambda *values: values[-1], ("any",), "any"),
    "call": Function(lambda *values: values[0], ("any",), "any"),
    "eq": Function(_equal, ("any",), "any"),
    "ge": Function(lambda value, other: not _less(value, other), ("any", "any")),
    "gt": Function(lambda value, other: not (_less(value, other) or _same(value, other)), ("any", "any")),
    "html": Function(_html, (), "any"),
    "index": Function(_index, ("any",), "any"),
    "join": Function(lambda values, separator: separator.join(values or ()), ("[]string", "string")),
    "js": Function(_javascript, (), "any"),
    "json": Function(encode_json, ("any",)),
    "le": Function(lambda value, other: _less(value, other) or _same(value, other), ("any", "any")),
    "len": Function(_length, ("any",)),
    "lower": Function(str.lower, ("string",)),
    "lt": Function(_less, ("any", "any")),
    "ne": Function(lambda value, other: not _same(value, other), ("any", "any")),
    "not": Function(lambda value: not is_true(value), ("any",)),
    "pad": Function(
        lambda text, before, after: " " * before + text + " " * after if text else text, ("string", "int", "int")
    ),
    "print": Function(lambda *values: show_all(values), (), "any"),
    "printf": Function(format_text, ("string",), "any"),
    "println": Function(lambda *values: " ".join(show(value, True) for value in values) + "\n", (), "any"),
    "slice": Function(_slice, ("any",), "any"),
    "split": Function(_split, ("string", "string")),
    "title": Function(_title, ("string",)),
    "truncate": Function(_truncate, ("string", "int")),
    "upper": Function(str.upper, ("string",)),
    "urlquery": Function(_query, (), "any"),
}
