"""Words of instructions: where they end, what quotes and backslashes do, and what variables stand for.

BuildKit's rules, which are a part of the shell's: 'as it is', "with $variables", \\x, $NAME, ${NAME}, and in
braces :-default :+alternative :?error (without the colon an empty value counts as one), #prefix ##prefix
%suffix %%suffix, /pattern/replacement and //pattern/replacement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["expand", "split_words"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
#: How deep defaults may stand in defaults.
_DEEPEST: Final = 50


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a text, with the quotes and backslashes that they are written with."""
    words: list[str] = []
    word, quote, position = "", "", 0
    while position < len(text):
        character = text[position]
        if character == "\\" and quote != "'":
            word += text[position : position + 2]
            position += 2
            continue
        if character in "'\"" and quote in ("", character):
            quote = "" if quote else character
        if character.isspace() and not quote:
            if word:
                words.append(word)
            word = ""
        else:
            word += character
        position += 1
    return (*words, word) if word else tuple(words)


def expand(word: str, variables: Mapping[str, str]) -> str:
    """Return a word without its quotes and with the values of its variables. Raises `InvalidParameter`."""
    return _Expansion(word, variables).run()


class _Expansion:
    """Reads one word from left to right."""

    def __init__(self, text: str, variables: Mapping[str, str], depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise InvalidParameter(f"failed to process {text!r}: variables stand in each other too deep")
        self._text = text
        self._variables = variables
        self._depth = depth
        self._position = 0

    def run(self) -> str:
        result, _ = self._until("")
        return result

    def _until(self, stop: str) -> tuple[str, bool]:
        """Return what comes before a stop character, expanded, and whether the character came."""
        result = ""
        while character := self._take():
            if stop and character == stop:
                return result, True
            if character == "'":
                result += self._single_quoted()
            elif character == '"':
                result += self._double_quoted()
            elif character == "$":
                result += self._dollar()
            elif character == "\\":
                result += self._take()
            else:
                result += character
        return result, False

    def _take(self) -> str:
        """Return the next character, empty at the end."""
        character = self._text[self._position : self._position + 1]
        self._position += 1
        return character

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._position)
        if end < 0:
            raise self._error("unexpected end of statement while looking for matching single-quote")
        content, self._position = self._text[self._position : end], end + 1
        return content

    def _double_quoted(self) -> str:
        result = ""
        while (character := self._take()) != '"':
            if not character:
                raise self._error("unexpected end of statement while looking for matching double-quote")
            if character == "$":
                result += self._dollar()
            elif character == "\\":
                escaped = self._take()
                result += escaped if escaped in ('"', "$", "\\") else character + escaped
            else:
                result += character
        return result

    def _dollar(self) -> str:
        if self._text[self._position : self._position + 1] == "{":
            self._position += 1
            return self._braces()
        name = self._name()
        return self._variables.get(name, "") if name else "$"

    def _name(self) -> str:
        match = _NAME.match(self._text, self._position)
        if match is None:
            return ""
        self._position = match.end()
        return match.group()

    def _braces(self) -> str:
        name = self._name()
        if not name:
            raise self._error("bad substitution")
        value = self._variables.get(name)
        operator = self._take()
        if operator == "}":
            return value or ""
        if operator == ":":
            operator = self._take()
            present = bool(value)
        else:
            present = value is not None
            if operator in ("#", "%"):
                return self._trimmed(value or "", operator)
            if operator == "/":
                return self._replaced(value or "")
        if operator not in ("-", "+", "?"):
            raise self._error(f"unsupported modifier ({operator or 'none'}) in substitution")
        word = self._argument("}")
        if operator == "-":
            return (value or "") if present else word
        if operator == "+":
            return word if present else ""
        if not present:
            raise self._error(f"{name}: {word or 'not allowed to be unset'}")
        return value or ""

    def _argument(self, stop: str) -> str:
        """Return the rest of a substitution up to a character of it, expanded."""
        inner = _Expansion(self._text, self._variables, self._depth + 1)
        inner._position = self._position
        word, found = inner._until(stop)
        self._position = inner._position
        if not found:
            raise self._error("syntax error: missing " + repr("}"))
        return word

    def _trimmed(self, value: str, operator: str) -> str:
        longest = self._text[self._position : self._position + 1] == operator
        self._position += longest
        pattern = _pattern(self._argument("}"))
        # The shortest prefix is found from the left, the shortest suffix from the right.
        lengths: range = range(len(value) + 1)
        for length in reversed(lengths) if longest else lengths:
            part = value[:length] if operator == "#" else value[len(value) - length :]
            if pattern.fullmatch(part):
                return value[length:] if operator == "#" else value[: len(value) - length]
        return value

    def _replaced(self, value: str) -> str:
        every = self._text[self._position : self._position + 1] == "/"
        self._position += every
        pattern = _pattern(self._argument("/"))
        replacement = self._argument("}")
        return pattern.sub(lambda _: replacement, value, count=0 if every else 1)

    def _error(self, problem: str) -> InvalidParameter:
        return InvalidParameter(f"failed to process {self._text!r}: {problem}")


def _pattern(text: str) -> re.Pattern[str]:
    """Return a shell pattern of `*`, `?` and backslashes as a regular expression."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            position += 1
            parts.append(re.escape(text[position]))
        elif character in "*?":
            # One star after another means no more, and takes the matcher longer for each.
            if character == "?" or parts[-1:] != [".*"]:
                parts.append(".*" if character == "*" else ".")
        else:
            parts.append(re.escape(character))
        position += 1
    return re.compile("".join(parts), re.DOTALL)
