"""The words of a template, as Go's scanner cuts them (text/template/parse, lex.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

__all__ = ["Kind", "Token", "quoted", "tokens"]

_SPACE = " \t\r\n"
_KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_NUMBER = re.compile(
    r"""[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?
      |0[bB][01_]*(?:\.[01_]*)?|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?""",
    re.VERBOSE,
)
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"', re.DOTALL)


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    KEYWORD = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    BOOL = auto()
    NUMBER = auto()
    CHARACTER = auto()
    STRING = auto()
    RAW_STRING = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    OPEN = auto()
    CLOSE = auto()
    OTHER = auto()
    END = auto()
    ERROR = auto()


class Token(NamedTuple):
    """One token: its text (of an error: the problem), and the offset and line where it starts."""

    kind: Kind
    text: str
    offset: int
    line: int

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.DOT):
            return f"<{self.text}>"
        return f"{quoted(self.text[:10])}..." if len(self.text) > 10 else quoted(self.text)


def quoted(text: str, ascii_only: bool = False) -> str:
    """Return text in quotation marks, as Go's `%q` shows it, or `%+q`."""
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    escapes |= {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(character) or _printable(character, ascii_only) for character in text) + '"'


def _printable(character: str, ascii_only: bool) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable() and not (ascii_only and code >= 0x80):
        return character
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Problem(Exception):
    """What makes the rest of a template unreadable."""


def tokens(source: str) -> Iterator[Token]:
    """Give the tokens of a template; the last is of the kind END or ERROR."""
    return _Lexer(source).run()


class _Lexer:
    """The place in a template up to which it has been cut."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._start = self._offset = 0
        self._line, self._counted = 1, 0

    def run(self) -> Iterator[Token]:
        try:
            while True:
                yield from self._text()
                if self._offset == len(self._source):
                    yield self._token(Kind.END)
                    return
                yield from self._action()
        except _Problem as problem:
            yield Token(Kind.ERROR, str(problem), self._start, self._line_of(self._start))

    def _token(self, kind: Kind) -> Token:
        """Return what lies behind the last token as a token."""
        text, start = self._source[self._start : self._offset], self._start
        self._start = self._offset
        return Token(kind, text, start, self._line_of(start))

    def _line_of(self, offset: int) -> int:
        self._line += self._source.count("\n", self._counted, offset)
        self._counted = offset
        return self._line

    def _text(self) -> Iterator[Token]:
        opening = self._source.find("{{", self._start)
        end = len(self._source) if opening < 0 else opening
        text = self._source[self._start : end]
        if opening >= 0 and self._trims_left(opening + 2):
            text = text.rstrip(_SPACE)
        if text:
            self._offset = self._start + len(text)
            yield self._token(Kind.TEXT)
        self._start = self._offset = end

    def _trims_left(self, offset: int) -> bool:
        return self._source.startswith("-", offset) and self._source[offset + 1 : offset + 2] in tuple(_SPACE)

    def _trims_right(self, offset: int) -> bool:
        return self._source[offset : offset + 1] in tuple(_SPACE) and self._source.startswith("-}}", offset + 1)

    def _action(self) -> Iterator[Token]:
        marker = 2 if self._trims_left(self._start + 2) else 0
        if self._source.startswith("/*", self._start + 2 + marker):
            self._comment(self._start + 2 + marker)
            return
        self._offset += 2
        yield self._token(Kind.LEFT)
        self._start = self._offset = self._offset + marker
        depth = 0
        while True:
            if self._source.startswith("}}", self._offset) or self._trims_right(self._offset):
                if depth:
                    raise _Problem("unclosed left paren")
                yield self._right()
                return
            token = self._inside()
            depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
            if depth < 0:
                raise _Problem("unexpected right paren")
            yield token

    def _comment(self, start: int) -> None:
        end = self._source.find("*/", start + 2)
        if end < 0:
            raise _Problem("unclosed comment")
        self._offset = end + 2
        if not (self._source.startswith("}}", self._offset) or self._trims_right(self._offset)):
            raise _Problem("comment ends before closing delimiter")
        self._right()

    def _right(self) -> Token:
        trims = self._trims_right(self._offset)
        self._start = self._offset = self._offset + 2 * trims
        self._offset += 2
        token = self._token(Kind.RIGHT)
        if trims:
            while self._source[self._offset : self._offset + 1] in tuple(_SPACE):
                self._offset += 1
            self._start = self._offset
        return token

    def _inside(self) -> Token:
        """Return the next token between braces."""
        self._start = self._offset
        character = self._peek()
        if character == "":
            raise _Problem("unclosed action")
        if character in _SPACE:
            while self._peek() and self._peek() in _SPACE and not self._trims_right(self._offset):
                self._offset += 1
            return self._token(Kind.SPACE)
        following = self._source[self._offset + 1 : self._offset + 2]
        if character == ":":
            if following != "=":
                raise _Problem("expected :=")
            return self._take(2, Kind.DECLARE)
        single = {"=": Kind.ASSIGN, "|": Kind.PIPE, "(": Kind.OPEN, ")": Kind.CLOSE}.get(character)
        if single:
            return self._take(1, single)
        if character in "\"'`":
            return self._quoted(character)
        if character == "$" or (character == "." and not "0" <= following <= "9"):
            return self._name(character)
        if character in "+-." or "0" <= character <= "9":
            return self._number()
        if _is_alphanumeric(character):
            return self._name("")
        if " " < character < "\x7f":
            return self._take(1, Kind.OTHER)
        raise _Problem(f"unrecognized character in action: {_unicode(character)}")

    def _peek(self) -> str:
        return self._source[self._offset : self._offset + 1]

    def _take(self, length: int, kind: Kind) -> Token:
        self._offset += length
        return self._token(kind)

    def _quoted(self, mark: str) -> Token:
        if mark == "`":
            end = self._source.find("`", self._offset + 1)
            if end < 0:
                raise _Problem("unterminated raw quoted string")
            return self._take(end + 1 - self._offset, Kind.RAW_STRING)
        found = re.compile(_STRING.pattern.replace('"', mark), re.DOTALL).match(self._source, self._offset)
        if found is None:
            raise _Problem("unterminated quoted string" if mark == '"' else "unterminated character constant")
        return self._take(len(found.group()), Kind.STRING if mark == '"' else Kind.CHARACTER)

    def _name(self, prefix: str) -> Token:
        """Return a field, a variable, or a word."""
        self._offset += len(prefix)
        kind = {".": Kind.DOT, "$": Kind.VARIABLE}.get(prefix, Kind.IDENTIFIER)
        if prefix and self._at_terminator():
            return self._token(kind)
        while _is_alphanumeric(self._peek()):
            self._offset += 1
        if not self._at_terminator():
            raise _Problem(f"bad character {_unicode(self._peek())}")
        word = self._source[self._start : self._offset]
        if prefix == ".":
            return self._token(Kind.FIELD)
        if word in ("true", "false"):
            return self._token(Kind.BOOL)
        return self._token(Kind.KEYWORD if word in _KEYWORDS else kind)

    def _at_terminator(self) -> bool:
        character = self._peek()
        return (
            not character or character in _SPACE or character in ".,|:)(" or self._source.startswith("}}", self._offset)
        )

    def _number(self) -> Token:
        found = _NUMBER.match(self._source, self._offset)
        self._offset = found.end() if found else self._offset
        if self._peek() in ("+", "-"):
            # A complex number, which Go's templates know and nobody uses here.
            while self._peek() and (self._peek() in "+-." or _is_alphanumeric(self._peek())):
                self._offset += 1
            raise _Problem(f"bad number syntax: {quoted(self._source[self._start : self._offset])}")
        if _is_alphanumeric(self._peek()):
            self._offset += 1
            raise _Problem(f"bad number syntax: {quoted(self._source[self._start : self._offset])}")
        return self._token(Kind.NUMBER)


def _is_alphanumeric(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _unicode(character: str) -> str:
    """Return a character as Go's `%#U` shows it."""
    code = ord(character) if character else 0
    return f"U+{code:04X} '{character}'" if character.isprintable() else f"U+{code:04X}"
