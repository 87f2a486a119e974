"""Things to do at a later time, by name: one thread waits for all of them, and only while there is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Alarms"]


class Alarms:
    """What is due, and when.

    `ring` is called with a name when its time has come, in a thread that `submit` gives; the others wait meanwhile.
    """

    def __init__(self, ring: Callable[[str], None], submit: Callable[[Callable[[], None]], Any]) -> None:
        self._ring = ring
        self._submit = submit
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._waiting = False
        self._closed = False

    def set(self, name: str, seconds: float) -> None:
        """Ring for a name after some seconds, and not when it was to be before."""
        with self._changed:
            self._due[name] = time.monotonic() + seconds
            self._changed.notify()
            if not self._waiting and not self._closed:
                self._waiting = True
                self._submit(self._wait)

    def cancel(self, name: str) -> None:
        """Do not ring for a name. Harmless if that was not to be."""
        with self._changed:
            if self._due.pop(name, None) is not None:
                self._changed.notify()

    def close(self) -> None:
        """Ring no more."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def _wait(self) -> None:
        while True:
            with self._changed:
                if not self._due or self._closed:
                    self._waiting = False
                    return
                name, moment = min(self._due.items(), key=lambda item: item[1])
                seconds = moment - time.monotonic()
                if seconds > 0:
                    self._changed.wait(seconds)
                    continue
                del self._due[name]
            self._ring(name)
