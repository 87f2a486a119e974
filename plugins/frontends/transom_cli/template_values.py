"""The values that templates meet, and how Go prints them (packages fmt and text/template)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transom_cli.template_lexer import quoted

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
    "format_text",
    "is_true",
    "raw_json",
    "show",
    "show_all",
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
        return _float(value)
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


def _float(value: float, form: str = "g", precision: int | None = None) -> str:
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


_VERB = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:(\.)(\*|\d+)?)?(?:\[(\d+)\])?(.)?", re.DOTALL)


def format_text(pattern: str, *values: Any) -> str:
    """Return values in a pattern (Go's Sprintf)."""
    return _Printf(values).text(pattern)


class _Printf:
    """The values of one pattern, and which of them comes next."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        self._next = 0
        self._reordered = False

    def text(self, pattern: str) -> str:
        text = _VERB.sub(self._one, pattern)
        left = self._values[self._next :]
        if left and not self._reordered:
            text += "%!(EXTRA " + ", ".join(f"{type_name(value)}={show(value, True)}" for value in left) + ")"
        return text

    def _one(self, match: re.Match[str]) -> str:
        flags, width_text, point, precision_text, index, verb = match.groups()
        width, precision = self._number(width_text), self._number(precision_text)
        precision = 0 if point and precision is None else precision
        if index:
            self._reordered, self._next = True, int(index) - 1
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if not 0 <= self._next < len(self._values):
            return f"%!{verb}({'BADINDEX' if index else 'MISSING'})"
        self._next += 1
        text, is_number = _formatted(verb, self._values[self._next - 1], flags, precision)
        return _padded(text, width, flags, is_number)

    def _number(self, text: str | None) -> int | None:
        """Return a width or precision; a star takes it from the values."""
        if text != "*":
            return int(text) if text else None
        value = self._values[self._next] if self._next < len(self._values) else None
        self._next += 1
        return value if isinstance(value, int) else None


def _padded(text: str, width: int | None, flags: str, is_number: bool) -> str:
    if width is None:
        return text
    if "-" in flags or width < 0:
        return text.ljust(abs(width))
    if "0" in flags:
        sign = text[:1] if is_number and text[:1] in ("+", "-", " ") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _formatted(verb: str, value: Any, flags: str, precision: int | None) -> tuple[str, bool]:
    """Return a value as a verb shows it, and whether it is a number."""
    if verb == "T":
        return "<nil>" if isinstance(value, Missing) or value is None else type_name(value), False
    if isinstance(value, Missing):
        return ("<nil>" if verb == "v" else f"%!{verb}(<nil>)"), False
    if verb == "v":
        if isinstance(value, str) and "#" in flags:
            return quoted(value), False
        return show(value, True), isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, Mapping):
        inner = (
            f"{_one(verb, key, flags, precision)}:{_one(verb, value[key], flags, precision)}" for key in sorted(value)
        )
        return f"map[{' '.join(inner)}]", False
    if isinstance(value, (list, tuple)) or value is None:
        return f"[{' '.join(_one(verb, item, flags, precision) for item in value or ())}]", False
    if isinstance(value, bool):
        return (show(value), False) if verb == "t" else (_bad(verb, value), False)
    if isinstance(value, str):
        return _text(verb, value, flags, precision), False
    if isinstance(value, float):
        return _real(verb, value, flags, precision), True
    return _whole(verb, value, flags, precision), True


def _one(verb: str, value: Any, flags: str, precision: int | None) -> str:
    return _formatted(verb, value, flags, precision)[0]


def _bad(verb: str, value: Any) -> str:
    return f"%!{verb}({type_name(value)}={show(value, True)})"


def _text(verb: str, value: str, flags: str, precision: int | None) -> str:
    cut = value if precision is None else value[:precision]
    if verb == "s":
        return cut
    if verb == "q":
        return f"`{cut}`" if "#" in flags and "`" not in cut else quoted(cut, ascii_only="+" in flags)
    if verb in "xX":
        data, prefix = cut.encode(errors="surrogateescape"), "0x" if "#" in flags else ""
        text = " ".join(f"{prefix}{byte:02x}" for byte in data) if " " in flags else prefix * bool(data) + data.hex()
        return text.upper() if verb == "X" else text
    return _bad(verb, value)


def _real(verb: str, value: float, flags: str, precision: int | None) -> str:
    if verb not in "eEfFgG":
        return _bad(verb, value)
    text = _float(value, verb.lower(), precision)
    text = text.upper() if verb.isupper() else text
    return "+" + text if "+" in flags and not text.startswith("-") else text


_BASES: dict[str, Callable[[int], str]] = {
    "b": lambda value: f"{value:b}",
    "d": str,
    "o": lambda value: f"{value:o}",
    "O": lambda value: f"0o{value:o}",
    "x": lambda value: f"{value:x}",
    "X": lambda value: f"{value:X}",
}
_PREFIXES = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def _whole(verb: str, value: int, flags: str, precision: int | None) -> str:
    if verb == "c":
        return chr(value) if 0 <= value < 0x110000 else "\ufffd"
    if verb == "q":
        return "'" + quoted(chr(value))[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    if verb == "U":
        return f"U+{value:04X}"
    if verb not in _BASES:
        return _bad(verb, value)
    digits = _BASES[verb](abs(value)).rjust(precision or 0, "0")
    prefix = _PREFIXES.get(verb, "") if "#" in flags else ""
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    return sign + prefix + digits
