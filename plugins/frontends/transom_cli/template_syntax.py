"""What a template says: Go's template language (text/template) without definitions of templates and loop controls.

Positions in errors are Go's: the line, and the bytes before the failing operand in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from transom_cli.errors import CommandFailed

__all__ = ["Action", "Branch", "Call", "Field", "Group", "Part", "Pipeline", "TemplateError", "parse_parts", "position"]

_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<field>\.[A-Za-z_]\w*) | (?P<dot>\.) | (?P<variable>\$\w*) | (?P<name>[A-Za-z_]\w*)
      | (?P<declare>:=) | (?P<assign>=) | (?P<comma>,) | (?P<pipe>\|) | (?P<open>\() | (?P<close>\))
      | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`) | (?P<number>-?\d+)""",
    re.VERBOSE,
)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`')
_CONSTANTS = {"true": True, "false": False, "nil": None}
_BRANCHES = ("if", "range", "with")


class TemplateError(CommandFailed):
    """A template that cannot be parsed, or that names what is not there."""


@dataclass(frozen=True)
class Field:
    """`.A.B` of `of`: a variable (`$x`), a group, or None for the dot; without names the thing itself."""

    of: str | Group | None
    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True)
class Group:
    """A pipeline in parentheses."""

    pipeline: Pipeline


@dataclass(frozen=True)
class Call:
    """A function, or "" for an operand alone, and its operands: `Field`, `Group` or constants."""

    function: str
    operands: tuple[Any, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Pipeline:
    """Calls, each of which gives the next its last argument, and the variables that get the result."""

    variables: tuple[str, ...]
    declares: bool
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Action:
    """A pipeline between braces, whose result is shown unless a variable gets it."""

    pipeline: Pipeline


@dataclass(frozen=True)
class Branch:
    """`if`, `range` or `with`, what is shown then, and what is shown otherwise."""

    keyword: str
    pipeline: Pipeline
    body: tuple[Part, ...]
    otherwise: tuple[Part, ...]


Part = str | Action | Branch


def parse_parts(source: str, functions: frozenset[str]) -> tuple[Part, ...]:
    """Return what a template consists of. Raises `TemplateError`, with exit status 64, for one that is not right."""
    return _Blocks(source, functions).parse()


def position(source: str, offset: int) -> tuple[int, int]:
    """Return the line of an offset, and the bytes before it in that line."""
    before = source[:offset]
    return before.count("\n") + 1, len(before.rpartition("\n")[2].encode())


def _broken(source: str, offset: int, problem: str) -> TemplateError:
    line, _ = position(source, offset)
    return TemplateError(f"template parsing error: template: :{line}: {problem}", 64)


class _Blocks:
    """Puts texts and actions together to blocks."""

    def __init__(self, source: str, functions: frozenset[str]) -> None:
        self._source = source
        self._functions = functions
        self._pieces = _pieces(source)
        self._variables = ["$"]

    def parse(self) -> tuple[Part, ...]:
        parts, end = self._list()
        if end:
            self._fail(end[0], f"unexpected {{{{{end[1]}}}}}")
        return parts

    def _list(self) -> tuple[tuple[Part, ...], tuple[int, str, _Expression] | None]:
        """Return the parts up to an `end` or `else`, and that: where it is, which it is, and what follows in it."""
        parts: list[Part] = []
        for text, start, end in self._pieces:
            if text:
                parts.append(text)
            if end < 0:
                continue
            expression = _Expression(self._source, start, end, self._functions, self._variables)
            keyword = expression.keyword()
            if keyword in ("end", "else"):
                return tuple(parts), (start, keyword, expression)
            if keyword in _BRANCHES:
                parts.append(self._branch(keyword, expression, start))
            else:
                parts.append(Action(expression.pipeline()))
        return tuple(parts), None

    def _branch(self, keyword: str, expression: _Expression, start: int) -> Branch:
        known = len(self._variables)
        pipeline = expression.pipeline(is_range=keyword == "range")
        body, end = self._list()
        otherwise: tuple[Part, ...] = ()
        if end and end[1] == "else":
            nested = end[2].keyword()
            if nested in _BRANCHES:
                # `else if` has its own end, which is this one's as well.
                del self._variables[known:]
                return Branch(keyword, pipeline, body, (self._branch(nested, end[2], end[0]),))
            otherwise, end = self._list()
            if end and end[1] == "else":
                self._fail(end[0], "unexpected {{else}}")
        if end is None:
            self._fail(start, "unexpected EOF")
        del self._variables[known:]
        return Branch(keyword, pipeline, body, otherwise)

    def _fail(self, offset: int, problem: str) -> NoReturn:
        raise _broken(self._source, offset, problem)


def _pieces(source: str) -> Iterator[tuple[str, int, int]]:
    """Give each text with the bounds of the action behind it; the end is -1 for a comment, and after the last text."""
    offset, trim = 0, False
    while True:
        opening = source.find("{{", offset)
        text = source[offset : opening if opening >= 0 else len(source)]
        text = text.lstrip() if trim else text
        if opening < 0:
            yield text, 0, -1
            return
        closing = _closing(source, opening)
        start, end = opening + 2, closing
        if re.match(r"-\s", source[start:end]):
            text, start = text.rstrip(), start + 1
        trim = re.search(r"\s-$", source[start:end]) is not None
        end -= trim
        is_comment = re.fullmatch(r"\s*/\*.*\*/\s*", source[start:end], re.DOTALL)
        yield text, start, -1 if is_comment else end
        offset = closing + 2


def _closing(source: str, opening: int) -> int:
    """Return where the braces close that open here; a string between them may hold braces."""
    offset = opening + 2
    while offset < len(source):
        if source.startswith("}}", offset):
            return offset
        if source.startswith("/*", offset) and "*/" in source[offset:]:
            offset = source.index("*/", offset) + 2
            continue
        string = _STRING.match(source, offset)
        offset = string.end() if string else offset + 1
    raise _broken(source, opening, "unclosed action")


class _Expression:
    """Parses what stands between a pair of braces."""

    def __init__(self, source: str, start: int, end: int, functions: frozenset[str], variables: list[str]) -> None:
        self._source, self._offset, self._end = source, start, end
        self._functions, self._variables = functions, variables

    def keyword(self) -> str:
        """Return the name that stands first and is no function, and go on behind it; or an empty string."""
        self._take("space")
        found = _TOKEN.match(self._source, self._offset, self._end)
        if found is None or found.lastgroup != "name" or found.group() not in ("end", "else", *_BRANCHES):
            return ""
        self._offset = found.end()
        return found.group()

    def pipeline(self, is_range: bool = False) -> Pipeline:
        """Return the pipeline that is all the rest."""
        found = self._pipeline(is_range)
        if self._offset < self._end:
            self._unexpected()
        return found

    def _pipeline(self, is_range: bool = False) -> Pipeline:
        variables, declares = self._targets(is_range)
        calls = [self._call()]
        while self._take("pipe"):
            calls.append(self._call())
        if declares:
            self._variables += variables
        return Pipeline(variables, declares, tuple(calls))

    def _targets(self, is_range: bool) -> tuple[tuple[str, ...], bool]:
        """Return the variables in front of `:=` or `=`, and whether it is the former."""
        before = self._offset
        self._take("space")
        variables = [self._take("variable")]
        self._take("space")
        if is_range and variables[0] and self._take("comma"):
            self._take("space")
            variables.append(self._take("variable"))
            self._take("space")
        if all(variables):
            if self._take("declare"):
                return tuple(variables), True
            if self._take("assign"):
                for name in variables:
                    self._check_variable(name)
                return tuple(variables), False
        self._offset = before
        return (), False

    def _call(self) -> Call:
        self._take("space")
        start, function, operands = self._offset, "", list[Any]()
        name = self._peek("name")
        if name and name not in _CONSTANTS:
            if name not in self._functions:
                self._fail(f'function "{name}" not defined')
            function = self._take("name")
            self._take("space")
        while (operand := self._operand()) is not None:
            operands.append(operand[0])
            if not self._take("space"):
                break
        if not function and not operands:
            self._missing()
        if not function and len(operands) > 1 and not isinstance(operands[0], Field):
            self._fail("can't give argument to non-function")
        return Call(function, tuple(operands), start, self._offset)

    def _operand(self) -> tuple[Any] | None:
        """Return one operand, or None if none follows."""
        start = self._offset
        if string := self._take("string"):
            return (string[1:-1] if string[0] == "`" else json.loads(string),)
        if number := self._take("number"):
            return (int(number),)
        if name := self._peek("name"):
            if name not in _CONSTANTS:
                self._fail(f"unexpected {name} in operand: put | before it")
            return (_CONSTANTS[self._take("name")],)
        of: str | Group | None = None
        if variable := self._take("variable"):
            self._check_variable(variable)
            of = variable
        elif self._take("open"):
            of = Group(self._pipeline())
            self._take("space")
            if not self._take("close"):
                self._fail("unclosed left paren")
        elif self._take("dot"):
            return (Field(None, (), start),)
        elif not self._peek("field"):
            return None
        return (self._chain(of, start),)

    def _chain(self, of: str | Group | None, start: int) -> Field:
        names: list[str] = []
        offset = start
        while self._peek("field"):
            # Go's position of a chain is that of its second link.
            if len(names) + (of is not None) == 1:
                offset = self._offset
            names.append(self._take("field")[1:])
        return Field(of, tuple(names), offset)

    def _check_variable(self, name: str) -> None:
        if name not in self._variables:
            self._fail(f'undefined variable "{name}"')

    def _peek(self, kind: str) -> str:
        found = _TOKEN.match(self._source, self._offset, self._end)
        return found.group() if found is not None and found.lastgroup == kind else ""

    def _take(self, kind: str) -> str:
        """Return the next token if it is of a kind, and go on behind it; or an empty string."""
        text = self._peek(kind)
        self._offset += len(text)
        return text

    def _missing(self) -> NoReturn:
        if self._offset < self._end and not self._peek("pipe") and not self._peek("close"):
            self._unexpected()
        self._fail("missing value for command")

    def _unexpected(self) -> NoReturn:
        self._fail(f"unexpected {self._source[self._offset]!r} in operand")

    def _fail(self, problem: str) -> NoReturn:
        raise _broken(self._source, self._offset, problem)
