"""The terminal that a command runs in: raw mode, window size, and the keys that detach from a container."""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transom_cli.errors import CommandFailed

__all__ = ["DEFAULT_DETACH_KEYS", "DetachKeys", "follow_size", "raw_mode", "require_terminal", "window_size"]

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"


def require_terminal(stdin: bool, terminal: bool) -> None:
    """Raise `CommandFailed` if a container's terminal is to read from something that is not one."""
    if stdin and terminal and not os.isatty(0):
        raise CommandFailed("the input device is not a TTY")


def window_size() -> tuple[int, int]:
    """Return the rows and columns of the terminal on standard output; (0, 0) if it is not one."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return 0, 0
    return size.lines, size.columns


@contextmanager
def raw_mode(fd: int = 0) -> Iterator[None]:
    """Hand every key through as it is, without echo or signals, as long as the block lasts."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


@contextmanager
def follow_size(resize: Callable[[int, int], None]) -> Iterator[None]:
    """Call `resize(rows, columns)` now and whenever the window changes, as long as the block lasts."""

    def changed(*_: object) -> None:
        rows, columns = window_size()
        if rows and columns:
            resize(rows, columns)

    changed()
    before = signal.signal(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


class DetachKeys:
    """Watches what is typed for the sequence that detaches, such as `ctrl-p,ctrl-q`.

    A daemon ends the stream at the sequence in the same way as when the container ends, so only who sees the
    keys can tell the one from the other.
    """

    def __init__(self, keys: str) -> None:
        self._sequence = b"".join(_key(key) for key in keys.split(","))
        self._matched = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on, and whether the sequence is complete; a part of it is held back."""
        passed = bytearray()
        for value in typed:
            if value == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._sequence[: self._matched]
            self._matched = int(value == self._sequence[0])
            if not self._matched:
                passed.append(value)
        return bytes(passed), False


def _key(name: str) -> bytes:
    """Return the byte of one key: a character, or `ctrl-` and one of a-z, @, [, \\, ], ^, _."""
    if len(name) == 1 and name.isascii():
        return name.encode()
    letter = name.removeprefix("ctrl-").lower()
    if name.startswith("ctrl-") and len(letter) == 1 and (letter in "@[\\]^_" or "a" <= letter <= "z"):
        return bytes([ord(letter.upper()) - 64])
    raise CommandFailed(
        f"invalid detach keys: {name!r} is neither one character nor ctrl- and one of a-z, @, [, \\, ], ^, _"
    )
