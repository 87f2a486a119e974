"""What a template says: the parser of Go's template language (text/template/parse, parse.go)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from transom_cli.errors import CommandFailed
from transom_cli.template_lexer import Kind, Token, quoted, tokens
from transom_cli.template_nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Identifier,
    Jump,
    Node,
    Pipe,
    Stop,
    TemplateCall,
    Text,
    Variable,
)

__all__ = ["TemplateError", "parse_templates", "position"]


class TemplateError(CommandFailed):
    """A template that cannot be parsed, or that cannot be carried out with what it is given."""


def parse_templates(source: str, functions: frozenset[str], name: str = "") -> dict[str, tuple[Node, ...]]:
    """Return a template's nodes by the name of the template, with those that it defines.

    Raises `TemplateError`, with exit status 64, for one that is not right.
    """
    parser = _Parser(source, functions, name)
    try:
        return parser.parse()
    except RecursionError:
        raise parser.error("it is nested too deeply") from None


def position(source: str, offset: int) -> tuple[int, int]:
    """Return the line of an offset, and the bytes before it in that line."""
    before = source[:offset]
    return before.count("\n") + 1, len(before.rpartition("\n")[2].encode(errors="surrogateescape"))


@dataclass
class _Scope:
    """What is known within one template: its variables, and how many loops are around."""

    variables: list[str] = field(default_factory=lambda: ["$"])
    loops: int = 0


class _Parser:
    """Puts tokens together to nodes."""

    def __init__(self, source: str, functions: frozenset[str], name: str) -> None:
        self._functions = functions
        self._name = name
        self._tokens: Iterator[Token] = tokens(source)
        self._waiting: list[Token] = []
        self._last = Token(Kind.END, "", 0, 1)
        self._action_line = 0
        self._scope = _Scope()
        self._defined: dict[str, tuple[Node, ...]] = {}

    def parse(self) -> dict[str, tuple[Node, ...]]:
        nodes: list[Node] = []
        while self._peek().kind is not Kind.END:
            opening = self._next()
            if opening.kind is Kind.LEFT:
                keyword = self._next_word()
                if keyword.kind is Kind.KEYWORD and keyword.text == "define":
                    self._definition()
                    continue
                self._back(keyword)
            self._back(opening)
            node = self._node()
            if isinstance(node, Stop):
                self._fail(f"unexpected {node}")
            nodes.append(node)
        self._add(self._name, tuple(nodes))
        return self._defined

    def error(self, problem: str) -> TemplateError:
        """Return the error for a problem at the last token."""
        return TemplateError(f"template parsing error: template: {self._name}:{self._last.line}: {problem}", 64)

    # Tokens

    def _next(self) -> Token:
        if self._waiting:
            return self._waiting.pop()
        if self._last.kind is not Kind.ERROR:
            self._last = next(self._tokens, self._last)
        return self._last

    def _back(self, *taken: Token) -> None:
        """Put tokens back, the one that is to come first as the last."""
        self._waiting += taken

    def _peek(self) -> Token:
        token = self._next()
        self._back(token)
        return token

    def _next_word(self) -> Token:
        """Return the next token that is no space."""
        while (token := self._next()).kind is Kind.SPACE:
            pass
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._back(token)
        return token

    def _expect(self, kind: Kind, context: str) -> Token:
        token = self._next_word()
        if token.kind is not kind:
            self._unexpected(token, context)
        return token

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is Kind.ERROR:
            extra = ""
            if self._action_line not in (0, token.line):
                extra = f" in action started at {self._name}:{self._action_line}"
                if token.text.endswith(" action"):
                    extra = extra.removeprefix(" in action")
            self._fail(f"{token}{extra}")
        self._fail(f"unexpected {token} in {context}")

    def _fail(self, problem: str) -> NoReturn:
        raise self.error(problem)

    # Lists of nodes

    def _list(self) -> tuple[tuple[Node, ...], Stop]:
        """Return the nodes up to an `end` or `else`, and that."""
        nodes: list[Node] = []
        while self._peek_word().kind is not Kind.END:
            node = self._node()
            if isinstance(node, Stop):
                return tuple(nodes), node
            nodes.append(node)
        raise self.error("unexpected EOF")

    def _node(self) -> Node:
        token = self._next_word()
        if token.kind is Kind.TEXT:
            return Text(token.offset, token.text)
        if token.kind is not Kind.LEFT:
            self._unexpected(token, "input")
        self._action_line = token.line
        try:
            return self._action()
        finally:
            self._action_line = 0

    def _action(self) -> Node:
        token = self._next_word()
        parse = self._CONTROLS.get(token.text) if token.kind is Kind.KEYWORD else None
        if parse is not None:
            return parse(self, token)
        self._back(token)
        return Action(token.offset, self._pipe("command", Kind.RIGHT))

    def _branch(self, keyword: Token) -> Node:
        known = len(self._scope.variables)
        is_range = keyword.text == "range"
        pipe = self._pipe(keyword.text, Kind.RIGHT)
        self._scope.loops += is_range
        body, stop = self._list()
        self._scope.loops -= is_range
        otherwise: tuple[Node, ...] = ()
        if stop.keyword == "else":
            following = self._peek()
            if following.kind is Kind.KEYWORD and following.text == keyword.text and not is_range:
                # `else if` has its own end, which is this one's as well.
                otherwise = (self._branch(self._next()),)
            else:
                otherwise, stop = self._list()
                if stop.keyword != "end":
                    self._fail(f"expected end; found {stop}")
        del self._scope.variables[known:]
        return Branch(pipe.offset, keyword.text, pipe, body, otherwise)

    def _stop(self, keyword: Token) -> Node:
        following = self._peek_word()
        if keyword.text == "else" and following.kind is Kind.KEYWORD and following.text in ("if", "with"):
            return Stop(following.offset, "else")
        return Stop(self._expect(Kind.RIGHT, keyword.text).offset, keyword.text)

    def _jump(self, keyword: Token) -> Node:
        shown = f"{{{{{keyword.text}}}}}"
        token = self._next_word()
        if token.kind is not Kind.RIGHT:
            self._unexpected(token, shown)
        if not self._scope.loops:
            self._fail(f"{shown} outside {{{{range}}}}")
        return Jump(keyword.offset, keyword.text)

    def _call(self, _keyword: Token) -> Node:
        token = self._next_word()
        name = self._template_name(token, "template clause")
        following = self._next_word()
        if following.kind is Kind.RIGHT:
            return TemplateCall(token.offset, name, None)
        self._back(following)
        return TemplateCall(token.offset, name, self._pipe("template clause", Kind.RIGHT))

    def _block(self, _keyword: Token) -> Node:
        token = self._next_word()
        name = self._template_name(token, "block clause")
        pipe = self._pipe("block clause", Kind.RIGHT)
        self._define(name, "block clause")
        return TemplateCall(token.offset, name, pipe)

    def _definition(self) -> None:
        token = self._next_word()
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self._unexpected(token, "define clause")
        name = self._string(token)
        self._expect(Kind.RIGHT, "define clause")
        self._define(name, "define clause")

    def _define(self, name: str, context: str) -> None:
        outer, self._scope = self._scope, _Scope()
        nodes, stop = self._list()
        if stop.keyword != "end":
            self._fail(f"unexpected {stop} in {context}")
        self._scope = outer
        self._add(name, nodes)

    def _add(self, name: str, nodes: tuple[Node, ...]) -> None:
        if name not in self._defined or _is_empty(self._defined[name]):
            self._defined[name] = nodes
        elif not _is_empty(nodes):
            self._fail(f"template: multiple definition of template {quoted(name)}")

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self._unexpected(token, context)
        return self._string(token)

    _CONTROLS: dict[str, Callable[[_Parser, Token], Node]] = {  # noqa: RUF012 never changed
        "block": _block,
        "break": _jump,
        "continue": _jump,
        "else": _stop,
        "end": _stop,
        "if": _branch,
        "range": _branch,
        "template": _call,
        "with": _branch,
    }

    # Pipelines

    def _pipe(self, context: str, end: Kind) -> Pipe:
        offset = self._peek_word().offset
        variables, assigns = self._targets(context)
        commands: list[Command] = []
        while (token := self._next_word()).kind is not end:
            if token.kind not in _OPERANDS and token.text != "nil":
                self._unexpected(token, context)
            self._back(token)
            commands.append(self._command())
        if not commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], (Constant, Dot)):
                self._fail(f"non executable command in pipeline stage {stage}")
        return Pipe(offset, tuple(variables), assigns, tuple(commands))

    def _targets(self, context: str) -> tuple[list[Variable], bool]:
        """Return the variables in front of `:=` or `=`, and whether it is the latter."""
        variables: list[Variable] = []
        while (token := self._peek_word()).kind is Kind.VARIABLE:
            self._next()
            after = self._next()
            following = self._next_word() if after.kind is Kind.SPACE else after
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._declare(variables, token)
                return variables, following.kind is Kind.ASSIGN
            if following.text != ",":
                self._back(following, *([after] if after.kind is Kind.SPACE else []), token)
                break
            self._declare(variables, token)
            if context != "range" or len(variables) > 1:
                self._fail(f"too many declarations in {context}")
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
                self._fail("range can only initialize variables")
        return variables, False

    def _declare(self, variables: list[Variable], token: Token) -> None:
        variables.append(Variable(token.offset, token.text))
        self._scope.variables.append(token.text)

    def _command(self) -> Command:
        offset = self._peek_word().offset
        operands: list[Node] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                self._back(token)
            elif token.kind is not Kind.PIPE:
                self._unexpected(token, "operand")
            break
        if not operands:
            self._fail("empty command")
        return Command(offset, tuple(operands))

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind is not Kind.FIELD:
            return node
        offset, names = self._peek().offset, list[str]()
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        # Go's position of a chain is that of its second link.
        if isinstance(node, Field):
            return Field(offset, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(offset, node.name, tuple(names))
        if isinstance(node, (Constant, Dot)):
            self._fail(f"unexpected . after term {quoted(str(node))}")
        return Chain(offset, node, tuple(names))

    def _term(self) -> Node | None:
        token = self._next_word()
        offset, text = token.offset, token.text
        match token.kind:
            case Kind.IDENTIFIER:
                if text not in self._functions:
                    self._fail(f"function {quoted(text)} not defined")
                return Identifier(offset, text)
            case Kind.DOT:
                return Dot(offset)
            case Kind.VARIABLE:
                if text not in self._scope.variables:
                    self._fail(f"undefined variable {quoted(text)}")
                return Variable(offset, text)
            case Kind.FIELD:
                return Field(offset, (text[1:],))
            case Kind.OPEN:
                return self._pipe("parenthesized pipeline", Kind.CLOSE)
            case Kind.BOOL:
                return Constant(offset, text == "true", text)
            case Kind.NUMBER:
                return Constant(offset, self._number(text), text)
            case Kind.STRING | Kind.RAW_STRING | Kind.CHARACTER:
                value = self._string(token)
                return Constant(offset, ord(value) if token.kind is Kind.CHARACTER else value, text)
            case Kind.KEYWORD if text == "nil":
                return Constant(offset, None, text)
        self._back(token)
        return None

    def _number(self, text: str) -> int | float:
        """Return what a number means: a whole one, unless it is written with a point or an exponent."""
        digits = text.replace("_", "")
        try:
            if re.fullmatch(r"[+-]?0[0-7]+", digits):
                return int(digits, 8)
            if not re.search(r"[.eEpP]", digits) or re.match(r"[+-]?0[xXbBoO]", digits):
                whole = int(digits, 0)
                if not -(2**63) <= whole < 2**63:
                    self._fail(f"integer overflow: {quoted(text)}")
                return whole
            value = float(digits)
            if value in (math.inf, -math.inf):
                raise ValueError(text)
            return value
        except ValueError:
            self._fail(f"illegal number syntax: {quoted(text)}")

    def _string(self, token: Token) -> str:
        """Return what a string between quotation marks means."""
        if token.kind is Kind.RAW_STRING:
            return token.text[1:-1].replace("\r", "")
        is_character = token.kind is Kind.CHARACTER
        try:
            value = _unquoted(token.text[1:-1], token.text[0])
        except ValueError:
            self._fail(f"malformed character constant: {token.text}" if is_character else "invalid syntax")
        if is_character and len(value) != 1:
            self._fail(f"malformed character constant: {token.text}")
        return value


_OPERANDS = frozenset(
    (
        Kind.BOOL, Kind.CHARACTER, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.OPEN, Kind.RAW_STRING,
        Kind.STRING, Kind.VARIABLE,
    )
)  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def _unquoted(text: str, mark: str) -> str:
    """Return a Go string without its marks. Raises `ValueError` for an escape that there is none of."""

    def one(match: re.Match[str]) -> str:
        code, short, long, octal, letter = match.groups()
        if letter is not None:
            if letter == mark:
                return mark
            if letter not in _ESCAPES:
                raise ValueError(letter)
            return _ESCAPES[letter]
        if octal is not None or code is not None:
            byte = int(octal, 8) if octal is not None else int(code, 16)
            # Bytes that are no ASCII stand for themselves, as in names of files.
            return bytes([byte]).decode(errors="surrogateescape")
        return chr(int(short or long, 16))

    joined = _ESCAPE.sub(one, text)
    return joined.encode(errors="surrogateescape").decode(errors="surrogateescape")


def _is_empty(nodes: Sequence[Node]) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in nodes)
