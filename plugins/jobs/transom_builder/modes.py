"""Modes of files as `chmod` takes them: octal, or symbolic (chmod(1))."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["Mode", "parse_mode"]

#: Gives the mode that a file gets for the one that it has, and whether it is a directory.
Mode = Callable[[int, bool], int]

_OCTAL: Final = re.compile(r"[0-7]{1,5}")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION: Final = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_SPECIAL: Final = {"u": 0o4000, "g": 0o2000}


def parse_mode(text: str) -> Mode:
    """Return what `--chmod` says. Raises `InvalidParameter`."""
    if _OCTAL.fullmatch(text) and (mode := int(text, 8)) <= 0o7777:
        return lambda _before, _directory: mode
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    parsed = [(clause[1], _ACTION.findall(clause[2])) for clause in clauses if clause is not None]
    if len(parsed) != len(clauses):
        raise InvalidParameter(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")

    def change(before: int, directory: bool) -> int:
        mode = before
        for who, actions in parsed:
            for operator, permissions in actions:
                mode = _apply(mode, who.replace("a", "ugo") or "ugo", operator, permissions, directory=directory)
        return mode

    return change


def _apply(mode: int, who: str, operator: str, permissions: str, *, directory: bool) -> int:
    for one in dict.fromkeys(who):
        shift = _SHIFTS[one]
        bits = _bits(mode, permissions, one, directory=directory)
        if operator == "+":
            mode |= bits
        elif operator == "-":
            mode &= ~bits
        else:
            special = _SPECIAL.get(one, 0)
            # A directory keeps what nobody has said of it.
            mode = mode & ~(0o7 << shift) & ~(0 if directory else special) | bits
    return mode


def _bits(mode: int, permissions: str, one: str, *, directory: bool) -> int:
    if permissions and permissions in _SHIFTS:
        return (mode >> _SHIFTS[permissions] & 0o7) << _SHIFTS[one]
    bits = 0
    for letter in permissions:
        if letter in "rwx":
            bits |= {"r": 4, "w": 2, "x": 1}[letter] << _SHIFTS[one]
        elif letter == "X" and (directory or mode & 0o111):
            bits |= 1 << _SHIFTS[one]
        elif letter == "s":
            bits |= _SPECIAL.get(one, 0)
        elif letter == "t":
            bits |= 0o1000
    return bits
