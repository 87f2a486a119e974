"""A terminal with a program on it, and what is to be read there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Sequence

import pyte

__all__ = ["Screen"]

_TIMEOUT = 60


class Screen:
    """Runs a command on a terminal of 30 rows and 100 columns, until the `with` block is left."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self._screen)
        self._status: int | None = None

    def __enter__(self) -> Screen:
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
            # The window's own size counts.
            for name in ("LINES", "COLUMNS"):
                environment.pop(name, None)
            os.execve(self._command[0], self._command, environment)
        self.resize(30, 100)
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self._pid, 9)
            os.waitpid(self._pid, 0)
        os.close(self._master)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def has(self, text: str) -> bool:
        """Return whether a text is on the screen."""
        return any(text in line for line in self._screen.display)

    def line(self, text: str, left: int = 0) -> str:
        """Wait for a text, and return what its line has from a column on."""
        self._wait(lambda: any(text in line[left:] for line in self._screen.display), text)
        return next(line[left:] for line in self._screen.display if text in line[left:])

    def wait(self, text: str) -> None:
        """Wait until a text is on the screen."""
        self._wait(lambda: self.has(text), text)

    def wait_gone(self, text: str) -> None:
        """Wait until a text is not on the screen any more."""
        self._wait(lambda: not self.has(text), text)

    def end(self) -> int:
        """Wait for the end of the program, and return its exit status."""
        while self._read():
            pass
        _, status = os.waitpid(self._pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def _wait(self, condition: Callable[[], bool], text: str) -> None:
        deadline = time.monotonic() + _TIMEOUT
        while not condition():
            assert time.monotonic() < deadline and self._read(), f"{text!r}:\n" + "\n".join(self._screen.display)

    def _read(self) -> bool:
        """Show what the program has written; return whether it goes on."""
        if select.select([self._master], [], [], 0.1)[0]:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                # EIO: the program has ended.
                return False
            self._stream.feed(data)
        return True
