"""Go's Printf, with the verbs that make sense for what comes from JSON (package fmt)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from transom_cli.template_lexer import quoted
from transom_cli.template_values import Empty, Missing, show, show_float, type_name

__all__ = ["format_text"]

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
            text += "%!(EXTRA " + ", ".join(map(_extra, left)) + ")"
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
        return _Verb(verb, flags, width, precision).text(self._values[self._next - 1])

    def _number(self, text: str | None) -> int | None:
        """Return a width or precision; a star takes it from the values."""
        if text != "*":
            return int(text) if text else None
        value = self._values[self._next] if self._next < len(self._values) else None
        self._next += 1
        return value if isinstance(value, int) else None


def _extra(value: Any) -> str:
    return "<nil>" if isinstance(value, Missing) else f"{type_name(value)}={show(value, True)}"


class _Verb(NamedTuple):
    """One verb with its flags, which go to the innermost values."""

    verb: str
    flags: str
    width: int | None
    precision: int | None

    def text(self, value: Any) -> str:
        """Return a value as the verb shows it."""
        verb = self.verb
        if verb == "T":
            return self._padded("<nil>" if isinstance(value, Missing) or value is None else type_name(value))
        if isinstance(value, Missing):
            return self._padded("<nil>") if verb == "v" else f"%!{verb}(<nil>)"
        if isinstance(value, Empty):
            return "{}"
        if isinstance(value, Mapping):
            pairs = (f"{self.text(key)}:{self.text(value[key])}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        if isinstance(value, (list, tuple)) or value is None:
            return f"[{' '.join(map(self.text, value or ()))}]"
        return self._plain(value)

    def _plain(self, value: Any) -> str:
        verb, flags, precision = self.verb, self.flags, self.precision
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if verb == "v":
            if isinstance(value, str):
                found: str | None = quoted(value) if "#" in flags else value[:precision]
            else:
                found = show_float(value, "g", precision) if isinstance(value, float) else show(value)
        elif isinstance(value, bool):
            found = show(value) if verb == "t" else None
        elif isinstance(value, str):
            found = _text(verb, value, flags, precision)
        elif isinstance(value, float):
            found = _real(verb, value, flags, precision)
        else:
            found = _whole(verb, value, flags, precision)
        if found is None:
            # The value is shown with the same flags.
            return f"%!{verb}({type_name(value)}={self._replace(verb='v')._plain(value)})"
        return self._padded(found, is_number)

    def _padded(self, text: str, is_number: bool = False) -> str:
        width, flags = self.width, self.flags
        if width is None:
            return text
        if "-" in flags or width < 0:
            return text.ljust(abs(width))
        if "0" in flags:
            sign = text[:1] if is_number and text[:1] in ("+", "-", " ") else ""
            return sign + text[len(sign) :].rjust(width - len(sign), "0")
        return text.rjust(width)


def _text(verb: str, value: str, flags: str, precision: int | None) -> str | None:
    cut = value if precision is None else value[:precision]
    if verb == "s":
        return cut
    if verb == "q":
        return f"`{cut}`" if "#" in flags and "`" not in cut else quoted(cut, ascii_only="+" in flags)
    if verb in "xX":
        data, prefix = cut.encode(errors="surrogateescape"), "0x" if "#" in flags else ""
        text = " ".join(f"{prefix}{byte:02x}" for byte in data) if " " in flags else prefix * bool(data) + data.hex()
        return text.upper() if verb == "X" else text
    return None


def _real(verb: str, value: float, flags: str, precision: int | None) -> str | None:
    if verb not in "eEfFgG":
        return None
    text = show_float(value, verb.lower(), precision)
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


def _whole(verb: str, value: int, flags: str, precision: int | None) -> str | None:
    character = chr(value) if 0 <= value < 0x110000 else "\ufffd"
    if verb == "c":
        return character
    if verb == "q":
        return "'" + quoted(character)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    if verb == "U":
        return f"U+{value:04X}"
    if verb not in _BASES:
        return None
    digits = _BASES[verb](abs(value)).rjust(precision or 0, "0")
    prefix = _PREFIXES.get(verb, "") if "#" in flags else ""
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    return sign + prefix + digits
