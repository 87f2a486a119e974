"""Lines of a Dockerfile: directives and comments go, a line with a backslash at its end goes on in the next one, and
here-documents belong to the line that asks for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from transom.dockerfile.flags import split_flags
from transom.dockerfile.heredocs import Heredoc, marks_in
from transom.dockerfile.source import DockerfileError, Location, check_characters
from transom.dockerfile.words import ESCAPE
from transom.errors import InvalidParameter

__all__ = ["LONGEST_LINE", "Line", "Text", "json_strings", "read_lines", "split_arguments", "split_instruction"]

#: As BuildKit has it, in bytes.
LONGEST_LINE: Final = 65535

_DIRECTIVES: Final = ("syntax", "escape", "check")
_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S(?:.*\S)?)\s*", re.ASCII)
_SPACES: Final = re.compile(r"[\t\v\f\r ]+")
_WITH_HEREDOCS: Final = ("RUN", "COPY", "ADD")


@dataclass(frozen=True)
class Line:
    """An instruction as it is written, on one line.

    `text` is all of it; `keyword` its first word; `flags` those after the keyword, without quotes; `rest` what
    follows them; `comments` the lines of comment right above. `gap` is 0, or where there are empty lines within it,
    the last line before its here-documents.
    """

    text: str
    keyword: str
    flags: tuple[str, ...]
    rest: str
    location: Location
    comments: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    gap: int = 0
    escape: str = ESCAPE

    @property
    def name(self) -> str:
        """Its keyword in upper case."""
        return self.keyword.upper()


@dataclass(frozen=True)
class Text:
    """A whole text: its directives, and its instructions as lines."""

    directives: Mapping[str, str]
    lines: tuple[Line, ...]


def read_lines(lines: tuple[str, ...], name: str) -> Text:
    """Return what lines hold, each as it is without its end (but with a carriage return). Raises `DockerfileError`."""
    return _Reader(lines, name).run()


def json_strings(text: str) -> tuple[str, ...] | None:
    """Return a JSON list of strings, None for what is none.

    Raises `InvalidParameter` for a list with something else in it, which nobody can have meant for a shell.
    """
    if not text.startswith("["):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise InvalidParameter("when using JSON array syntax, arrays must be comprised of strings only")
    for value in values:
        check_characters(value)
    return tuple(values)


@dataclass
class _Reader:
    lines: tuple[str, ...]
    name: str
    directives: dict[str, str] = field(default_factory=dict)
    escape: str = ESCAPE
    position: int = 0

    def run(self) -> Text:
        self._read_directives()
        found: list[Line] = []
        comments: list[str] = []
        while self.position < len(self.lines):
            start = self.lines[self.position].strip()
            if start.startswith("#"):
                comment = start[1:].strip()
                if comment:
                    comments.append(comment)
                else:
                    comments = []
                self.position += 1
            elif not start:
                comments = []
                self.position += 1
            else:
                found.append(self._instruction(tuple(comments)))
                comments = []
        return Text(self.directives, tuple(found))

    def _read_directives(self) -> None:
        """Take the directives, which stand in front of everything else."""
        while self.position < len(self.lines):
            match = _DIRECTIVE.fullmatch(self.lines[self.position].strip())
            key = match[1].lower() if match else ""
            if match is None or key not in _DIRECTIVES:
                return
            self.position += 1
            if key in self.directives:
                raise self._error(f"only one {key} parser directive can be used", self.position)
            self.directives[key] = match[2]
            if key == "escape":
                if match[2] not in (ESCAPE, "`"):
                    raise self._error(f"invalid escape token '{match[2]}' does not match ` or \\", self.position)
                self.escape = match[2]

    def _instruction(self, comments: tuple[str, ...]) -> Line:
        first = self.position + 1
        parts: list[str] = []
        gap, continued = False, True
        while continued and self.position < len(self.lines):
            raw = self.lines[self.position].rstrip("\r")
            self.position += 1
            bare = raw.strip()
            if parts and (not bare or bare.startswith("#")):
                gap = gap or not bare
                continue
            # Only the first part loses the space in front of it.
            part, continued = self._continued(raw if parts else raw.lstrip())
            parts.append(part)
        text = "".join(parts).strip()
        if not text:
            raise self._error("there is no instruction on a line that goes on", first)
        return self._with_heredocs(text, first, comments, self.position if gap else 0)

    def _continued(self, line: str) -> tuple[str, bool]:
        """Return a line without what says that it goes on, and whether it does."""
        bare = line.rstrip(" \t")
        if bare.endswith(self.escape) and not bare.endswith(self.escape * 2):
            return bare[: -len(self.escape)], True
        return line, False

    def _with_heredocs(self, text: str, first: int, comments: tuple[str, ...], gap: int) -> Line:
        keyword, flags, rest = split_instruction(text)
        try:
            heredocs = tuple(self._content(mark) for mark in marks_in(text)) if _may_have_heredocs(text) else ()
        except InvalidParameter as error:
            raise self._error(str(error), first) from None
        location = Location(first, self.position)
        return Line(text, keyword, flags, rest, location, comments, heredocs, gap, self.escape)

    def _content(self, mark: Heredoc) -> Heredoc:
        """Return a here-document with the lines up to its mark."""
        content: list[str] = []
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            if mark.ends_at(line):
                return Heredoc(mark.name, "".join(content), mark.expand, mark.tabs, mark.descriptor)
            content.append(f"{line}\n")
        raise InvalidParameter("unterminated heredoc")

    def _error(self, problem: str, line: int) -> DockerfileError:
        location = Location(line, max(line, min(self.position, len(self.lines))))
        return DockerfileError(problem, name=self.name, location=location, lines=self.lines)


def split_instruction(text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the keyword, the flags and the arguments of an instruction."""
    keyword, *arguments = _SPACES.split(text, maxsplit=1)
    flags, rest = split_flags("".join(arguments))
    return keyword, flags, rest


def split_arguments(rest: str) -> tuple[str, ...]:
    """Return the arguments of instructions whose arguments have no quotes. Only ASCII's spaces are between them."""
    return tuple(_SPACES.split(rest)) if rest else ()


def _may_have_heredocs(text: str) -> bool:
    keyword, _, rest = split_instruction(text)
    if keyword.upper() == "ONBUILD" and rest:
        keyword, _, rest = split_instruction(rest)
    return keyword.upper() in _WITH_HEREDOCS and json_strings(rest) is None
