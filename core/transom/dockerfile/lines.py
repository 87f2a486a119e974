"""Lines of a Dockerfile: comments go, and a line that ends with a backslash goes on in the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["Instruction", "parse_lines"]

_CONTINUED: Final = re.compile(r"\\[ \t]*$")
_FLAG: Final = re.compile(r"--[^\s]*")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name and what follows as they are written, and the flags in between."""

    written: str
    flags: tuple[str, ...]
    rest: str

    @property
    def name(self) -> str:
        """Its name in upper case."""
        return self.written.upper()


def parse_lines(text: str) -> tuple[Instruction, ...]:
    """Return the instructions of a text. Raises `InvalidParameter` for what does not begin with a name."""
    return tuple(_instruction(line) for line in _logical_lines(text))


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for raw in text.splitlines():
        line = raw.lstrip()
        if not line or line.startswith("#"):
            # Also between the parts of a continued line.
            continue
        # Only the first part loses the space in front of it.
        line = raw if pending else line
        if _CONTINUED.search(line):
            pending += _CONTINUED.sub("", line)
            continue
        yield (pending + line).strip()
        pending = ""
    if pending.strip():
        yield pending.strip()


def _instruction(line: str) -> Instruction:
    name, *arguments = line.split(maxsplit=1)
    rest = "".join(arguments)
    flags = []
    while match := _FLAG.match(rest):
        if match.group() == "--":
            rest = rest[2:].lstrip()
            break
        flags.append(match.group())
        rest = rest[match.end() :].lstrip()
    if not name.isalpha():
        raise InvalidParameter(f"dockerfile parse error: unknown instruction: {name}")
    return Instruction(name, tuple(flags), rest)
