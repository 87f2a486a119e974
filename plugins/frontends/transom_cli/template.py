"""The part of Go's template language that `--format` takes: fields, strings, `json`, `println`, pipelines.

A template is parsed once, before the daemon is asked for anything, and rendered for each thing. Positions in
errors are Go's: the line, and the bytes before the failing operand in it (Go's text/template).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transom_cli.errors import CommandFailed

__all__ = ["Template", "TemplateError", "encode_json", "parse"]

_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<field>\.[A-Za-z_]\w*) | (?P<dot>\.) | (?P<name>[A-Za-z_]\w*) | (?P<pipe>\|)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`) | (?P<number>-?\d+)""",
    re.VERBOSE,
)
_FUNCTIONS = ("json", "println")
#: Objects whose keys people choose: a key that is not there is no mistake.
_FREE_FORM = {
    "Annotations", "Attributes", "Data", "ExposedPorts", "Labels", "Networks", "Options", "PortBindings",
    "Ports", "StorageOpt", "Sysctls", "Tmpfs", "Volumes",
}  # fmt: skip


class TemplateError(CommandFailed):
    """A template that cannot be parsed, or that names what is not there."""


class _NoValue:
    """What a key that is not there means."""


NO_VALUE = _NoValue()


@dataclass(frozen=True)
class _Fields:
    """`.`, `.A` or `.A.B` with its position."""

    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True)
class _Command:
    """A function or an operand, and its arguments; operands are `_Fields` or literals."""

    function: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class _Action:
    """What stands between a pair of braces: commands, each of which gives the next its last argument."""

    commands: tuple[_Command, ...]


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    source: str
    parts: tuple[str | _Action, ...]

    def render(self, data: Any, escape_html: bool = False) -> str:
        """Return the text for one thing. Raises `TemplateError` for a field that it does not have.

        `escape_html` makes `json` write <, > and & as escapes, as Go's encoder does unless told otherwise.
        """
        return "".join(part if isinstance(part, str) else self._action(part, data, escape_html) for part in self.parts)

    def names(self) -> set[str]:
        """Return the names of the thing's own fields that the template uses; empty is the whole thing."""
        return {
            operand.names[0] if operand.names else ""
            for part in self.parts
            if isinstance(part, _Action)
            for command in part.commands
            for operand in command.operands
            if isinstance(operand, _Fields)
        }

    def _action(self, action: _Action, data: Any, escape_html: bool) -> str:
        value: Any = None
        for index, command in enumerate(action.commands):
            operands: list[Any] = [value] if index else []
            operands = [*self._operands(command, data), *operands]
            if command.function == "json":
                value = encode_json(operands[0] if operands else None, escape_html)
            elif command.function == "println":
                value = " ".join(_show(operand) for operand in operands) + "\n"
            else:
                value = operands[0]
        return _show(value)

    def _operands(self, command: _Command, data: Any) -> list[Any]:
        """Return the values of a command's operands; a field that is a method takes those after it."""
        operands = [self._resolve(item, data) if isinstance(item, _Fields) else item for item in command.operands]
        if not command.function and operands and callable(operands[0]):
            return [operands[0](*operands[1:])]
        return operands

    def _resolve(self, fields: _Fields, data: Any) -> Any:
        value, parent = data, ""
        for name in fields.names:
            if not isinstance(value, Mapping):
                raise self._failed(fields, f"can't evaluate field {name} in type {_type_name(value)}")
            if name in value:
                found = value[name]
                value, parent = {} if found is None and name in _FREE_FORM else found, name
            elif parent in _FREE_FORM:
                return NO_VALUE
            else:
                raise self._failed(fields, f'map has no entry for key "{name}"')
        return value

    def _failed(self, fields: _Fields, problem: str) -> TemplateError:
        line, column = _position(self.source, fields.offset)
        text = "".join(f".{name}" for name in fields.names)
        return TemplateError(f'template: :{line}:{column}: executing "" at <{text}>: {problem}')


