"""Modes of files as `chmod` takes them: octal, or symbolic (chmod(1))."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["Mode", "parse_mode"]

_OCTAL: Final = re.compile(r"[0-7]{1,5}")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION: Final = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_SPECIAL: Final = {"u": 0o4000, "g": 0o2000}


@dataclass(frozen=True)
class Mode:
    """What becomes of modes: `change` gives the new one for the one that is there, and whether it is a directory.

    Directories that are made on the way get the mode `made`: the octal one, and letters change nothing of theirs.
    """

    change: Callable[[int, bool], int]
    made: int = 0o755

    def __call__(self, before: int, directory: bool) -> int:
        return self.change(before, directory)


def parse_mode(text: str) -> Mode:
    """Return what `--chmod` says. Raises `InvalidParameter`."""
    if _OCTAL.fullmatch(text) and (mode := int(text, 8)) <= 0o7777:
        return Mode(lambda _before, _directory: mode, mode)
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    parsed = [(clause[1], _ACTION.findall(clause[2])) for clause in clauses if clause is not None]
    if len(parsed) != len(clauses):
        raise InvalidParameter(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")

    def change(before: int, directory: bool) -> int:
        mode = before
        # What X means is said by the mode before all changes (POSIX, chmod).
        searchable = directory or bool(before & 0o111)
        for who, actions in parsed:
            for operator, permissions in actions:
                words = permissions.replace("X", "x" if searchable else "")
                mode = _apply(mode, who.replace("a", "ugo") or "ugo", operator, words, directory=directory)
        return mode

    return Mode(change)


def _apply(mode: int, who: str, operator: str, permissions: str, *, directory: bool) -> int:
    for one in dict.fromkeys(who):
        shift = _SHIFTS[one]
        bits = _bits(mode, permissions, one)
        if operator == "+":
            mode |= bits
        elif operator == "-":
            mode &= ~bits
        else:
            special = _SPECIAL.get(one, 0)
            # A directory keeps what nobody has said of it.
            mode = mode & ~(0o7 << shift) & ~(0 if directory else special) | bits
    return mode


def _bits(mode: int, permissions: str, one: str) -> int:
    if permissions and permissions in _SHIFTS:
        return (mode >> _SHIFTS[permissions] & 0o7) << _SHIFTS[one]
    bits = 0
    for letter in permissions:
        if letter in "rwx":
            bits |= {"r": 4, "w": 2, "x": 1}[letter] << _SHIFTS[one]
        elif letter == "s":
            bits |= _SPECIAL.get(one, 0)
        elif letter == "t":
            bits |= 0o1000
    return bits
