"""From threads to clients: items that threads make, in batches for the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from transom.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Feed"]

T = TypeVar("T")

#: Items that may wait before `put` blocks.
_FULL = 1024
#: Items that may wait at all: a reader that is further behind gets no more.
_MOST = 64 << 10


class Feed(Generic[T]):
    """A queue from threads to one reader in the event loop. Waking the loop is dear, so it is done once per batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = asyncio.Event()
        self._condition = threading.Condition()
        self._items: list[T] = []
        self._ended = False
        self._abandoned = False

    def add(self, item: T) -> None:
        """Add an item without waiting. It is dropped if the reader is gone; one that is far behind gets an end."""
        with self._condition:
            self._append(item)

    def put(self, item: T) -> None:
        """Add an item, and wait before that while the reader is far behind. Raises `Cancelled` if it is gone."""
        with self._condition:
            self._condition.wait_for(lambda: self._abandoned or len(self._items) < _FULL)
            if self._abandoned:
                raise Cancelled("the client is gone")
            self._append(item)

    def end(self) -> None:
        """Say that nothing follows. Harmless if that was said before."""
        with self._condition:
            if not self._ended:
                self._ended = True
                self._wake()

    def abandon(self) -> None:
        """The reader is gone: who waits in `put` is woken."""
        with self._condition:
            self._abandoned = True
            self._items.clear()
            self._condition.notify_all()

    async def batches(self) -> AsyncIterator[list[T]]:
        """Give what has arrived, again and again until the end."""
        while True:
            await self._arrived.wait()
            with self._condition:
                self._arrived.clear()
                items, self._items = self._items, []
                ended = self._ended
                self._condition.notify_all()
            if items:
                yield items
            if ended:
                return

    def _append(self, item: T) -> None:
        if self._abandoned or self._ended:
            return
        self._items.append(item)
        self._ended = len(self._items) >= _MOST
        if len(self._items) == 1:
            self._wake()

    def _wake(self) -> None:
        if not self._abandoned:
            self._loop.call_soon_threadsafe(self._arrived.set)
