"""Here-documents: the lines between an instruction and a mark that it names, `RUN <<EOF`.

The mark is quoted where variables are to stay as they are written, `<<-` takes the tabs in front of each line away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from transom.dockerfile.notation import quoted
from transom.dockerfile.words import Lexer
from transom.errors import InvalidParameter

__all__ = ["Heredoc", "check_file_name", "marks_in", "parse_mark"]

_FORM: Final = re.compile(r"(\d*)<<(-?)\s*([^<]*)")
_READ: Final = Lexer(keep_unset=True)
_READ_WITH_QUOTES: Final = Lexer(raw_quotes=True, keep_unset=True)
_READ_AS_WRITTEN: Final = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)


@dataclass(frozen=True)
class Heredoc:
    """A document: the name of its mark, what it holds as it is written, with its last line's end.

    `expand` says that variables in it stand for their values (where its instruction does that at all); `tabs` that
    the tabs in front of its lines are to go; `descriptor` is the number in front of `<<`.
    """

    name: str
    content: str = ""
    expand: bool = True
    tabs: bool = False
    descriptor: int = 0

    @property
    def text(self) -> str:
        """What it holds, without the tabs that are to go."""
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE) if self.tabs else self.content

    def ends_at(self, line: str) -> bool:
        """Return whether a line is the mark that ends it."""
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.tabs else line) == self.name


def parse_mark(word: str) -> Heredoc | None:
    """Return the document that a word asks for, empty as yet, or None where it asks for none.

    Raises `InvalidParameter` where it is quoted and the quote does not end.
    """
    match = _FORM.fullmatch(word)
    if match is None or not match[3]:
        return None
    names = _READ.expand(match[3], {}).words
    quoted = _READ_WITH_QUOTES.expand(match[3], {}).words
    if len(names) != 1 or len(quoted) != 1:
        return None
    expand = all(names[0].count(quote) == quoted[0].count(quote) for quote in "'\"")
    return Heredoc(names[0], expand=expand, tabs=bool(match[2]), descriptor=int(match[1][:9] or 0))


def check_file_name(name: str) -> None:
    """Refuse the mark of a document that becomes a file where it is no name of one. Raises `InvalidParameter`."""
    if "/" in name or name in (".", ".."):
        raise InvalidParameter(f"a here-document that becomes a file cannot be called {quoted(name)}")


def marks_in(line: str) -> tuple[Heredoc, ...]:
    """Return the documents that a line asks for. Raises `InvalidParameter`."""
    if "<<" not in line:
        return ()
    try:
        words = _READ_AS_WRITTEN.expand(line, {}).words
    except InvalidParameter:
        # A line for the shell need not be one for us.
        return ()
    return tuple(mark for word in words if (mark := parse_mark(word)) is not None)
