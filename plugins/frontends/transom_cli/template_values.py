"""The values that templates meet, and how Go prints them (packages fmt and text/template)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "EMPTY",
    "NIL",
    "NO_VALUE",
    "NULL_MAP",
    "RAW_NIL",
    "FreeForm",
    "Missing",
    "Number",
    "RawList",
    "encode_json",
    "is_true",
    "raw_json",
    "show",
    "show_all",
    "show_float",
    "type_name",
]


class Missing:
    """Something that is shown in a way of its own, within others as `within`, and is null in JSON."""

    def __init__(self, text: str, within: str = "<nil>") -> None:
        self.text = text
        self.within = within


class FreeForm(dict[str, Any]):
    """A mapping whose keys people choose; `zero` is what `index` gives for a key that is not there."""

    def __init__(self, items: Mapping[str, Any], zero: Any) -> None:
        super().__init__(items)
        self.zero = zero


class NullMap(FreeForm):
    """A mapping that is null: it is shown as empty."""


class Empty(dict[str, Any]):
    """A thing without fields, as those that sets are made of."""


class Number(str):
    """A number of JSON as it is written, which Go takes for a string where it does not know what to expect."""

    __slots__ = ()


class RawList(list[Any]):
    """A list of JSON of which is not known what it holds."""


EMPTY = Empty()
#: What a key that is not there means.
NO_VALUE = Missing("<no value>")
#: Null where a thing could be.
NIL = Missing("<nil>")
#: Null of which is not known what it could be.
RAW_NIL = Missing("<no value>")
#: Null where a mapping could be.
NULL_MAP = NullMap({}, "")


def raw_json(text: bytes) -> Any:
    """Return JSON as Go reads it without a type: numbers as they are written."""
    return _raw(json.loads(text, parse_int=Number, parse_float=Number))


def _raw(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _raw(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return RawList(map(_raw, value))
    return RAW_NIL if value is None else value


def type_name(value: Any) -> str:
    """Return what Go calls a value's type."""
    if isinstance(value, Missing) or value is None:
        return "nil"
    if isinstance(value, Mapping):
        texts = isinstance(value, FreeForm) and value.zero == ""
        return "map[string]string" if texts else "map[string]interface {}"
    if isinstance(value, list):
        texts = not isinstance(value, RawList) and all(type(item) is str for item in value)
        return "[]string" if texts else "[]interface {}"
    names = {str: "string", bool: "bool", int: "int", float: "float64", Number: "json.Number"}
    return names.get(type(value), "func")


def is_true(value: Any) -> bool:
    """Return whether `if` takes a value for true: it is not null, false, zero or empty."""
    return not isinstance(value, Missing) and bool(value)


def encode_json(value: Any, *, escape_html: bool = False) -> str:
    """Return a value as compact JSON; methods of a row are left out."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    if escape_html:
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plain(value: Any) -> Any:
    """Return a value as `json` knows it: without methods, and with null for what is not there."""
    if isinstance(value, NullMap):
        return None
    if isinstance(value, Mapping):
        keys = sorted(value) if isinstance(value, FreeForm) else value
        return {key: _plain(value[key]) for key in keys if not callable(value[key])}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Number):
        return json.loads(value)
    return None if isinstance(value, Missing) else value


def show(value: Any, nested: bool = False) -> str:
    """Return a value as Go prints it (`%v`). JSON's null is shown as an empty list, which it mostly is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Missing):
        return value.within if nested else value.text
    if value is None:
        return "[]"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, Empty):
        return "{}"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{show(value[key], True)}" for key in sorted(value)) + "]"
    if isinstance(value, Sequence):
        return "[" + " ".join(show(item, True) for item in value) + "]"
    return str(value)


def show_all(values: Sequence[Any]) -> str:
    """Return values behind each other (Go's Sprint): with a space between two of which neither is a string."""
    text = ""
    for index, value in enumerate(values):
        apart = index > 0 and not isinstance(value, str) and not isinstance(values[index - 1], str)
        text += " " * apart + show(value, True)
    return text


def show_float(value: float, form: str = "g", precision: int | None = None) -> str:
    """Return a number as Go prints it, in the form `g`, `e` or `f`."""
    if math.isinf(value) or math.isnan(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    if precision is not None or form != "g":
        return _exponent(f"{value:.{6 if precision is None else precision}{form}}")
    shortest = f"{value:e}" if value == 0 else f"{value:.{len(_digits(value)) - 1}e}"
    exponent = int(shortest.partition("e")[2])
    if -4 <= exponent < 6:
        text = f"{value:.{max(len(_digits(value)) - 1 - exponent, 0)}f}"
        return text.removesuffix(".0")
    return _exponent(shortest)


def _digits(value: float) -> str:
    """Return the digits that tell a number from all others."""
    return repr(value).lstrip("-").partition("e")[0].replace(".", "").strip("0") or "0"


def _exponent(text: str) -> str:
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)
