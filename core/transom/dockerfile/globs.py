"""Patterns of file names, by the rules of Go's `filepath.Match`.

`*` is any text and `?` any character of one name, `[a-z]` one of some characters, `[^a-z]` one that is not among
them, and a backslash takes the meaning from what follows it. This module needs the standard library alone, as the
command line uses it through `ignore`.

Matching takes time in proportion to the name, whatever the pattern: between two stars the first place of what stands
there is as good as any, and none is tried again (atomic groups).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

__all__ = ["Glob", "PatternError", "Star", "Token", "has_wildcards", "read_token", "regex_of", "split_wildcards"]

_WILDCARDS: Final = "*?["


class PatternError(ValueError):
    """A pattern that means nothing."""


class Star(Enum):
    """What matches texts of any length."""

    NAME = "[^/]*?"
    """Within a name: `*`."""
    PATH = "(?:.*?/)??"
    """Any number of whole names: `**` in a `.dockerignore`."""
    ALL = ".*?"
    """Any text."""


#: A star, or the regular expression of one character.
Token = Star | str


@dataclass(frozen=True)
class Glob:
    """A pattern of a path, such as `*/[a-c]?.txt`. Raises `PatternError` when it is used and means nothing."""

    pattern: str

    def matches(self, path: str) -> bool:
        """Return whether a path is one that is meant."""
        return self._full.fullmatch(path) is not None

    def matches_above(self, path: str) -> bool:
        """Return whether paths that are meant may be below a directory."""
        names = path.split("/") if path else []
        if len(names) >= len(self._names):
            return False
        return all(pattern.fullmatch(name) for pattern, name in zip(self._names, names, strict=False))

    @cached_property
    def _full(self) -> re.Pattern[str]:
        return re.compile(regex_of(_tokens(self.pattern)), re.DOTALL)

    @cached_property
    def _names(self) -> list[re.Pattern[str]]:
        return [re.compile(regex_of(name), re.DOTALL) for name in _by_name(_tokens(self.pattern))]


def has_wildcards(path: str) -> bool:
    """Return whether a path is a pattern."""
    position = 0
    while position < len(path):
        if path[position] in _WILDCARDS:
            return True
        position += 2 if path[position] == "\\" else 1
    return False


def split_wildcards(path: str) -> tuple[str, str]:
    """Return the directory that a pattern begins in, and the pattern of what is below it; empty where there is none."""
    names = path.split("/")
    for place, name in enumerate(names):
        if has_wildcards(name):
            return "/".join(names[:place]) or ("/" if path.startswith("/") else ""), "/".join(names[place:])
    return path, ""


def regex_of(tokens: Sequence[Token], end: str = "") -> str:
    """Return the regular expression of a pattern, with what has to follow it.

    `Star.PATH` has to be at the beginning, or behind a slash.
    """
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token is Star.PATH:
            parts.append([])
        else:
            parts[-1].append(token)
    first, *others = [_regex_of_names(part) for part in parts]
    pieces = [first, *(f"{Star.PATH.value}{part}" for part in others)]
    return "".join(f"(?>{piece})" for piece in pieces[:-1]) + pieces[-1] + end


def _regex_of_names(tokens: Sequence[Token]) -> str:
    """Return the regular expression of a part of a pattern that has no stars but those within names."""
    groups: list[list[str]] = [[]]
    for token in tokens:
        if isinstance(token, Star):
            groups.append([])
        groups[-1].append(token.value if isinstance(token, Star) else token)
    first, *stars = ["".join(group) for group in groups]
    # What the last one matches may depend on what follows.
    return first + "".join(f"(?>{star})" for star in stars[:-1]) + "".join(stars[-1:])


def _tokens(pattern: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(pattern):
        token, position = read_token(pattern, position)
        tokens.append(token)
    return tokens


def _by_name(tokens: list[Token]) -> list[list[Token]]:
    names: list[list[Token]] = [[]]
    for token in tokens:
        if token == "/":
            names.append([])
        else:
            names[-1].append(token)
    return names


def read_token(pattern: str, position: int) -> tuple[Token, int]:
    """Return the token at a place of a pattern, and where the next one is. Raises `PatternError`."""
    character = pattern[position]
    if character == "*":
        return Star.NAME, position + 1
    if character == "?":
        return "[^/]", position + 1
    if character == "[":
        return _read_class(pattern, position + 1)
    character, position = _read_character(pattern, position)
    return re.escape(character), position


def _read_class(pattern: str, position: int) -> tuple[Token, int]:
    """Read the characters between brackets."""
    negated = pattern.startswith("^", position)
    position += negated
    parts: list[str] = []
    while not parts or not pattern.startswith("]", position):
        low, position = _read_member(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _read_member(pattern, position + 1)
        if low <= high:
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
        elif not parts:
            # A range of nothing.
            parts.append("")
    members = "".join(parts)
    if negated:
        return f"[^{members}/]", position + 1
    return (f"(?!/)[{members}]" if members else "(?!)"), position + 1


def _read_member(pattern: str, position: int) -> tuple[str, int]:
    if pattern[position : position + 1] in ("", "-", "]"):
        raise PatternError(f"syntax error in pattern: {pattern!r}")
    return _read_character(pattern, position)


def _read_character(pattern: str, position: int) -> tuple[str, int]:
    """Return the character at a place, which a backslash may be in front of."""
    if pattern[position] == "\\":
        position += 1
    if position >= len(pattern):
        raise PatternError(f"syntax error in pattern: {pattern!r}")
    return pattern[position], position + 1
