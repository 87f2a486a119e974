"""Where something stands in a Dockerfile, and how a problem there is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transom.errors import InvalidParameter

__all__ = ["DockerfileError", "Location", "check_characters", "nearest", "snippet", "with_suggestion"]

_RULE = "-" * 20
#: More of a line than this is not shown.
_WIDEST = 500
#: As many changes of a character make a word another one, and no misspelling.
_TOO_FAR = 3


@dataclass(frozen=True)
class Location:
    """The first and the last line of something, counted from 1."""

    first: int
    last: int


class DockerfileError(InvalidParameter):
    """Something is wrong in a Dockerfile.

    `problem` is the sentence alone; `snippet` shows the lines, in the form in which BuildKit's clients show them.
    Both are empty strings or None where they are not known.
    """

    def __init__(
        self,
        problem: str,
        *,
        name: str = "Dockerfile",
        location: Location | None = None,
        instruction: str = "",
        lines: Sequence[str] = (),
    ) -> None:
        self.problem = problem
        self.name = name
        self.location = location
        self.instruction = instruction
        self.snippet = snippet(name, lines, location) if location is not None and lines else ""
        where = f"{name}:{location.first}: " if location is not None else ""
        super().__init__(f"{where}{problem}" + (f"\n{self.snippet}" if self.snippet else ""))

    @property
    def line(self) -> int:
        """The first line that is meant, 0 where none is."""
        return self.location.first if self.location is not None else 0


def check_characters(text: str, what: str = "the instruction") -> None:
    """Refuse what no argument, variable and label can hold. Raises `InvalidParameter`."""
    if "\0" in text:
        raise InvalidParameter(f"there is a NUL byte in {what}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidParameter(f"{what} is not written in UTF-8") from None


def snippet(name: str, lines: Sequence[str], location: Location) -> str:
    """Return the lines of a location with those around them, each with its number, those meant with `>>>`."""
    around = 2 if location.first == location.last else 1
    shown = [f"{name}:{location.first}", _RULE]
    for number in range(max(location.first - around, 1), min(location.last + around, len(lines)) + 1):
        mark = ">>>" if location.first <= number <= location.last else "   "
        shown.append(f" {number:3d} | {mark} {_shortened(lines[number - 1])}")
    return "\n".join((*shown, _RULE))


def with_suggestion(problem: str, written: str, options: Sequence[str], *, fold_case: bool = False) -> str:
    """Return a problem with the option that somebody may have meant: `problem (did you mean option?)`."""
    meant = nearest(written, options, fold_case=fold_case)
    return f"{problem} (did you mean {meant}?)" if meant else problem


def nearest(written: str, options: Sequence[str], *, fold_case: bool = False) -> str:
    """Return the option that a word is a misspelling of, empty where it is one of them or like none."""
    word = written.lower() if fold_case else written
    best, found = _TOO_FAR, ""
    for option in options:
        candidate = option.lower() if fold_case else option
        if candidate == word:
            return ""
        if abs(len(candidate) - len(word)) < best and (distance := _distance(word, candidate)) < best:
            best, found = distance, option
    return found.lower() if fold_case and written.islower() else found


def _distance(one: str, other: str) -> int:
    """Return how many characters must be added, removed or changed to make one word of another (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, character in enumerate(one, 1):
        previous, row[0] = row[0], count
        for place, candidate in enumerate(other, 1):
            changed = previous + (character != candidate)
            previous, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, changed)
    return row[-1]


def _shortened(line: str) -> str:
    line = line.rstrip("\r\n").encode("utf-8", "replace").decode()
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"
