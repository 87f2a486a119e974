"""Words of instructions: where they end, what quotes and backslashes do, and what variables stand for.

BuildKit's rules, which are a part of the shell's: 'as it is', "with $variables", \\x, $NAME, ${NAME}, and in
braces :-default :+alternative :?error (without the colon an empty value counts as one), #prefix ##prefix
%suffix %%suffix, /pattern/replacement and //pattern/replacement. The backslash may be another character, which
the directive `escape` chooses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from transom.dockerfile.notation import quoted
from transom.errors import InvalidParameter

__all__ = ["ESCAPE", "Expansion", "Lexer", "expand", "split_words"]

ESCAPE: Final = "\\"

#: More of a word than this is not shown.
_SHOWN: Final = 500
_SPACES: Final = re.compile(r"\s+")
_NAME: Final = re.compile(r"[^\W\d]\w*|\d+|[@*#?$!-]")
#: How deep defaults may stand in defaults.
_DEEPEST: Final = 50
#: No word stands for more characters than this. Variables that double each other reach it quickly, and no process could
#: be given a tenth of it.
_LONGEST: Final = 2**20


@dataclass(frozen=True)
class Expansion:
    """What a word stands for: as one text, and as the words that it becomes when it is split at spaces.

    `matched` are the variables of it that have a value, `unmatched` those that have none.
    """

    pieces: tuple[_Piece, ...]
    matched: frozenset[str]
    unmatched: frozenset[str]

    @cached_property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words. Spaces that were quoted split nothing."""
        words, word = [], ""
        for piece in self.pieces:
            parts = [piece.text] if piece.is_whole else _SPACES.split(piece.text)
            word += parts[0]
            for part in parts[1:]:
                words.append(word)
                word = part
        return tuple(found for found in (*words, word) if found)


@dataclass(frozen=True)
class _Piece:
    """A part of an expansion; `is_whole` says that spaces in it split nothing."""

    text: str
    is_whole: bool = False


@dataclass(frozen=True)
class Lexer:
    """How words are read.

    `raw_quotes` and `raw_escapes` stay where they are, though they mean what they mean; with `literal_quotes`
    they mean nothing; with `keep_unset` a variable without a value stays as it is written. What stands for more than
    `longest` characters is refused.
    """

    escape: str = ESCAPE
    raw_quotes: bool = False
    raw_escapes: bool = False
    literal_quotes: bool = False
    keep_unset: bool = False
    longest: int = _LONGEST

    def expand(self, word: str, variables: Mapping[str, str]) -> Expansion:
        """Return what a word stands for. Raises `InvalidParameter`."""
        reading = _Reading(self, word, variables)
        return Expansion(tuple(reading.run()), frozenset(reading.matched), frozenset(reading.unmatched))


def expand(word: str, variables: Mapping[str, str], escape: str = ESCAPE) -> str:
    """Return a word without its quotes and with the values of its variables. Raises `InvalidParameter`."""
    return Lexer(escape).expand(word, variables).text


def split_words(text: str, escape: str = ESCAPE) -> tuple[str, ...]:
    """Return the words of a text, with the quotes and backslashes that they are written with."""
    words: list[str] = []
    word: list[str] = []
    quote, position = "", 0
    while position < len(text):
        character = text[position]
        if character == escape and quote != "'":
            if position + 1 < len(text):
                word.append(text[position : position + 2])
            position += 2
            continue
        if character in "'\"" and quote in ("", character):
            quote = "" if quote else character
        if character.isspace() and not quote:
            if word:
                words.append("".join(word))
            word = []
        else:
            word.append(character)
        position += 1
    return (*words, "".join(word)) if word else tuple(words)


