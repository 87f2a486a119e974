"""A container's log as one client reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from transom.containers.followers import Follower, Followers
from transom.containers.model import Container
from transom.drivers.log import Entry, LoggedContainer, LogReader

__all__ = ["LogStream", "Wanted", "logged"]

#: Entries, and bytes of their lines, after which a batch is given.
_ENTRIES = 1024
_BYTES = 1 << 20


def logged(container: Container) -> LoggedContainer:
    """Return what a log driver knows of a container."""
    run = container.config.run
    return LoggedContainer(
        id=container.id,
        name=container.name,
        image=container.image,
        image_name=container.config.image,
        command=container.command,
        created=container.created,
        labels=run.labels,
        env=run.env,
    )


@dataclass(frozen=True)
class Wanted:
    """What a client wants of a log: which streams, and between which times (inclusive, in nanoseconds)."""

    streams: frozenset[str]
    since: int | None = None
    until: int | None = None


class LogStream:
    """Reads a log batch by batch, and tells when it is worth to read on.

    `goes_on` says whether more may come into the log; if it is None the stream ends where the log ends now. The methods
    may be called from any thread.
    """

    def __init__(
        self,
        container: str,
        reader: LogReader,
        wanted: Wanted,
        followers: Followers,
        goes_on: Callable[[], bool] | None = None,
    ) -> None:
        self._container = container
        self._reader = reader
        self._wanted = wanted
        self._followers = followers
        self._goes_on = goes_on
        self._lock = threading.Lock()
        self._entries: Iterator[Entry] | None = None
        self._follower: Follower | None = None
        #: Whether `close` was called.
        self.closed = False
        #: Whether there is nothing to come any more.
        self.ended = False

    @property
    def until(self) -> int | None:
        """When the stream ends whatever comes, in nanoseconds."""
        return self._wanted.until

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, in any thread, when there may be more to read. Harmless if the stream does not follow."""
        if self._goes_on is not None:
            with self._lock:
                if not self.closed and self._follower is None:
                    self._follower = self._followers.add(self._container, self._reader.watched, wake)

    def read(self) -> list[Entry]:
        """Return the next entries; none if there are none now, or ever (`ended`). It does not wait for any."""
        with self._lock:
            if self.ended or self.closed:
                return []
            # Asked first: what was written before it ended is read after this.
            over = self._goes_on is None or not self._goes_on() or self._is_past()
            batch: list[Entry] = []
            size = 0
            if self._entries is None:
                self._entries = self._reader.read()
            for entry in self._entries:
                if self.closed:
                    return []
                if self._wanted.until is not None and entry.time > self._wanted.until:
                    self.ended = True
                    return batch
                if entry.stream in self._wanted.streams and entry.time >= (self._wanted.since or 0):
                    batch.append(entry)
                    size += len(entry.line)
                    if len(batch) >= _ENTRIES or size >= _BYTES:
                        return batch
            self._entries = None
            self.ended = over
            return batch

    def close(self) -> None:
        """Give back what is open. A read that is under way ends early; closing twice is harmless."""
        self.closed = True
        with self._lock:
            self._entries = None
            follower, self._follower = self._follower, None
            if follower is not None:
                self._followers.remove(follower)
            self._reader.close()

    def _is_past(self) -> bool:
        return self._wanted.until is not None and time.time_ns() > self._wanted.until
