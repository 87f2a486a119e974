"""The line that `cp` shows on a terminal while it copies."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from transom_cli.units import decimal_size

__all__ = ["CopyProgress"]

#: Seconds between two looks at what was copied.
_INTERVAL = 0.075
_SAVE, _RESTORE, _HIDE, _SHOW, _ERASE, _ERASE_REST = "\x1b[s", "\x1b[u", "\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[0K"


class CopyProgress:
    """Shows bytes as `count` gives them, for the length of a `with` block, on standard error if that is a terminal."""

    def __init__(self, header: str, count: Callable[[], int]) -> None:
        self._header = header
        self._count = count
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True) if sys.stderr.isatty() else None

    def __enter__(self) -> None:
        if self._thread is not None:
            self._write(_SAVE, "Preparing to copy...")
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._write(_RESTORE, _ERASE)

    def summarize(self, destination: str) -> None:
        """Say how much was copied, and where."""
        self._write(f"Successfully copied {decimal_size(self._count(), 3)} to {destination}\n")

    def _show(self) -> None:
        shown = 0
        self._write(_HIDE, _RESTORE, _ERASE, self._header, decimal_size(shown, 3))
        while not self._ended.wait(_INTERVAL):
            if self._count() != shown:
                shown = self._count()
                self._write(f"\x1b[{len(self._header) + 1}G", _ERASE_REST, decimal_size(shown, 3))
        self._write(_SHOW)

    @staticmethod
    def _write(*parts: str) -> None:
        sys.stderr.write("".join(parts))
        sys.stderr.flush()