class _Reading:
    """Reads one word from left to right."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str]) -> None:
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()
        self._lexer = lexer
        self._text = text
        self._variables = variables
        self._position = 0
        self._depth = 0
        self._raw_escapes = lexer.raw_escapes

    def run(self) -> list[_Piece]:
        return self._until("")

    def _until(self, stop: str, *, raw_escapes: bool | None = None) -> list[_Piece]:
        """Return what comes before a stop character, expanded."""
        outer, self._raw_escapes = self._raw_escapes, self._raw_escapes if raw_escapes is None else raw_escapes
        plain = _plain(self._lexer.escape, stop)
        pieces: list[_Piece] = []
        size = 0
        while character := self._peek():
            if match := plain.match(self._text, self._position):
                self._position = match.end()
                piece = _Piece(match.group())
            else:
                self._position += 1
                if stop and character == stop:
                    break
                piece = self._piece(character)
            pieces.append(piece)
            size += len(piece.text)
            if size > self._lexer.longest:
                raise self._error(f"it stands for more than {self._lexer.longest} characters")
        else:
            if stop:
                raise self._error(f"syntax error: missing '{stop}'" + (" in ${}" if stop == "/" else ""))
        self._raw_escapes = outer
        return pieces

    def _piece(self, character: str) -> _Piece:
        """Return what a character that means something begins."""
        if character == "'" and not self._lexer.literal_quotes:
            return _Piece(self._single_quoted(), is_whole=True)
        if character == '"' and not self._lexer.literal_quotes:
            return _Piece(self._double_quoted(), is_whole=True)
        if character == "$":
            return _Piece(self._dollar())
        if character == self._lexer.escape:
            return _Piece((character if self._raw_escapes else "") + self._take(), is_whole=True)
        return _Piece(character)

    def _argument(self, stop: str, *, raw_escapes: bool | None = None) -> str:
        """Return what comes before a character of a substitution, expanded."""
        return "".join(piece.text for piece in self._until(stop, raw_escapes=raw_escapes))

    def _take(self) -> str:
        """Return the next character, empty at the end."""
        character = self._peek()
        self._position += 1
        return character

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._position)
        if end < 0:
            raise self._error("unexpected end of statement while looking for matching single-quote")
        content, self._position = self._text[self._position : end], end + 1
        return f"'{content}'" if self._lexer.raw_quotes else content

    def _double_quoted(self) -> str:
        result = []
        while (character := self._take()) != '"':
            if not character:
                raise self._error("unexpected end of statement while looking for matching double-quote")
            if character == "$":
                result.append(self._dollar())
            elif character == self._lexer.escape:
                escapes = self._peek() in ('"', "$", character)
                result.append(character if self._raw_escapes or not escapes else "")
                result.append(self._take() if escapes else "")
            else:
                result.append(character)
        content = "".join(result)
        return f'"{content}"' if self._lexer.raw_quotes else content

    def _dollar(self) -> str:
        if self._peek() == "{":
            self._position += 1
            return self._braces()
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        return f"${name}" if value is None and self._lexer.keep_unset else value or ""

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def _name(self) -> str:
        match = _NAME.match(self._text, self._position)
        if match is None:
            return ""
        self._position = match.end()
        return match.group()

    def _braces(self) -> str:
        if not self._peek():
            raise self._error("syntax error: missing '}'")
        name = self._name()
        if not name:
            raise self._error("syntax error: bad substitution")
        start = self._position
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("variables stand in each other too deep")
        try:
            value = self._value(name)
            changed = self._modified(name, value)
        finally:
            self._depth -= 1
        if value is None and self._lexer.keep_unset:
            return f"${{{name}{self._text[start : self._position]}"
        return changed

    def _modified(self, name: str, value: str | None) -> str:
        """Return a value after what stands behind its name, up to the brace that closes."""
        operator = self._take()
        if operator == "}":
            return value or ""
        if operator in ("#", "%"):
            return self._trimmed(value or "", operator)
        if operator == "/":
            return self._replaced(value or "")
        present, written = value is not None, operator
        if operator == ":":
            operator = self._take()
            present, written = bool(value), f":{operator}"
        if not operator:
            raise self._error("syntax error: missing '}'")
        if operator not in ("-", "+", "?"):
            raise self._error(f"unsupported modifier ({written}) in substitution")
        word = self._argument("}")
        if operator == "-":
            return (value or "") if present else word
        if operator == "+":
            return word if present else ""
        if not present and not self._lexer.keep_unset:
            missing = "is not allowed to be unset" if value is None else "is not allowed to be empty"
            raise self._error(f"{name}: {word or missing}")
        return value or ""

    def _trimmed(self, value: str, operator: str) -> str:
        pattern = self._argument("}", raw_escapes=True)
        longest = pattern.startswith(operator)
        segments = self._segments(pattern[longest:])
        if operator == "#":
            end = _end_of_match(segments, value, longest=longest)
            return value if end is None else value[end:]
        backwards = [segment[::-1] for segment in reversed(segments)]
        end = _end_of_match(backwards, value[::-1], longest=longest)
        return value if end is None else value[: len(value) - end]

    def _replaced(self, value: str) -> str:
        every = self._peek() == "/"
        self._position += every
        pattern = self._argument("/", raw_escapes=True)
        replacement = self._argument("}", raw_escapes=True)
        return _substituted(self._segments(pattern), value, replacement, every=every)

    def _segments(self, pattern: str) -> list[_Segment]:
        """Return the parts of a pattern between its stars; in each a None is a `?`, which is any character."""
        segments: list[_Segment] = [()]
        position = 0
        while position < len(pattern):
            character = pattern[position]
            position += 1
            if character == "*":
                segments.append(())
                continue
            if character == "\\":
                escaped = pattern[position : position + 1]
                position += 1
                # These two have to be escaped in braces, whatever the pattern.
                if escaped not in ("*", "?", "\\", "}", "/") or not escaped:
                    raise self._error(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
                character = escaped
                segments[-1] += (character,)
            else:
                segments[-1] += (None if character == "?" else character,)
        return segments

    def _error(self, problem: str) -> InvalidParameter:
        shown = self._text if len(self._text) <= _SHOWN else f"{self._text[:_SHOWN]}…"
        return InvalidParameter(f"failed to process {quoted(shown)}: {problem}")


#: A part of a pattern without a star: its characters, None for any.
_Segment = tuple[str | None, ...]


def _end_of_match(segments: list[_Segment], text: str, *, longest: bool, start: int = 0) -> int | None:
    """Return where a pattern that begins at `start` ends, the first or the last place where it may; None for nowhere.

    Each part is looked for behind the one before it. As the parts are apart by stars, the first place of each is as
    good as any, so nothing is tried twice: the time is that of one walk per part, whatever the pattern.
    """
    first = _compiled(segments[0]).match(text, start)
    if first is None:
        return None
    end = first.end()
    for number, segment in enumerate(segments[1:], 2):
        if longest and number == len(segments):
            return _last(segment, text, end)
        found = _compiled(segment).search(text, end)
        if found is None:
            return None
        end = found.end()
    return end


def _last(segment: _Segment, text: str, start: int) -> int | None:
    """Return where the last place of a part ends, None where there is none behind the start."""
    pattern = _compiled(segment)
    for begin in range(len(text) - len(segment), start - 1, -1):
        if pattern.match(text, begin):
            return begin + len(segment)
    return None


def _substituted(segments: list[_Segment], text: str, replacement: str, *, every: bool) -> str:
    """Return a text with the first or every place of a pattern replaced, each as long as can be.

    As soon as the result is longer than any may be, the rest stays as it is.
    """
    head = _compiled(segments[0])
    result: list[str] = []
    position = size = 0
    for begin in head.finditer(text):
        if begin.start() < position:
            continue
        end = begin.end()
        if len(segments) > 1:
            whole = _end_of_match(segments, text, longest=True, start=begin.start())
            if whole is None:
                # What does not end behind the first place where it could begin ends nowhere.
                break
            end = whole
        result += [text[position : begin.start()], replacement]
        size += begin.start() - position + len(replacement)
        position = end
        if not every or size > _LONGEST:
            break
    return "".join((*result, text[position:]))


@cache
def _plain(escape: str, stop: str) -> re.Pattern[str]:
    """Return the pattern of characters that mean nothing."""
    return re.compile(f"[^'\"${re.escape(escape)}{stop}]+")


def _compiled(segment: _Segment) -> re.Pattern[str]:
    return re.compile("".join("." if part is None else re.escape(part) for part in segment), re.DOTALL)
