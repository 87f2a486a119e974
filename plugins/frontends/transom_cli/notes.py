"""Notes beside what a command prints, in the form that Docker's client gives them."""

from __future__ import annotations

from typing import IO

__all__ = ["print_note"]

_INDENT = " " * 9
_HEAD, _COLOURED_HEAD = " Info -> ", "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m"


def print_note(text: str, file: IO[str]) -> None:
    """Print a note of some lines; on a terminal in colours."""
    coloured = file.isatty()
    lines = [f"\x1b[3m{line}\x1b[0m" if coloured else line for line in text.split("\n")]
    head = _COLOURED_HEAD if coloured else _HEAD
    print("\n" + head + f"\n{_INDENT}".join(lines), file=file, flush=True)
