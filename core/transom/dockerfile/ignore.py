"""Which files are left out of a build: `.dockerignore`, and the patterns of `COPY --exclude`.

    patterns = Patterns.parse("*.log\\n!keep.log\\n")
    patterns.matches("a.log")                        # left out
    patterns.may_hold_exceptions("logs")             # a walk need not look into what is left out and holds none

The rules are Docker's (moby/patternmatcher): patterns as in `globs`, and `**` for any number of directories; each is
about a whole path from the context's root, and about all below it; `!` takes back what those before it said; the last
one that speaks of a path decides. This module needs the standard library alone, as the command line uses it too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Final

from transom.dockerfile.globs import PatternError, Star, Token, has_wildcards, read_token, regex_of

__all__ = ["PatternError", "Patterns", "ignore_names"]

_BOM: Final = "\ufeff"
#: A path that a pattern is about ends here, or a directory above it does.
_END: Final = r"(?=/|\Z)"


def ignore_names(dockerfile: str) -> tuple[str, ...]:
    """Return the names of the files that may say what is left out: the first that is there does.

    The first is beside the Dockerfile, the last at the context's root.
    """
    return (f"{dockerfile}.dockerignore", ".dockerignore")


@dataclass(frozen=True)
class Patterns:
    """Patterns in their order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Patterns:
        """Return what a `.dockerignore` says. Raises `PatternError`, a `ValueError`."""
        lines = text.removeprefix(_BOM).split("\n")
        return cls.of(_cleaned(line) for line in lines if not line.startswith("#"))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Patterns:
        """Return patterns that are given one by one. Raises `PatternError`, a `ValueError`."""
        return cls(tuple(_rule(pattern.strip()) for pattern in patterns if pattern.strip()))

    @property
    def has_exceptions(self) -> bool:
        """Whether some of them take back what others say."""
        return any(rule.is_exception for rule in self.rules)

    def matches(self, path: str) -> bool:
        """Return whether a path, relative to the root and without a slash at its end, is left out."""
        matched = False
        for run in self._runs:
            if run.is_exception == matched and run.matches(path):
                matched = not matched
        return matched

    def may_hold_exceptions(self, directory: str) -> bool:
        """Return whether something in a directory that is left out may not be."""
        for rule in reversed(self.rules):
            if rule.is_exception and rule.may_match_below(directory):
                return True
            if not rule.is_exception and rule.matches(directory):
                # It is about all that is in there, whatever those before it say.
                return False
        return False

    @cached_property
    def _runs(self) -> tuple[_Run, ...]:
        runs = groupby(self.rules, lambda rule: rule.is_exception)
        return tuple(_Run(is_exception, tuple(rules)) for is_exception, rules in runs)


@dataclass(frozen=True)
class _Run:
    """Rules that follow each other and are all of a kind. They are matched at once, as there may be many."""

    is_exception: bool
    rules: tuple[Rule, ...]

    def matches(self, path: str) -> bool:
        return self._regex.match(path) is not None or any(rule.matches(path) for rule in self._others)

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        alternatives = [f"(?:{rule.regex.pattern})" for rule in self.rules if rule.is_regular]
        return re.compile("|".join(alternatives) or "(?!)", re.DOTALL)

    @cached_property
    def _others(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if not rule.is_regular)


@dataclass(frozen=True)
class Rule:
    """One pattern: its cleaned text, and whether it takes back what others say."""

    pattern: str
    is_exception: bool = False

    def matches(self, path: str) -> bool:
        """Return whether it is about a path or a directory above it."""
        if self.is_regular:
            return self.regex.match(path) is not None
        return any(path[end : end + 1] in ("", "/") for end in _ends(self._tokens, path))

    def may_match_below(self, directory: str) -> bool:
        """Return whether it is about something in a directory, in doubt that it is."""
        names, above = self._literal, tuple(directory.split("/"))
        if self._is_literal and len(names) <= len(above):
            return above[: len(names)] == names
        shared = min(len(names), len(above))
        return above[:shared] == names[:shared]

    @cached_property
    def _tokens(self) -> tuple[Token, ...]:
        return tuple(_tokens(self.pattern))

    @cached_property
    def is_regular(self) -> bool:
        """Whether no star of directories stands within a name, as in `a**b`."""
        pairs = pairwise((None, *self._tokens))
        return all(before in (None, "/") for before, token in pairs if token is Star.PATH)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """What matches a path that it is about, at the beginning; for regular ones."""
        end = "" if self._tokens[-1:] == (Star.ALL,) else _END
        return re.compile(regex_of(self._tokens, end), re.DOTALL)

    @cached_property
    def _literal(self) -> tuple[str, ...]:
        """Its names up to the first that is a pattern itself."""
        names: list[str] = []
        for name in self.pattern.split("/"):
            if has_wildcards(name) or "\\" in name:
                break
            names.append(name)
        return tuple(names)

    @cached_property
    def _is_literal(self) -> bool:
        return len(self._literal) == self.pattern.count("/") + 1


def _cleaned(line: str) -> str:
    """Return a line as a pattern: relative to the root, as short as it can be."""
    pattern = line.strip()
    mark = "!" if pattern.startswith("!") else ""
    pattern = pattern.removeprefix("!").strip()
    if not pattern:
        return mark
    pattern = _clean_path(pattern)
    return mark + (pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern)


def _clean_path(path: str) -> str:
    """Return a path without dots and doubled slashes."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


def _rule(pattern: str) -> Rule:
    pattern = _clean_path(pattern)
    is_exception = pattern.startswith("!")
    pattern = pattern.removeprefix("!")
    if not pattern:
        raise PatternError('illegal exclusion pattern: "!"')
    rule = Rule(pattern, is_exception)
    # What is wrong is found now.
    rule.matches("")
    return rule


def _tokens(pattern: str) -> Iterator[Token]:
    """Yield the tokens of a pattern. Raises `PatternError`."""
    position = 0
    before: Token | None = None
    while position < len(pattern):
        token: Token
        if pattern.startswith("**", position):
            start, position = position, position + 2
            position += pattern.startswith("/", position)
            token = Star.PATH
            if position == len(pattern) or (start == 0 and _is_ending(pattern[position - 1 :])):
                # Docker's rules: at the end, and in front of a name at the beginning, it is any text.
                token = Star.ALL
        else:
            token, position = read_token(pattern, position)
        if token is not Star.PATH or before is not Star.PATH:
            yield token
        before = token


def _is_ending(rest: str) -> bool:
    """Return whether the rest of `**name` is the plain ending of a path."""
    return rest.startswith("*") and not has_wildcards(rest[1:]) and "\\" not in rest


def _ends(tokens: Iterable[Token], path: str) -> set[int]:
    """Return where a pattern may end in a path: all places are kept, so the time is that of a walk per token."""
    ends = {0}
    for token in tokens:
        if not ends:
            break
        first = min(ends)
        if token is Star.ALL:
            ends = set(range(first, len(path) + 1))
        elif token is Star.PATH:
            ends |= {place for place in range(first + 1, len(path) + 1) if path[place - 1] == "/"}
        elif token is Star.NAME:
            reached: set[int] = set()
            for end in sorted(ends):
                while end not in reached:
                    reached.add(end)
                    if path[end : end + 1] in ("", "/"):
                        break
                    end += 1
            ends = reached
        else:
            character = re.compile(token, re.DOTALL)
            ends = {end + 1 for end in ends if character.match(path, end)}
    return ends
