"""Locks by name: one thing is worked on by one thread at a time, different things by many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Locks"]

#: Seconds between two calls of `waiting`: how soon a cancelled job stops to wait.
_PATIENCE = 0.1


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class Locks:
    """A lock per key, which exists for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    @contextmanager
    def hold(self, key: Hashable, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the key's lock for the length of a `with` block; it is not reentrant.

        While another thread has it, `waiting` is called about ten times a second; what it raises
        (`Cancelled`, say) ends the waiting.
        """
        with self._guard:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            while not entry.lock.acquire(timeout=_PATIENCE):
                waiting()
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._entries[key]
