"""Flags of instructions: `--name=value` between the keyword and the arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from transom.dockerfile.source import nearest
from transom.errors import InvalidParameter

__all__ = ["Flags", "Kind", "split_flags"]

#: What a flag takes: a value, one of true and false (or nothing, which is true), or a value each time it is given.
Kind = Literal["text", "switch", "list"]

_SPACES: Final = " \t\n\v\f\r"


def split_flags(line: str) -> tuple[tuple[str, ...], str]:
    """Return the flags at the beginning of a line, without their quotes, and what comes after them."""
    words: list[str] = []
    position = 0
    while True:
        rest = line[position:].lstrip()
        position = len(line) - len(rest)
        if not line.startswith("--", position):
            return tuple(words), rest
        word, position = _word(line, position)
        if word == "--":
            return tuple(words), line[position:].strip()
        words.append(word)


def _word(line: str, position: int) -> tuple[str, int]:
    """Return the word at a position without its quotes and backslashes, and where it ends."""
    word: list[str] = []
    quote = ""
    while position < len(line):
        character = line[position]
        if character.isspace() and not quote:
            break
        position += 1
        if quote and character == quote:
            quote = ""
        elif character in "'\"" and not quote:
            quote = character
        elif character == "\\":
            word.append(line[position : position + 1])
            position += 1
        else:
            word.append(character)
    return "".join(word), position


class Flags:
    """The flags of one instruction, checked against those that it has."""

    def __init__(self, words: Sequence[str], kinds: Mapping[str, Kind]) -> None:
        """Raises `InvalidParameter`, which names the flag that is wrong."""
        self._values: dict[str, list[str]] = {}
        for word in words:
            name, equals, value = word.removeprefix("--").partition("=")
            kind = kinds.get(name)
            if kind is None:
                meant = nearest(name, tuple(kinds))
                raise InvalidParameter(f"unknown flag: --{name}" + (f" (did you mean --{meant}?)" if meant else ""))
            if name in self._values and kind != "list":
                raise InvalidParameter(f"duplicate flag specified: --{name}")
            if (kind != "switch" and not equals) or (kind == "switch" and equals and not value):
                raise InvalidParameter(f"missing a value on flag: --{name}")
            if kind == "switch" and (value := value.lower() or "true") not in ("true", "false"):
                raise InvalidParameter(f"expecting boolean value for flag --{name}, not: {value}")
            self._values.setdefault(name, []).append(value)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a flag."""
        return self._values.get(name, [default])[-1]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag."""
        return tuple(self._values.get(name, ()))

    def switch(self, name: str) -> bool | None:
        """Return whether a flag is on, None where nothing is said."""
        values = self._values.get(name)
        return None if values is None else values[-1] == "true"
