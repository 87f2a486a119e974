"""The nodes that a template consists of (text/template/parse, node.go).

A node's `str` is how Go's messages show it. Positions are offsets in the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transom_cli.template_lexer import quoted

__all__ = [
    "Action",
    "Branch",
    "Chain",
    "Command",
    "Constant",
    "Dot",
    "Field",
    "Identifier",
    "Jump",
    "Node",
    "Pipe",
    "Stop",
    "TemplateCall",
    "Text",
    "Variable",
]


@dataclass(frozen=True)
class Node:
    """A part of a template, and where it starts."""

    offset: int


@dataclass(frozen=True)
class Text(Node):
    """Text outside of braces."""

    text: str

    def __str__(self) -> str:
        return quoted(self.text)


@dataclass(frozen=True)
class Dot(Node):
    """The dot."""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True)
class Constant(Node):
    """A string, a number, a boolean or nil, and how it is written."""

    value: Any
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True)
class Identifier(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Field(Node):
    """`.A.B` of the dot."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True)
class Variable(Node):
    """`$x.A.B`, its name with the dollar."""

    name: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True)
class Chain(Node):
    """Fields of a pipeline in parentheses, or of what a function gives."""

    of: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        of = f"({self.of})" if isinstance(self.of, Pipe) else str(self.of)
        return of + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True)
class Command(Node):
    """An operand, or a function or method with its operands."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(f"({item})" if isinstance(item, Pipe) else str(item) for item in self.operands)


@dataclass(frozen=True)
class Pipe(Node):
    """Commands, each of which gives the next its last argument, and the variables that get the result."""

    variables: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        sign = " = " if self.assigns else " := "
        targets = ", ".join(map(str, self.variables)) + sign if self.variables else ""
        return targets + " | ".join(map(str, self.commands))


@dataclass(frozen=True)
class Action(Node):
    """A pipeline between braces, whose result is shown unless a variable gets it."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True)
class Branch(Node):
    """`if`, `range` or `with`, what is shown then, and what is shown otherwise."""

    keyword: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True)
class Jump(Node):
    """`break` or `continue`."""

    keyword: str


@dataclass(frozen=True)
class TemplateCall(Node):
    """`template`: another template, shown for what the pipeline gives."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {quoted(self.name)}{'' if self.pipe is None else f' {self.pipe}'}}}}}"


@dataclass(frozen=True)
class Stop(Node):
    """`end` or `else`, which ends a list of nodes."""

    keyword: str

    def __str__(self) -> str:
        return f"{{{{{self.keyword}}}}}"