def parse(source: str) -> Template:
    """Return the template. Raises `TemplateError`, with exit status 64, for one that is not right."""
    parts: list[str | _Action] = []
    position, trim = 0, False
    while True:
        opening = source.find("{{", position)
        text = source[position : opening if opening >= 0 else len(source)]
        text = text.lstrip() if trim else text
        if opening < 0:
            parts.append(text)
            return Template(source, tuple(part for part in parts if part != ""))
        closing = _closing(source, opening)
        start, end = opening + 2, closing
        if re.match(r"-\s", source[start:end]):
            text, start = text.rstrip(), start + 1
        trim = re.search(r"\s-$", source[start:end]) is not None
        end -= trim
        parts.append(text)
        content = source[start:end]
        if not re.fullmatch(r"\s*/\*.*\*/\s*", content, re.DOTALL):
            parts.append(_parse_action(source, start, end))
        position = closing + 2


def _closing(source: str, opening: int) -> int:
    """Return where the braces close that open here; a string between them may hold braces."""
    position = opening + 2
    while position < len(source):
        if source.startswith("}}", position):
            return position
        if source.startswith("/*", position) and "*/" in source[position:]:
            position = source.index("*/", position) + 2
            continue
        string = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`').match(source, position)
        position = string.end() if string else position + 1
    raise _broken(source, opening, "unclosed action")


def _parse_action(source: str, start: int, end: int) -> _Action:
    """Parse the pipeline between two positions."""
    commands: list[_Command] = []
    function, operands = "", list[Any]()
    position, after_space = start, True
    while position < end:
        match = _TOKEN.match(source, position, end)
        if match is None:
            raise _broken(source, position, f"unexpected {source[position]!r} in operand")
        kind, text = str(match.lastgroup), match.group()
        if kind == "pipe":
            commands.append(_command(source, position, function, operands))
            function, operands = "", []
        elif kind == "name":
            function = _function(source, position, text, bool(function or operands))
        elif kind == "field" and not after_space and operands and isinstance(operands[-1], _Fields):
            first = operands[-1]
            # Go's position of a chain is that of its second field.
            offset = first.offset if len(first.names) > 1 else position
            operands[-1] = _Fields((*first.names, text[1:]), offset)
        elif kind in ("field", "dot"):
            operands.append(_Fields((text[1:],) if text != "." else (), position))
        elif kind == "string":
            operands.append(text[1:-1] if text[0] == "`" else json.loads(text))
        elif kind == "number":
            operands.append(int(text))
        after_space = kind in ("space", "pipe")
        position = match.end()
    commands.append(_command(source, position, function, operands))
    return _Action(tuple(commands))


def _command(source: str, position: int, function: str, operands: list[Any]) -> _Command:
    if not function and not operands:
        raise _broken(source, position, "missing value for command")
    if not function and len(operands) > 1 and not isinstance(operands[0], _Fields):
        raise _broken(source, position, "can't give argument to non-function")
    return _Command(function, tuple(operands))


def _function(source: str, position: int, name: str, late: bool) -> str:
    if name in ("end", "else"):
        raise _broken(source, position, f"unexpected {{{{{name}}}}}")
    if name not in _FUNCTIONS:
        raise _broken(source, position, f'function "{name}" not defined')
    if late:
        raise _broken(source, position, f"unexpected {name} in operand: put | before it")
    return name


def _broken(source: str, position: int, problem: str) -> TemplateError:
    line, _ = _position(source, position)
    return TemplateError(f"template parsing error: template: :{line}: {problem}", 64)


def _position(source: str, offset: int) -> tuple[int, int]:
    before = source[:offset]
    return before.count("\n") + 1, len(before.rpartition("\n")[2].encode())


def encode_json(value: Any, escape_html: bool = False) -> str:
    """Return a value as compact JSON; methods of a row are left out."""
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    text = json.dumps(None if value is NO_VALUE else value, ensure_ascii=False, separators=(",", ":"))
    if escape_html:
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _type_name(value: Any) -> str:
    if value is None or value is NO_VALUE:
        return "nil"
    return {str: "string", bool: "bool", int: "int", float: "float64"}.get(type(value), "[]interface {}")


def _show(value: Any) -> str:
    """Return a value as Go prints it. JSON's null is shown as an empty list, which it mostly is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is NO_VALUE:
        return "<no value>"
    if value is None:
        return "[]"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_show(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Sequence):
        return "[" + " ".join(_show(item) for item in value) + "]"
    return str(value)
