"""Reading a whole Dockerfile.

dockerfile = parse(path.read_bytes(), "Dockerfile")
for instruction in dockerfile.instructions: …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from transom.dockerfile.grammar import interpret
from transom.dockerfile.instructions import Instruction
from transom.dockerfile.lines import LONGEST_LINE, Line, read_lines
from transom.dockerfile.source import DockerfileError, Location, check_characters
from transom.errors import InvalidParameter

__all__ = ["Dockerfile", "DockerfileError", "Notice", "check_syntax", "parse", "parse_trigger"]

#: As BuildKit has it, in bytes.
_LARGEST: Final = 16 * 2**20
#: Ours. More of them than in any program's output, and few enough to be read while somebody waits.
_MOST: Final = 20_000
#: Images of frontends that read what is read here, whatever registry they come from.
_FRONTEND: Final = re.compile(r"(?:\S*/)?dockerfile(?:-upstream)?(?:[:@]\S*)?")
_BOM: Final = "\ufeff"


@dataclass(frozen=True)
class Notice:
    """What is not wrong yet."""

    message: str
    location: Location


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that has been read: `lines` are those of the text, for showing them."""

    name: str
    directives: Mapping[str, str]
    lines: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    warnings: tuple[Notice, ...] = ()

    def error(self, problem: str, instruction: Instruction | None = None) -> DockerfileError:
        """Return the error that says that something is wrong, where it is one instruction, there."""
        if instruction is None:
            return DockerfileError(problem, name=self.name)
        return DockerfileError(
            problem, name=self.name, location=instruction.location, instruction=instruction.name, lines=self.lines
        )


def parse(content: bytes | str, name: str = "Dockerfile") -> Dockerfile:
    """Return a Dockerfile. Raises `DockerfileError`, which shows the lines that are wrong."""
    text = _decoded(content, name)
    lines = tuple(text.split("\n"))
    for number, line in enumerate(lines, 1):
        if len(line.encode("utf-8", "surrogateescape")) > LONGEST_LINE:
            raise DockerfileError(
                f"dockerfile line greater than max allowed size of {LONGEST_LINE}",
                name=name,
                location=Location(number, number),
            )
    read = read_lines(lines[:-1] if not lines[-1] else lines, name)
    try:
        check_syntax(read.directives.get("syntax", ""))
    except InvalidParameter as error:
        raise DockerfileError(str(error), name=name) from error
    if len(read.lines) > _MOST:
        raise DockerfileError(f"the Dockerfile has more than {_MOST} instructions", name=name)
    instructions = tuple(_interpreted(line, name, lines) for line in read.lines)
    if not instructions:
        raise DockerfileError("file with no instructions", name=name)
    warnings = tuple(Notice("Empty continuation line", Location(line.gap, line.gap)) for line in read.lines if line.gap)
    return Dockerfile(name, read.directives, lines, instructions, warnings)


def parse_trigger(trigger: str, location: Location) -> Instruction:
    """Return the instruction of an ONBUILD trigger, for which the FROM at a location is to blame.

    Raises `InvalidParameter`.
    """
    lines = tuple(trigger.split("\n"))
    read = read_lines(lines, "ONBUILD")
    if len(read.lines) != 1:
        raise InvalidParameter("onbuild trigger should be a single expression")
    (line,) = read.lines
    if line.name in ("FROM", "ONBUILD", "MAINTAINER"):
        raise InvalidParameter(f"{line.name} isn't allowed as an ONBUILD trigger")
    return interpret(
        Line(line.text, line.keyword, line.flags, line.rest, location, heredocs=line.heredocs, escape=line.escape)
    )


def check_syntax(frontend: str) -> None:
    """Refuse a frontend, the image of a program that reads another language. Raises `InvalidParameter`."""
    image = frontend.split(maxsplit=1)[0] if frontend.strip() else ""
    if image and not _FRONTEND.fullmatch(image):
        raise InvalidParameter(
            f"the syntax {image} is not supported: no frontend is run, and what is read is the language of"
            " docker/dockerfile"
        )


def _decoded(content: bytes | str, name: str) -> str:
    size = len(content) if isinstance(content, bytes) else len(content.encode("utf-8", "surrogateescape"))
    if size > _LARGEST:
        raise DockerfileError(f"Dockerfile exceeds maximum allowed size of {_LARGEST} bytes", name=name)
    # Comments are often in older encodings, and nobody is to be kept from building for that.
    text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
    text = text.removeprefix(_BOM)
    if not text:
        raise DockerfileError("the Dockerfile cannot be empty", name=name)
    return text


def _interpreted(line: Line, name: str, lines: tuple[str, ...]) -> Instruction:
    try:
        for part in (line.text, *(heredoc.content for heredoc in line.heredocs)):
            check_characters(part)
        return interpret(line)
    except DockerfileError:
        raise
    except InvalidParameter as error:
        raise DockerfileError(
            str(error), name=name, location=line.location, instruction=line.name, lines=lines
        ) from error
