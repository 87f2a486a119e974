"""How Go writes texts, characters and durations, which Docker's sentences and the history of images are full of."""

from __future__ import annotations

__all__ = ["duration", "quoted", "quoted_character"]

_SECOND = 10**9
_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def quoted(text: str) -> str:
    """Return a text in quotes, as Go's `%q` writes it."""
    return f'"{"".join(map(_escaped, text))}"'


def quoted_character(code: int) -> str:
    """Return a character in quotes, as Go's `%q` writes a number."""
    is_character = code <= 0x10FFFF and not 0xD800 <= code < 0xE000
    character = chr(code) if is_character else "\ufffd"
    return "'{}'".format({'"': '"', "'": "\\'"}.get(character) or _escaped(character))


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration(nanoseconds: int) -> str:
    """Return a duration as Go writes it: `1m30s`, `1.5s`, `20ms`."""
    if nanoseconds == 0:
        return "0s"
    sign, nanoseconds = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, _SECOND)}s"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    return f"{whole}.{rest:0{len(str(size)) - 1}d}".rstrip("0") if rest else str(whole)
